//! The commands for plugin authors: reads and checks their arguments.

mod bench;
mod build;
mod check;
mod format;
mod map;
mod new;
mod test;

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::sources::{Environment, Sources};
use super::{CliError, arguments, pairs, readers, sandbox, settings};
use crate::config::{self, AuthorCommand, GuestConfig};

/// The commands for clap.
pub(super) fn commands() -> [Command; 6] {
    [new::command(), build::command(), test::command(), map::command(), check::command(), bench::command()]
}

/// Whether a command is one of these.
pub(super) fn is_one(name: &str) -> bool {
    commands().iter().any(|command| command.get_name() == name)
}

/// Reads and checks the arguments.
///
/// # Errors
/// The first wrong argument or setting, and the allowed values.
pub(super) fn command(
    name: &str,
    matches: &ArgMatches,
    environment: &Environment,
) -> Result<config::Command, CliError> {
    let sources = |settings| Sources::new(settings, matches, environment);
    let command = match name {
        "build" => return build::config(matches, environment).map(config::Command::Build),
        "new" => AuthorCommand::New(new::config(matches)?),
        "test" => AuthorCommand::Test(Box::new(test::config(matches, &sources(&settings::TEST)?)?)),
        "check" => check::config(matches, &sources(&settings::TEST)?)?,
        "bench" => AuthorCommand::Bench(Box::new(bench::config(matches, &sources(&settings::BENCH)?)?)),
        _ => AuthorCommand::Map(Box::new(map::config(matches, &sources(&settings::MAP)?)?)),
    };
    Ok(config::Command::Author(command))
}

/// The settings of running a plugin.
pub(super) fn guest(sources: &Sources<'_>) -> Result<GuestConfig, CliError> {
    Ok(GuestConfig {
        set: pairs::plugin(sources)?,
        cache_dir: readers::cache_dir(sources)?,
        limits: sandbox::limits(sources)?,
        grants: sandbox::grants(sources)?,
        batch_records: readers::batch_records(sources)?,
        log: readers::log(sources)?,
    })
}

fn path(name: &'static str, placeholder: &'static str) -> Arg {
    arguments::path(Arg::new(name).value_name(placeholder))
}

fn switch(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

fn given_path(matches: &ArgMatches, name: &str) -> Option<PathBuf> {
    matches.get_one::<PathBuf>(name).cloned()
}

/// The error of a flag.
fn wrong(flag: &str, text: &str, allowed: &str) -> CliError {
    CliError::Wrong(format!("flag --{flag}: {text:?} is not allowed: {allowed}"))
}
