//! Commands for plugin authors: create, build, test, check, bench, and map without Kafka.

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

/// The result of a command that ran to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Success,
    CasesFailed,
    /// The file can't be loaded as a plugin.
    PluginRejected,
    RecordsFailed,
}

impl Outcome {
    /// The exit code of the process (documented in `docs/`).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::CasesFailed => 1,
            Self::PluginRejected => Cause::Plugin.exit_code(),
            Self::RecordsFailed => 10,
        }
    }
}

/// # Errors
/// The command can't run to its end.
pub fn run(command: &AuthorCommand, services: &dyn Services) -> Result<Outcome, Halt> {
    let log = |log: &LogConfig| Console::log_only(log.format, &log.filter).map_err(Halt::configuration);
    match command {
        AuthorCommand::New(config) => {
            new::new(config)?;
            Ok(Outcome::Success)
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
            check::print_contract(*json);
            Ok(Outcome::Success)
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
