//! From arguments and environment to a checked configuration, or to words for the user.

mod admin;
mod arguments;
mod author;
mod definition;
mod failures;
mod file;
mod generate;
mod pages;
mod readers;
mod remote;
mod run;
mod sandbox;
mod settings;
mod sources;
mod swap;

#[cfg(test)]
mod tests;

use std::ffi::OsString;

use clap::error::ErrorKind;

pub use definition::settings_table;
pub(crate) use settings::near;

use crate::config::Command;
use sources::{Environment, Sources};

/// Why there is nothing to run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CliError {
    /// The user asked for help or the version: this text goes to stdout, and the exit code is 0.
    #[error("{0}")]
    Help(String),
    /// The configuration is wrong: this message (without `error:`) goes to stderr, and the exit code is 2.
    #[error("{0}")]
    Wrong(String),
}

/// Reads the arguments, the first of which is the program, the environment, and the file that they name if they do.
/// Nothing else is touched: not the plugin, not Kafka.
///
/// # Errors
/// See [`CliError`].
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
) -> Result<Command, CliError> {
    let matches = definition::command().try_get_matches_from(arguments).map_err(|error| from_clap(&error))?;
    let environment = Environment::new(environment);
    match matches.subcommand() {
        Some(("completions", matches)) => Ok(pages::completions(matches, definition::command())),
        Some(("man", matches)) => Ok(pages::man(matches, definition::command())),
        Some(("generate", matches)) => {
            let sources = Sources::new(&settings::GENERATE, matches, &environment)?;
            generate::config(&sources).map(|config| Command::Generate(Box::new(config)))
        }
        Some((name, matches)) if author::is_one(name) => author::command(name, matches, &environment),
        Some((name, matches)) if remote::NAMES.contains(&name) => {
            let sources = Sources::new(&settings::REMOTE, matches, &environment)?;
            remote::config(name, matches, &sources).map(Command::Remote)
        }
        run => {
            let matches = run.map_or(&matches, |(_run, matches)| matches);
            let sources = Sources::new(&settings::RUN, matches, &environment)?;
            run::config(&sources).map(|config| Command::Run(Box::new(config)))
        }
    }
}

fn from_clap(error: &clap::Error) -> CliError {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => CliError::Help(text),
        _ => CliError::Wrong(text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned()),
    }
}
