//! `mapper-host bench`.

use clap::{ArgMatches, Command};

use super::super::sources::Sources;
use super::{CliError, arguments, format, given_path, guest, path, readers, settings};
use crate::config::BenchConfig;

pub(super) fn command() -> Command {
    Command::new("bench")
        .about("Measures the cost of a plugin per record, and compares it with the last run")
        .override_usage("mapper-host bench FILE [--input FILE] [OPTIONS]")
        .arg(path("plugin", "FILE").required(true).help("The plugin"))
        .arg(path("input", "FILE").long("input").help("Records to map, a line each [default: generated visits]"))
        .arg(format::argument())
        .args(settings::BENCH.iter().map(arguments::argument))
        .after_help(arguments::AFTER)
}

/// Reads and checks.
///
/// # Errors
/// The first argument or setting that is wrong.
pub(super) fn config(matches: &ArgMatches, sources: &Sources<'_>) -> Result<BenchConfig, CliError> {
    Ok(BenchConfig {
        plugin: given_path(matches, "plugin").unwrap_or_default(),
        input: given_path(matches, "input"),
        format: format::read(matches)?,
        state_dir: readers::state_dir(sources)?,
        guest: guest(sources)?,
    })
}
