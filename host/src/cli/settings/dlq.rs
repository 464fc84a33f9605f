//! Settings of the commands for dead letters.

use std::sync::LazyLock;

use super::Kind::Text;
use super::Standard::{Empty, Value};
use super::author::guest;
use super::kafka::{self, BROKERS_TEXT, CONNECT_TIMEOUT, KAFKA_ALLOW_CODE, KAFKA_PAIRS};
use super::output::{self, CONFIG, LOG_FORMAT};
use super::topics::{DEAD_LETTER_TOPIC, STATE_TOPIC};
use super::{RUN, Setting, failures, schemas, setting};

/// The progress is shown in another way.
const LOG_LEVEL: Setting = setting(output::HEADING, "log-level", "LEVEL", Text, Value("warn"), output::LOG_LEVEL_TEXT);

/// Settings of the commands that read dead letters and decide about them.
pub(crate) static DLQ: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    let brokers = setting(kafka::HEADING, "brokers", "LIST", Text, Empty, BROKERS_TEXT);
    let topics = [DEAD_LETTER_TOPIC, STATE_TOPIC];
    let kafka = [brokers, CONNECT_TIMEOUT, KAFKA_PAIRS, KAFKA_ALLOW_CODE];
    // They find the history of versions.
    let history = RUN.iter().filter(|setting| ["group", "state-dir"].contains(&setting.name)).copied();
    topics.into_iter().chain(kafka).chain(history).chain([LOG_FORMAT, LOG_LEVEL, CONFIG]).collect()
});

/// Settings of the commands that map letters: those of a run that concern the plugin and the topics that it writes.
pub(crate) static REDRIVE: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    const TOPICS: [&str; 5] = ["provenance", "input-topic", "input-topics", "output-topic", "extra-topic"];
    const COMMITS: [&str; 5] =
        ["commit-interval", "commit-records", "commit-bytes", "transaction-timeout", "ledger-topic"];
    let listed = |names: &'static [&str]| RUN.iter().filter(|setting| names.contains(&setting.name)).copied();
    let plugin = listed(&["plugin"]);
    let guest = guest().filter(|setting| setting.name != "plugin");
    plugin
        .chain(listed(&TOPICS))
        .chain(listed(&COMMITS))
        .chain(guest)
        .chain(schemas::SETTINGS.iter().copied().filter(|setting| setting.name != "register-schema"))
        .chain(failures::SETTINGS.iter().copied())
        .chain(DLQ.iter().copied())
        .collect()
});
