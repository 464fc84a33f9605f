//! The configuration of the commands for dead letters.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{GuestConfig, HeaderSet, LogConfig, Pairs, SchemaConfig};
use mapper_api::dead_letters::LetterGroupState;
use mapper_dead_letters::Selection;

/// Records that have failed so often are left out, unless the user gives another number.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 5;

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
    /// Write exported letters to the dead-letter topic.
    Import(PathBuf),
    /// Decide about a group.
    Mark {
        group: String,
        mark: GroupMark,
        reason: String,
    },
    /// Map letters, and produce nothing.
    Try {
        config: Box<RedriveConfig>,
        version: VersionChoice,
    },
    /// Map letters again, and produce the results.
    Redrive {
        config: Box<RedriveConfig>,
        target: RedriveTarget,
    },
    /// Edit the value of a record, and redrive it.
    Edit {
        config: Box<RedriveConfig>,
        target: RedriveTarget,
    },
    /// Resolve letters without processing them.
    Discard {
        filter: LetterFilter,
        reason: String,
    },
}

/// Which version maps letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionChoice {
    /// That of a plugin file.
    File(PathBuf),
    /// A version that a host on this machine has had.
    Earlier {
        /// The digest of the version, or its first digits.
        digest: String,
        place: HistoryPlace,
    },
    /// The active version.
    Active {
        place: HistoryPlace,
        /// The plugin of the settings, for a machine without a history.
        configured: Option<PathBuf>,
    },
}

/// Where the hosts of a pipeline on this machine keep their histories of versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPlace {
    /// The state folder; `None` if the user has no home.
    pub state_dir: Option<PathBuf>,
    /// The consumer group of the pipeline.
    pub group: String,
}

impl DlqCommand {
    /// The letters that a command is about, if it is about some.
    pub fn filter_mut(&mut self) -> Option<&mut LetterFilter> {
        match self {
            Self::Groups(filter) | Self::Show { filter } | Self::Export(filter) => Some(filter),
            Self::List { filter, .. } | Self::Cases { filter, .. } | Self::Discard { filter, .. } => Some(filter),
            Self::Try { config, .. } | Self::Redrive { config, .. } | Self::Edit { config, .. } => {
                Some(&mut config.filter)
            }
            Self::Import(_) | Self::Mark { .. } => None,
        }
    }
}

/// How letters are processed again.
#[derive(Debug, Clone)]
pub struct RedriveConfig {
    pub filter: LetterFilter,
    /// The topics for outputs, the default one first.
    pub outputs: Vec<String>,
    /// How keys and values are decoded and encoded; `None` passes the bytes.
    pub schemas: Option<SchemaConfig>,
    /// The ledger topic, if there is one.
    pub ledger: Option<String>,
    /// The consumer group of the pipeline, for the ledger.
    pub consumer_group: String,
    pub guest: GuestConfig,
    pub dead_letter_headers: HeaderSet,
    pub provenance: bool,
    pub connect_timeout: Duration,
    pub transaction_timeout: Duration,
    pub commit_interval: Duration,
    pub commit_records: usize,
    pub commit_bytes: usize,
    /// Records that have failed so often are left out.
    pub max_attempts: u32,
    /// The most letters.
    pub limit: Option<u64>,
    /// The most letters per second.
    pub rate: Option<f64>,
    /// The sizes of the batches between which the user is asked; `None` is all the rest.
    pub batches: Vec<Option<u64>>,
    /// Whether the next batch begins without a question.
    pub yes: bool,
    /// The value that replaces that of the only letter.
    pub edited: Option<EditedValue>,
    /// What to do about letters whose key has a newer output.
    pub stale_keys: StaleKeys,
    /// Whether a failure of a new group stops the redrive.
    pub stops_on_regression: bool,
    /// Whether to ignore the claim of another redrive.
    pub takes_over: bool,
    pub json: bool,
}

/// The value that a user gave a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditedValue {
    pub value: Vec<u8>,
    /// The user and the machine.
    pub by: String,
}

/// What to do about letters whose key has an output with a later timestamp than their record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StaleKeys {
    /// Redrive and count them.
    #[default]
    Warn,
    /// Leave them out and count them.
    Skip,
    /// Do not look for them.
    Allow,
}

impl StaleKeys {
    pub const ALL: [Self; 3] = [Self::Warn, Self::Skip, Self::Allow];
}

impl fmt::Display for StaleKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warn => "warn",
            Self::Skip => "skip",
            Self::Allow => "allow",
        })
    }
}

/// What becomes of the records.
#[derive(Debug, Clone)]
pub enum RedriveTarget {
    /// A version maps them.
    Map(VersionChoice),
    /// They are written to their input topics again.
    Return,
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
    /// Only letters of versions that failed their probation, by this history.
    pub withdrawn_in: Option<HistoryPlace>,
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
    /// Whether a letter is meant that is open or not, apart from its group.
    pub fn includes(self, is_open: bool) -> bool {
        match self {
            Self::All => true,
            Self::Closed => !is_open,
            Self::Open | Self::Group(_) => is_open,
        }
    }

    /// The values of `--state`.
    pub fn all() -> impl Iterator<Item = (&'static str, Self)> {
        let letters = [("open", Self::Open), ("closed", Self::Closed), ("all", Self::All)];
        letters.into_iter().chain(LetterGroupState::ALL.map(|state| (state.name(), Self::Group(state))))
    }
}
