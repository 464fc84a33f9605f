//! The table of all settings. The flags, variables, keys of the file, defaults and help come from it.

mod admin;
mod audit;
mod author;
mod console;
mod delivery;
mod dlq;
mod failures;
mod generate;
mod grants;
mod kafka;
mod limits;
mod output;
mod pipelines;
mod plugin;
mod schemas;
mod swap;
mod topics;

use std::sync::LazyLock;

/// One setting: `--name`, `MAPPER_NAME` and `name = …`.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) placeholder: &'static str,
    pub(crate) kind: Kind,
    pub(crate) standard: Standard,
    pub(crate) heading: &'static str,
    pub(crate) help: &'static str,
}

/// The kind of a value. It decides how often the flag may be given, and the type in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Duration,
    Whole,
    Number,
    Size,
    Switch,
    List,
    /// A list of topics, or a pattern for topics.
    Topics,
    Pairs,
}

/// The default of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standard {
    /// This text, parsed like a given value.
    Value(&'static str),
    /// A rule, described in words.
    Described(&'static str),
    /// No default: it is required.
    Required,
    /// No value.
    Empty,
}

use Standard::{Described, Empty, Required, Value};

impl Setting {
    /// The name of the environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_uppercase().replace('-', "_"))
    }

    /// The text of the default in `--help` and in the table.
    pub(crate) fn default_text(&self) -> Option<&'static str> {
        match self.standard {
            Value(text) | Described(text) => Some(text),
            Required | Empty => None,
        }
    }
}

/// The prefix of all environment variables.
pub(crate) const VARIABLE_PREFIX: &str = "MAPPER_";

/// The heading of `--help` itself.
pub(crate) const OPTIONS: &str = "Options";

const fn setting(
    heading: &'static str,
    name: &'static str,
    placeholder: &'static str,
    kind: Kind,
    standard: Standard,
    help: &'static str,
) -> Setting {
    Setting { name, placeholder, kind, standard, heading, help }
}

/// The settings of `mapper-host run`, in the order of the help.
pub(crate) static RUN: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    [
        plugin::SETTINGS,
        topics::SETTINGS,
        schemas::SETTINGS,
        delivery::SETTINGS,
        limits::SETTINGS,
        grants::SETTINGS,
        failures::SETTINGS,
        swap::SETTINGS,
        pipelines::SETTINGS,
        kafka::SETTINGS,
        admin::SETTINGS,
        output::SETTINGS,
    ]
    .concat()
});

pub(crate) use audit::AUDIT;
pub(crate) use author::{BENCH, MAP, TEST, WATCH};
pub(crate) use console::CONSOLE;
pub(crate) use dlq::{DLQ, REDRIVE};
pub(crate) use output::CONFIG;

/// Settings of `mapper-host generate`.
pub(crate) static GENERATE: LazyLock<Vec<Setting>> = LazyLock::new(|| generate::SETTINGS.to_vec());

/// The settings of the commands that call a running host.
pub(crate) static REMOTE: LazyLock<Vec<Setting>> =
    LazyLock::new(|| vec![admin::ADMIN_OF_HOST, admin::ADMIN_TOKEN_FILE, output::CONFIG]);

/// Every setting once: all commands accept the same environment and file.
pub(crate) fn all() -> impl Iterator<Item = &'static Setting> + Clone {
    let only_generate = GENERATE.iter().filter(|setting| RUN.iter().all(|other| other.name != setting.name));
    RUN.iter().chain(only_generate)
}

/// Settings that the pipelines of a process share: no `[[pipeline]]` table has them.
pub(crate) const OF_PROCESS: [&str; 12] = [
    "fail-fast",
    "cache-dir",
    "state-dir",
    "admin",
    "admin-token-file",
    "admin-base-path",
    "admin-payloads",
    "otlp-endpoint",
    "alert-webhook",
    "log-format",
    "log-level",
    "config",
];

/// Settings that each pipeline has for itself.
pub(crate) fn of_pipeline() -> impl Iterator<Item = &'static Setting> + Clone {
    RUN.iter().filter(|setting| !OF_PROCESS.contains(&setting.name))
}
