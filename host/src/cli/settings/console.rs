//! Settings of `mapper-host console`: those of a run that concern the access to dead letters, and the server.

use std::sync::LazyLock;

use super::Kind::Text;
use super::Standard::{Empty, Value};
use super::dlq::REDRIVE;
use super::{RUN, Setting, admin, kafka, setting};

/// Settings of a redrive that a console has otherwise or not at all.
const NOT_OF_REDRIVE: [&str; 13] = [
    "plugin",
    "brokers",
    "state-dir",
    "log-format",
    "log-level",
    "config",
    "halt-on-error-ratio",
    "error-ratio-window",
    "breaker-after",
    "breaker-records",
    "breaker-retry",
    "poison-after",
    "provenance",
];
const OF_RUN: [&str; 8] = [
    "provenance",
    "drain-timeout",
    "admin-token-file",
    "admin-payloads",
    "admin-base-path",
    "log-format",
    "log-level",
    "config",
];

const BROKERS: Setting = setting(
    kafka::HEADING,
    "brokers",
    "LIST",
    Text,
    Empty,
    "The Kafka whose dead letters the console shows, as host:port,host:port. The flags below describe one pipeline there",
);

const ADMIN: Setting = setting(
    admin::HEADING,
    "admin",
    "ADDRESS",
    Text,
    Value("127.0.0.1:8080"),
    "The address of the console (HTTP). Port 0 takes a free port and prints it",
);

/// In the order of the help. The values are read as those of a run.
pub(crate) static CONSOLE: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    let of_redrive = REDRIVE.iter().filter(|setting| !NOT_OF_REDRIVE.contains(&setting.name));
    let of_run = RUN.iter().filter(|setting| OF_RUN.contains(&setting.name));
    [ADMIN, BROKERS].into_iter().chain(of_redrive.copied()).chain(of_run.copied()).collect()
});
