//! The table of all settings: from it come the flags, the variables, the keys of the file, the defaults and the help.

mod admin;
mod author;
mod delivery;
mod failures;
mod generate;
mod grants;
mod kafka;
mod limits;
mod output;
mod pipelines;
mod plugin;
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

/// What a setting holds. It decides how often the flag may be given, and the type in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Duration,
    Whole,
    Number,
    Size,
    Switch,
    List,
    Pairs,
}

/// What holds when a setting is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standard {
    /// This text, read like any that is given.
    Value(&'static str),
    /// A rule, in words.
    Described(&'static str),
    /// It must be given.
    Required,
    /// None of it.
    Empty,
}

use Standard::{Described, Empty, Required, Value};

impl Setting {
    /// The name of the environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_uppercase().replace('-', "_"))
    }

    /// What `--help` and the table show as the default.
    pub(crate) fn default_text(&self) -> Option<&'static str> {
        match self.standard {
            Value(text) | Described(text) => Some(text),
            Required | Empty => None,
        }
    }
}

/// What all our environment variables start with.
pub(crate) const VARIABLE_PREFIX: &str = "MAPPER_";

/// Under which clap lists `--help` itself.
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

/// Settings of `mapper-host run`, in the order in which the help has them.
pub(crate) static RUN: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    [
        plugin::SETTINGS,
        topics::SETTINGS,
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

pub(crate) use author::{BENCH, MAP, TEST, WATCH};
pub(crate) use output::CONFIG;

/// Settings of `mapper-host generate`.
pub(crate) static GENERATE: LazyLock<Vec<Setting>> = LazyLock::new(|| generate::SETTINGS.to_vec());

/// Settings of the commands that speak to a running host.
pub(crate) static REMOTE: LazyLock<Vec<Setting>> =
    LazyLock::new(|| vec![admin::ADMIN_OF_HOST, admin::ADMIN_TOKEN_FILE, output::CONFIG]);

/// Every setting once: one environment and one file may serve both commands.
pub(crate) fn all() -> impl Iterator<Item = &'static Setting> + Clone {
    let only_generate = GENERATE.iter().filter(|setting| RUN.iter().all(|other| other.name != setting.name));
    RUN.iter().chain(only_generate)
}

/// Settings that the pipelines of a process share: no `[[pipeline]]` table has them.
pub(crate) const OF_PROCESS: [&str; 9] = [
    "fail-fast",
    "cache-dir",
    "state-dir",
    "admin",
    "admin-token-file",
    "otlp-endpoint",
    "log-format",
    "log-level",
    "config",
];

/// Settings that each pipeline has for itself.
pub(crate) fn of_pipeline() -> impl Iterator<Item = &'static Setting> + Clone {
    RUN.iter().filter(|setting| !OF_PROCESS.contains(&setting.name))
}
