//! The answers of `/swap`, `/rollback`, `/history` and `/shadow`, and the versions in `/status`.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use mapper_core::counts::Tally;
pub use mapper_core::identity::{Trigger, Version};
use mapper_core::partition_key::PartitionKey;
use mapper_core::topics::Recreation;

/// The outcome of a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SwapOutcome {
    /// The new version is active on all workers.
    Swapped,
    /// The version was active already.
    Unchanged,
    /// The try-out succeeded; a dry run does not swap.
    Tried,
    /// Not all workers have switched yet, as when Kafka does not answer. They will.
    Switching,
    /// The old version stays active.
    Refused,
}

impl SwapOutcome {
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

/// A step of a swap, in the order of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The host reads the file.
    Read,
    /// It validates and compiles the plugin.
    Compile,
    /// It creates an instance and passes the settings.
    Configure,
    /// The version maps recent records and runs its cases.
    TryOut,
    /// Each worker switches between two transactions.
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

/// A record for which two versions differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The record, as `visits, partition 0, offset 12`, or the name of a case.
    pub record: String,
    /// Its value, cut after some hundred bytes.
    #[serde(default)]
    #[schemars(extend("x-payload" = "value"))]
    pub input: String,
    /// The result of the old version, or the expected result of the case.
    #[serde(default)]
    #[schemars(extend("x-payload" = "result"))]
    pub old: String,
    /// The result of the new version.
    #[serde(default)]
    #[schemars(extend("x-payload" = "result"))]
    pub new: String,
}

/// The results of a try-out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TryOut {
    /// The number of recent records that the version mapped.
    pub records: usize,
    /// The number of cases.
    pub cases: usize,
    /// Records and cases with the same result.
    pub same: usize,
    /// Records and cases with another result, including the two below.
    pub different: usize,
    /// Those that succeeded with the old version and fail with the new one.
    pub broken: usize,
    /// Those that failed with the old version and succeed with the new one.
    pub fixed: usize,
    /// The first differences, failures first.
    pub differences: Vec<Difference>,
}

/// The answer to a swap or a rollback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The outcome.
    pub outcome: SwapOutcome,
    /// The step that refused the version; null if none did.
    pub step: Option<Step>,
    /// Why it was refused, and how to fix it.
    #[schemars(extend("x-payload" = "sentence"))]
    pub reason: Option<String>,
    /// What started the swap.
    pub by: Trigger,
    /// Whether the try-out was skipped.
    pub forced: bool,
    /// The version that was active before.
    pub from: Version,
    /// The requested version; null until it is known.
    pub to: Option<Version>,
    /// The results of the try-out; null if there was none.
    pub try_out: Option<TryOut>,
    /// Per partition of this host (`0`, or `TOPIC/0` if there are several input topics), the first offset that the new version maps; null if nothing was read there before, so that it
    /// maps all offsets.
    pub offsets: BTreeMap<PartitionKey, Option<i64>>,
    /// The longest pause of a worker, in microseconds.
    pub pause_us: u64,
    /// The duration of the swap, in milliseconds.
    pub took_ms: u64,
    /// The time of the answer, UTC in RFC 3339.
    pub at: String,
}

/// The version that is on probation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbationStatus {
    /// The number of records it has mapped.
    pub records: u64,
    /// The number of records after which the probation ends.
    pub max_records: u64,
    /// The number of records that became dead letters.
    pub failed: u64,
    /// The share of dead letters before; null if there were too few records, so that only traps and timeouts count.
    pub ratio_before: Option<f64>,
}

/// The results of a shadow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShadowStatus {
    /// The candidate.
    pub version: Version,
    /// The active version that it is compared with.
    pub against: Version,
    /// The time of its start, UTC in RFC 3339.
    pub since: String,
    /// Whether it is running.
    pub running: bool,
    /// Why it ended; null while it runs.
    #[schemars(extend("x-payload" = "sentence"))]
    pub ended: Option<String>,
    /// The number of records it has mapped.
    pub seen: u64,
    /// The number of records that it did not map because it was busy.
    pub unseen: u64,
    /// Records with the same result.
    pub same: u64,
    /// Records with another result, including the two below.
    pub different: u64,
    /// Those that fail with it and not with the active version.
    pub broken: u64,
    /// Those that fail with the active version and not with it.
    pub fixed: u64,
    /// The number of records that it fails on, by kind of failure.
    pub failing: BTreeMap<String, u64>,
    /// The first differences.
    pub differences: Vec<Difference>,
}

/// The versions of the plugin, as `/status` shows them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Versions {
    /// The active version, or the one that workers are switching to.
    pub current: Version,
    /// Since when it is active, UTC in RFC 3339.
    pub since: String,
    /// What activated it.
    pub by: Trigger,
    /// The digest of the version that a rollback returns to; null if there is none.
    pub before: Option<String>,
    /// The present step of a swap; null if there is none in progress.
    pub swapping: Option<Step>,
    /// The last swap; null if there was none.
    pub last: Option<Report>,
    /// The probation; null if there is none.
    pub probation: Option<ProbationStatus>,
    /// The running or last shadow; null if there was none.
    pub shadow: Option<ShadowStatus>,
    /// Why the history can't be written; null if it can.
    pub history_error: Option<String>,
}

/// The time in which a version was active: an entry of `GET /history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TermView {
    /// The number of the term: ascending, never reused.
    pub number: u64,
    /// The version.
    #[serde(flatten)]
    pub version: Version,
    /// The time of the decision, UTC in RFC 3339.
    pub since: String,
    /// What activated the version.
    pub by: Trigger,
    /// Whether the try-out was skipped.
    #[serde(default)]
    pub forced: bool,
    /// The digest of the version that a rollback returns to; null if there is none.
    pub before: Option<String>,
    /// Why the version failed its probation in this term; null if it did not.
    #[serde(default)]
    #[schemars(extend("x-payload" = "sentence"))]
    pub probation_failure: Option<String>,
    /// The results of its records; after a crash, as of shortly before it.
    #[serde(default)]
    pub tally: Tally,
    /// Topics that were deleted and created again while the version was active: the offsets of an input topic begin anew there.
    #[serde(default)]
    pub recreations: Vec<Recreation>,
    /// Whether it is the present one.
    pub current: bool,
    /// Per partition (`0`, or `TOPIC/0` if there are several input topics), the offsets that the version mapped, in the order of time.
    pub offsets: BTreeMap<PartitionKey, Vec<SpanView>>,
}

/// A range of offsets of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpanView {
    /// The first offset.
    pub from: i64,
    /// The offset after the last; null while the range is open, and after a crash.
    pub to: Option<i64>,
    /// The offset up to which the range is committed.
    pub reached: i64,
}

/// The effect of a rollback, to look at before it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RollbackPlan {
    /// The active version.
    pub from: Version,
    /// The version that the rollback returns to.
    pub to: Version,
    /// Since when that version was active the last time, UTC in RFC 3339; null if the history has no entry of it.
    pub last_active: Option<String>,
    /// Why it failed its probation then; null if it did not. Only a version that is named in the request may have failed.
    #[schemars(extend("x-payload" = "sentence"))]
    pub probation_failure: Option<String>,
}

/// The answer to a request that was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// The step that refused it; null if there was no such step.
    pub step: Option<Step>,
    /// Why, and how to fix it.
    #[schemars(extend("x-payload" = "sentence"))]
    pub reason: String,
}
