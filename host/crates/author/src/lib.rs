//! What a plugin's author works with: projects from templates, cases, and mapping without Kafka.

#![deny(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

pub mod bench;
pub mod build;
pub mod cases;
pub mod check;
pub mod config;
mod diff;
pub mod guest;
mod input;
mod json;
mod junit;
pub mod map;
pub mod new;
pub mod project;
pub mod records;
pub mod services;
pub mod templates;
pub mod test;
mod watch;

use crate::config::AuthorCommand;
use crate::services::Services;
use mapper_core::shutdown::{Cause, Halt};
use mapper_terminal::console::Console;
use mapper_terminal::console::LogConfig;

/// How an author's command ended, if it could be carried out at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is as it should be.
    Good,
    /// Some cases don't hold.
    CasesFailed,
    /// A file can't be a plugin here.
    DoesNotFit,
    /// Some records could not be mapped.
    RecordsFailed,
}

impl Outcome {
    /// The exit code of the process (documented in the README).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::CasesFailed => 1,
            Self::DoesNotFit => Cause::Plugin.exit_code(),
            Self::RecordsFailed => 10,
        }
    }
}

/// Carries out a command.
///
/// # Errors
/// Why it could not be carried out.
pub fn run(command: &AuthorCommand, services: &dyn Services) -> Result<Outcome, Halt> {
    let log = |log: &LogConfig| Console::log_only(log.format, &log.filter).map_err(Halt::configuration);
    match command {
        AuthorCommand::New(config) => {
            new::new(config)?;
            Ok(Outcome::Good)
        }
        AuthorCommand::Test(config) => {
            log(&config.guest.log)?;
            test::test(config)
        }
        AuthorCommand::Check(config) => {
            log(&config.guest.log)?;
            check::check(config)
        }
        AuthorCommand::Contract { json } => {
            check::contract(*json);
            Ok(Outcome::Good)
        }
        AuthorCommand::Bench(config) => {
            log(&config.guest.log)?;
            bench::bench(config)
        }
        AuthorCommand::Map(config) => {
            log(&config.guest.log)?;
            map::map(config, services)
        }
    }
}
