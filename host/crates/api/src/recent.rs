//! The answer of `/recent`: a sample of the records that a pipeline has mapped lately.

use mapper_core::identity::Version;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Records that the workers have mapped lately, with their verdicts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecentRecords {
    /// The records that the parameters select, the latest first.
    pub records: Vec<RecentRecord>,
    /// The number of records in the samples of all workers.
    pub sampled: u64,
}

/// A record with its verdict. It may be mapped again, if its transaction was aborted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecentRecord {
    /// `TOPIC/PARTITION@OFFSET`.
    pub position: String,
    /// UTC in RFC 3339.
    pub mapped_at: String,
    /// The version of the plugin that has mapped it.
    pub plugin: Version,
    /// The timestamp of the record, in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    #[schemars(extend("x-payload" = "key"))]
    pub key: Option<Excerpt>,
    /// Null is a tombstone.
    #[schemars(extend("x-payload" = "value"))]
    pub value: Option<Excerpt>,
    /// The number of its headers.
    pub headers: u64,
    pub verdict: RecentVerdict,
    /// Only if it failed.
    pub failure: Option<RecentFailure>,
    /// The first outputs, if it was produced.
    pub outputs: Vec<RecentOutput>,
    /// The number of further outputs.
    pub more_outputs: u64,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecentVerdict {
    /// It has outputs.
    Produced,
    /// It has no output.
    Skipped,
    /// It became a dead letter.
    Failed,
}

impl RecentVerdict {
    pub const ALL: [Self; 3] = [Self::Produced, Self::Skipped, Self::Failed];

    pub fn name(self) -> &'static str {
        match self {
            Self::Produced => "produced",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// Why a record failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecentFailure {
    pub kind: String,
    #[serde(default)]
    #[schemars(extend("x-payload" = "message"))]
    pub message: Excerpt,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecentOutput {
    pub topic: String,
    #[schemars(extend("x-payload" = "key"))]
    pub key: Option<Excerpt>,
    /// Null is a tombstone.
    #[schemars(extend("x-payload" = "value"))]
    pub value: Option<Excerpt>,
}

/// The first bytes of a key, a value or a message, as text or, if they are not UTF-8, in base64.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Excerpt {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// The bytes of the whole.
    pub bytes: u64,
    /// Whether the rest is left out.
    pub cut: bool,
}
