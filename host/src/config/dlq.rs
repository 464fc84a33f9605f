//! The configuration of the commands for dead letters.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{LogConfig, Pairs};
use mapper_api::dead_letters::LetterGroupState;
use mapper_dead_letters::Selection;

/// A command for dead letters.
#[derive(Debug, Clone)]
pub struct DlqConfig {
    pub topics: DlqTopics,
    pub command: DlqCommand,
    /// Whether to print JSON.
    pub json: bool,
    pub log: LogConfig,
}

/// The topics of the dead letters, and how to reach them.
#[derive(Debug, Clone)]
pub struct DlqTopics {
    pub brokers: String,
    /// The librdkafka properties of the user.
    pub kafka: Pairs,
    pub connect_timeout: Duration,
    pub dead_letters: String,
    /// The topic of the states.
    pub states: String,
}

/// What to do.
#[derive(Debug, Clone)]
pub enum DlqCommand {
    Groups(LetterFilter),
    List {
        filter: LetterFilter,
        limit: Option<u64>,
    },
    Show {
        filter: LetterFilter,
    },
    Export(LetterFilter),
    Cases {
        filter: LetterFilter,
        limit: Option<u64>,
    },
    /// Decide about a group.
    Mark {
        group: String,
        mark: GroupMark,
        reason: String,
    },
    /// Resolve letters without processing them.
    Discard {
        filter: LetterFilter,
        reason: String,
    },
}

/// A decision about a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupMark {
    Acknowledge,
    /// The version that resolves the group, if it is known.
    Resolve(Option<String>),
    /// When the group is no longer ignored; `None` is never.
    Mute(Option<DateTime<Utc>>),
    Reopen,
}

/// Which letters are meant.
#[derive(Debug, Clone, Default)]
pub struct LetterFilter {
    pub selection: Selection,
    pub state: StateFilter,
}

/// The state of the letters that are meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StateFilter {
    /// Letters that nothing has been done about.
    #[default]
    Open,
    /// Letters that something has been done about.
    Closed,
    All,
    /// Open letters of groups in this state.
    Group(LetterGroupState),
}

impl StateFilter {
    /// The values of `--state`.
    pub fn all() -> impl Iterator<Item = (&'static str, Self)> {
        let letters = [("open", Self::Open), ("closed", Self::Closed), ("all", Self::All)];
        letters.into_iter().chain(LetterGroupState::ALL.map(|state| (state.name(), Self::Group(state))))
    }
}
