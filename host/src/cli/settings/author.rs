//! Settings of the commands of a plugin's author: the plugin is run as `mapper-host run` runs it.

use std::sync::LazyLock;

use super::Kind::Text;
use super::Standard::{Empty, Value};
use super::admin::ADMIN_TOKEN_FILE;
use super::kafka::{self, BROKERS_TEXT, CONNECT_TIMEOUT, KAFKA_ALLOW_CODE, KAFKA_PAIRS};
use super::output::{self, CONFIG, LOG_FORMAT};
use super::{RUN, Setting, grants, limits, plugin, setting};

/// What the plugin is run with, apart from which it is, and in how many threads.
pub(super) fn guest() -> impl Iterator<Item = Setting> {
    const OTHERS: [&str; 2] = ["plugin", "workers"];
    let all = [plugin::SETTINGS, limits::SETTINGS, grants::SETTINGS];
    all.into_iter().flatten().filter(|setting| !OTHERS.contains(&setting.name)).copied()
}

/// The host itself logs little there, but the log of the guest is needed.
const LOG_LEVEL: Setting =
    setting(output::HEADING, "log-level", "LEVEL", Text, Value("warn,guest=info"), output::LOG_LEVEL_TEXT);

/// Settings of `mapper-host test`, and of all else that runs a plugin and no more.
pub(crate) static TEST: LazyLock<Vec<Setting>> =
    LazyLock::new(|| guest().chain([LOG_FORMAT, LOG_LEVEL, CONFIG]).collect());

/// Settings of `mapper-host build --watch`, which may swap what it has built into a running host.
pub(crate) static WATCH: LazyLock<Vec<Setting>> =
    LazyLock::new(|| TEST.iter().copied().chain([ADMIN_TOKEN_FILE]).collect());

/// Settings of `mapper-host map`.
pub(crate) static MAP: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    let brokers = setting(kafka::HEADING, "brokers", "LIST", Text, Empty, BROKERS_TEXT);
    let kafka = [brokers, CONNECT_TIMEOUT, KAFKA_PAIRS, KAFKA_ALLOW_CODE];
    guest().chain(kafka).chain([LOG_FORMAT, LOG_LEVEL, CONFIG]).collect()
});

/// Settings of `mapper-host bench`.
pub(crate) static BENCH: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    let state_dir = RUN.iter().filter(|setting| setting.name == "state-dir").copied();
    guest().chain(state_dir).chain([LOG_FORMAT, LOG_LEVEL, CONFIG]).collect()
});
