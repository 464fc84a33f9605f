//! Try-outs and redrives of dead letters: the JSON of the `dlq` commands and of the admin API.

use std::collections::BTreeMap;

use mapper_core::identity::Version;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a version does with dead letters. Nothing was written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LetterTryOut {
    /// The letters that the version has mapped.
    pub letters: u64,
    /// Letters that the version maps without a failure.
    pub passed: u64,
    /// The outputs of these.
    pub outputs: u64,
    /// Letters that have no output now.
    pub skipped: u64,
    /// Letters that fail with the fingerprint that they have.
    pub failed_as_before: u64,
    /// Letters that fail with another fingerprint.
    pub failed_differently: u64,
    /// The failures with another fingerprint, by their fingerprint.
    pub new_failures: BTreeMap<String, NewFailure>,
    /// Letters that pass.
    pub samples: Vec<TriedLetter>,
    /// The version that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Letters that were not mapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOutLetters>,
}

/// Failures with a fingerprint that their letters did not have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NewFailure {
    pub kind: String,
    #[serde(default)]
    #[schemars(extend("x-payload" = "message"))]
    pub message: String,
    pub count: u64,
    pub samples: Vec<TriedLetter>,
}

/// A record with its failure in the letter and its result now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TriedLetter {
    /// `TOPIC/PARTITION@OFFSET` of the record.
    pub record: String,
    #[serde(default)]
    #[schemars(extend("x-payload" = "result"))]
    pub before: String,
    #[serde(default)]
    #[schemars(extend("x-payload" = "result"))]
    pub now: String,
}

/// Selected letters that are not mapped, by the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOutLetters {
    /// Their records have failed too often (`max-attempts`).
    pub exhausted: u64,
    /// Parts of their records were cut, and the records are not in their topic any more.
    pub lost: u64,
    /// Their key has an output with a later timestamp than their record. They are left out only with `stale-keys=skip`.
    pub stale: u64,
}

/// How far a redrive is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RedriveProgress {
    /// The letters that it takes.
    pub letters: u64,
    /// Letters whose results are committed.
    pub done: u64,
    /// The outputs of these.
    pub outputs: u64,
    /// Letters without an output.
    pub skipped: u64,
    /// Letters that were replaced by a new one, because their record failed again.
    pub failed_again: u64,
    pub per_second: f64,
    pub seconds_left: Option<f64>,
}

/// What a redrive of the admin API does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RedriveState {
    /// It loads the plugin and looks for the letters.
    Starting,
    /// It maps letters.
    Running,
    /// A batch is done, and the next one waits for `POST /redrives/{id}/continue`.
    Waiting,
    /// It ends after the open transaction.
    Stopping,
    /// All letters are done.
    Finished,
    /// It was stopped. The next redrive takes the other letters.
    Stopped,
    /// It ended with an error. The next redrive takes the letters that are not done.
    Failed,
}

impl RedriveState {
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Finished | Self::Stopped | Self::Failed)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Stopping => "stopping",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// A redrive of the admin API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Redrive {
    /// Identifies it among the redrives of the pipeline.
    pub id: String,
    pub state: RedriveState,
    /// Who started it: `http` and the machine.
    pub by: String,
    /// The start, in RFC 3339.
    pub started: String,
    /// The end, in RFC 3339.
    pub ended: Option<String>,
    /// The version that maps the letters; null until it is loaded, and if the records go to their input topics.
    pub version: Option<Version>,
    /// Whether the records go to their input topics.
    pub to_input: bool,
    pub progress: RedriveProgress,
    /// The failures of groups that no letter had before: the first one of each, by its fingerprint; 100 groups at most.
    #[serde(default)]
    #[schemars(extend("x-payload" = "result"))]
    pub new_groups: BTreeMap<String, String>,
    /// Letters that were left out; null until the end.
    pub left_out: Option<LeftOutLetters>,
    /// Why it failed, and how to fix it.
    #[schemars(extend("x-payload" = "sentence"))]
    pub error: Option<String>,
}
