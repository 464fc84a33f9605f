//! Operations on dead letters, for the commands and for the admin API. They read Kafka directly, without a group.

pub(crate) mod cases;
mod command;
pub(crate) mod discard;
mod edit;
mod error;
mod export;
pub(crate) mod groups;
mod history;
mod import;
mod jobs;
pub(crate) mod letters;
pub(crate) mod lookup;
mod lookups;
pub(crate) mod mark;
pub(crate) mod page;
mod pipeline;
mod progress;
pub(crate) mod redrive;
mod scans;
pub(crate) mod states;
mod text;

use mapper_author::Outcome;
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_terminal::console::Console;

use crate::config::{DlqCommand, DlqConfig};
pub(crate) use error::LetterError;
pub use jobs::RedriveJobs;
pub(crate) use jobs::{RedriveJob, RedriveVersion, Unavailable};
pub use lookups::Lookups;
pub use pipeline::PipelineLetters;
pub(crate) use pipeline::{RedriveOptions, who};
pub(crate) use scans::ScanError;
pub use scans::Scans;
use states::Access;

/// # Errors
/// If Kafka can't be read or written, or if nothing is selected that a command needs.
pub fn run(config: &DlqConfig, shutdown: &Shutdown) -> Result<Outcome, Halt> {
    Console::log_only(config.log.format, &config.log.filter).map_err(Halt::configuration)?;
    let command = &history::add_withdrawn_versions(config.command.clone())?;
    let access = Access::connect(&config.topics, shutdown)?;
    match command {
        DlqCommand::Try { config, version } => return redrive::try_out::try_out(&access, config, version, shutdown),
        DlqCommand::Edit { config, target } => return edit::edit(access, config, target, shutdown),
        DlqCommand::Redrive { config, target } => return redrive::redrive(access, config, target, shutdown),
        DlqCommand::Groups(filter) => command::groups(&access, filter, config.json)?,
        DlqCommand::List { filter, limit } => command::list(&access, filter, *limit, config.json)?,
        DlqCommand::Show { filter } => command::show(&access, filter, config.json)?,
        DlqCommand::Export(filter) => export::export(&access, filter)?,
        DlqCommand::Import(file) => import::import(&access, file)?,
        DlqCommand::Cases { filter, limit } => command::cases(&access, filter, *limit)?,
        DlqCommand::Mark { group, mark, reason } => command::mark(&access, group, mark, reason)?,
        DlqCommand::Discard { filter, reason } => command::discard(&access, filter, reason)?,
    }
    Ok(Outcome::Success)
}
