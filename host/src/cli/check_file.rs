//! `mapper-host check --config FILE`: all mistakes of a settings file.

use clap::{Arg, ArgMatches};

use super::CliError;
use super::arguments::argument;
use super::run;
use super::settings::{CONFIG, RUN};
use super::sources::{Environment, Sources};
use crate::config::{CheckFileConfig, brokers};

/// The flag that checks Kafka, too.
pub(super) fn brokers_argument() -> Arg {
    let of_run = RUN.iter().find(|setting| setting.name == "brokers");
    let of_run = of_run.unwrap_or_else(|| unreachable!("the table has the setting brokers"));
    argument(of_run)
        .help("With --config: also check the topics and permissions of all pipelines on this Kafka")
        .help_heading(None)
        .requires(CONFIG.name)
        .conflicts_with("plugin")
}

/// Whether the command checks a settings file, not a plugin.
pub(super) fn is_meant(matches: &ArgMatches) -> bool {
    matches.contains_id(CONFIG.name) && !matches.contains_id("plugin") && !matches.get_flag("contract")
}

/// Reads and checks.
///
/// # Errors
/// If the file cannot be read, or the flag is wrong. The result has the mistakes of the file.
pub(super) fn config(matches: &ArgMatches, environment: &Environment) -> Result<CheckFileConfig, CliError> {
    let (sources, mistakes) = Sources::read_all(&RUN, matches, environment)?;
    let asked = matches.get_one::<String>("brokers").map(|_| sources.optional("brokers", brokers::brokers));
    let brokers = asked.transpose()?.flatten();
    let path = sources.file().map(|file| file.path.clone()).unwrap_or_default();
    let (config, mistakes) = run::everything(&sources, mistakes);
    let mut pipelines = config.map(|config| config.pipelines).unwrap_or_default();
    if let Some(brokers) = &brokers {
        pipelines.iter_mut().for_each(|spec| spec.brokers = Some(brokers.clone()));
    }
    let mistakes = mistakes.iter().map(ToString::to_string).collect();
    Ok(CheckFileConfig { path, mistakes, pipelines, asks_kafka: brokers.is_some(), json: matches.get_flag("json") })
}
