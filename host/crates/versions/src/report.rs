//! What is said of a swap: the answer of the admin server, what `/status` shows, and what the command line prints.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::history::{By, Version};

/// How a swap ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// The new version speaks, on all workers.
    Swapped,
    /// It speaks already.
    Unchanged,
    /// It could be swapped in, and was not, as only that was asked.
    Tried,
    /// It is ready, but not all workers have taken it yet: something else, such as Kafka, keeps them. They will.
    Switching,
    /// The old version stays.
    Refused,
}

impl Ended {
    /// Every way.
    pub const ALL: [Self; 5] = [Self::Swapped, Self::Unchanged, Self::Tried, Self::Switching, Self::Refused];

    /// The way as one word, as the JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Swapped => "swapped",
            Self::Unchanged => "unchanged",
            Self::Tried => "tried",
            Self::Switching => "switching",
            Self::Refused => "refused",
        }
    }
}

/// The steps of a swap, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The bytes are taken in.
    Read,
    /// They are validated and compiled.
    Compile,
    /// An instance is made, and given its settings.
    Configure,
    /// It maps the last records and the cases.
    TryOut,
    /// Each worker takes it between two transactions.
    Switch,
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 5] = [Self::Read, Self::Compile, Self::Configure, Self::TryOut, Self::Switch];

    /// The step as one word, as the JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Compile => "compile",
            Self::Configure => "configure",
            Self::TryOut => "try-out",
            Self::Switch => "switch",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A record on which two versions differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Which: `visits, partition 0, offset 12`, or the name of a case.
    pub record: String,
    /// Its value, cut to some hundred bytes.
    pub input: String,
    /// What the old version, or the case, says.
    pub old: String,
    /// What the new version says.
    pub new: String,
}

/// What a try-out found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TryOut {
    /// Records of the stream that were mapped again.
    pub records: usize,
    /// Cases that were run.
    pub cases: usize,
    /// Those of both that came out the same.
    pub same: usize,
    /// Those that came out otherwise, the failures below among them.
    pub different: usize,
    /// Those that used to pass and now fail.
    pub broken: usize,
    /// Those that used to fail and now pass.
    pub fixed: usize,
    /// The first that differ, failures first.
    pub differences: Vec<Difference>,
}

/// The answer to a request for a swap or a rollback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub outcome: Ended,
    /// The step that refused it.
    pub step: Option<Step>,
    /// Why, with the way out.
    pub reason: Option<String>,
    /// Who asked.
    pub by: By,
    /// Whether the try-out was skipped.
    pub forced: bool,
    /// The version that spoke before.
    pub from: Version,
    /// The version that was asked for, once that is known.
    pub to: Option<Version>,
    /// What the try-out found.
    pub try_out: Option<TryOut>,
    /// Per partition of this host, the first offset for which the new version speaks; null: nothing was ever read there, and it
    /// speaks for all there is.
    pub offsets: BTreeMap<i32, Option<i64>>,
    /// How long the longest pause of a worker was, in microseconds.
    pub pause_us: u64,
    /// How long all of it took, in milliseconds.
    pub took_ms: u64,
    /// When it was answered, UTC in RFC 3339.
    pub at: String,
}

/// The version that is on probation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbationStatus {
    /// Records it has judged.
    pub records: u64,
    /// Records after which it stays.
    pub of: u64,
    /// Those that became dead letters.
    pub failed: u64,
    /// The share that failed before; null: too few records to tell, so only traps and timeouts count.
    pub ratio_before: Option<f64>,
}

/// What a shadow has seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowStatus {
    /// The candidate.
    pub version: Version,
    /// The version it is held against.
    pub against: Version,
    /// Since when, UTC in RFC 3339.
    pub since: String,
    /// Whether it still runs.
    pub running: bool,
    /// Why it ended, if by itself.
    pub ended: Option<String>,
    /// Records it has mapped.
    pub seen: u64,
    /// Records that went by because it was busy with others.
    pub unseen: u64,
    /// Those that came out the same.
    pub same: u64,
    /// Those that came out otherwise.
    pub different: u64,
    /// Those of them on which it fails and the version that speaks doesn't.
    pub broken: u64,
    /// Those of them on which the version that speaks fails and it doesn't.
    pub fixed: u64,
    /// Those on which it fails, by kind.
    pub failing: BTreeMap<String, u64>,
    /// The first that differ.
    pub differences: Vec<Difference>,
}

/// What `/status` says of versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The version that speaks, or is being switched to.
    pub current: Version,
    /// Since when, UTC in RFC 3339.
    pub since: String,
    /// Who asked for it.
    pub by: By,
    /// The digest that a rollback returns to.
    pub before: Option<String>,
    /// The step that a swap is at, if one is going on.
    pub swapping: Option<Step>,
    /// How the last one ended.
    pub last: Option<Report>,
    /// The probation, if one goes on.
    pub probation: Option<ProbationStatus>,
    /// The shadow, or the last one.
    pub shadow: Option<ShadowStatus>,
    /// Why the history can't be written, if that is so.
    pub history_error: Option<String>,
}
