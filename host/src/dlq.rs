//! The commands for dead letters. They read Kafka directly, without a group and without a running host.

mod cases;
mod discard;
mod export;
mod groups;
mod letters;
mod mark;
mod progress;
mod states;
mod text;

use mapper_author::Outcome;
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_terminal::console::Console;

use crate::config::{DlqCommand, DlqConfig};
use states::Access;

/// # Errors
/// If Kafka can't be read or written, or if nothing is selected that a command needs.
pub fn run(config: &DlqConfig) -> Result<Outcome, Halt> {
    Console::log_only(config.log.format, &config.log.filter).map_err(Halt::configuration)?;
    let access = Access::connect(&config.topics, &Shutdown::default())?;
    match &config.command {
        DlqCommand::Groups(filter) => groups::print(&access, filter, config.json)?,
        DlqCommand::List { filter, limit } => letters::list(&access, filter, *limit, config.json)?,
        DlqCommand::Show { filter } => letters::show(&access, filter, config.json)?,
        DlqCommand::Export(filter) => export::export(&access, filter)?,
        DlqCommand::Cases { filter, limit } => cases::print(&access, filter, *limit)?,
        DlqCommand::Mark { group, mark, reason } => mark::mark(&access, group, mark, reason)?,
        DlqCommand::Discard { filter, reason } => discard::discard(&access, filter, reason)?,
    }
    Ok(Outcome::Success)
}
