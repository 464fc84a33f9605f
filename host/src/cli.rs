//! Turns arguments and environment into a checked configuration, or into a message for the user.

mod admin;
mod arguments;
mod audit;
mod author;
mod check_file;
mod console;
mod definition;
mod dlq;
mod failures;
mod file;
mod generate;
mod in_force;
mod pages;
mod pairs;
mod pipelines;
mod readers;
#[cfg(test)]
mod reference;
mod remote;
mod run;
mod sandbox;
mod schemas;
mod service_links;
mod settings;
mod sources;
mod swap;
mod topics;

#[cfg(test)]
mod tests;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::config::Command;
use mapper_terminal::output::escape;
use sources::{Environment, Sources};

/// The reason why there is nothing to run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CliError {
    /// The user asked for help or the version: this text goes to stdout, and the exit code is 0.
    #[error("{0}")]
    Help(String),
    /// The configuration is wrong: this message (without `error:`) goes to stderr, and the exit code is 2.
    #[error("{0}")]
    Wrong(String),
    /// As [`CliError::Wrong`], about one setting.
    #[error("{message}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// The mistake and its fix.
        message: String,
    },
}

/// Reads the arguments, of which the first is the program, the environment and the settings file.
/// It reads neither the plugin nor anything of Kafka.
///
/// # Errors
/// See [`CliError`].
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
) -> Result<Command, CliError> {
    let matches = definition::command().try_get_matches_from(arguments).map_err(from_clap)?;
    let environment = Environment::new(environment);
    match matches.subcommand() {
        Some(("completions", matches)) => Ok(pages::completions(matches, definition::command())),
        Some(("man", matches)) => Ok(pages::man(matches, definition::command())),
        Some(("generate", matches)) => {
            let sources = Sources::new(&settings::GENERATE, matches, &environment)?;
            generate::config(&sources).map(|config| Command::Generate(Box::new(config)))
        }
        Some(("audit", matches)) => {
            let sources = Sources::new(&settings::AUDIT, matches, &environment)?;
            audit::config(matches, &sources).map(|config| Command::Audit(Box::new(config)))
        }
        Some(("console", matches)) => {
            console::config(matches, &environment).map(|config| Command::Console(Box::new(config)))
        }
        Some(("check", matches)) if check_file::is_meant(matches) => {
            check_file::config(matches, &environment).map(|config| Command::CheckFile(Box::new(config)))
        }
        Some(("dlq", matches)) => {
            dlq::command_config(matches, &environment).map(|config| Command::Dlq(Box::new(config)))
        }
        Some((name, matches)) if author::is_one(name) => author::command(name, matches, &environment),
        Some((name, matches)) if remote::NAMES.contains(&name) => {
            let sources = Sources::new(&settings::REMOTE, matches, &environment)?;
            remote::config(name, matches, &sources).map(Command::Remote)
        }
        run => {
            let matches = run.map_or(&matches, |(_run, matches)| matches);
            let (sources, mistakes) = Sources::read_all(&settings::RUN, matches, &environment)?;
            run::config(&sources, mistakes).map(|config| Command::Run(Box::new(config)))
        }
    }
}

fn from_clap(mut error: clap::Error) -> CliError {
    quote_arguments(&mut error);
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => CliError::Help(text),
        _ => CliError::Wrong(text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned()),
    }
}

/// An argument in a message of clap may contain a secret, such as `sasl.password=…` without its `--kafka`, and
/// line breaks that would look like a part of the message.
fn quote_arguments(error: &mut clap::Error) {
    let quote = |text: &str| {
        let shown = text.split_once('=').map_or_else(|| text.to_owned(), |(name, _)| format!("{name}=…"));
        escape::line(&sources::without_credentials(&shown)).into_owned()
    };
    let quoted: Vec<_> = error
        .context()
        .filter(|(kind, _)| GIVEN.contains(kind))
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, ContextValue::String(quote(text)))),
            ContextValue::Strings(texts) => {
                Some((kind, ContextValue::Strings(texts.iter().map(|text| quote(text)).collect())))
            }
            _ => None,
        })
        .collect();
    for (kind, value) in quoted {
        if error.get(kind) != Some(&value) {
            // The suggestion contains the argument.
            error.remove(ContextKind::Suggested);
        }
        error.insert(kind, value);
    }
}

/// The arguments that the message of clap contains.
const GIVEN: [ContextKind; 4] =
    [ContextKind::InvalidArg, ContextKind::InvalidSubcommand, ContextKind::InvalidValue, ContextKind::TrailingArg];
