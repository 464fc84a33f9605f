//! Settings of `mapper-host audit`: those of the pipeline that say where it reads and writes.

use std::sync::LazyLock;

use super::Kind::Text;
use super::Standard::{Empty, Value};
use super::kafka::{self, BROKERS_TEXT, CONNECT_TIMEOUT, KAFKA_ALLOW_CODE, KAFKA_PAIRS};
use super::output::{self, CONFIG, LOG_FORMAT};
use super::{RUN, Setting, setting};

const OF_RUN: [&str; 9] = [
    "input-topic",
    "input-topics",
    "output-topic",
    "dead-letter-topic",
    "state-topic",
    "extra-topic",
    "ledger-topic",
    "provenance",
    "group",
];

/// The report is the output.
const LOG_LEVEL: Setting = setting(output::HEADING, "log-level", "LEVEL", Text, Value("warn"), output::LOG_LEVEL_TEXT);

pub(crate) static AUDIT: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    let of_run = RUN.iter().filter(|setting| OF_RUN.contains(&setting.name)).copied();
    let brokers = setting(kafka::HEADING, "brokers", "LIST", Text, Empty, BROKERS_TEXT);
    let kafka = [brokers, CONNECT_TIMEOUT, KAFKA_PAIRS, KAFKA_ALLOW_CODE];
    of_run.chain(kafka).chain([LOG_FORMAT, LOG_LEVEL, CONFIG]).collect()
});
