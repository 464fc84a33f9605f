//! Dead letters and their groups: the JSON of the `dlq` commands and of the admin API.

use mapper_core::identity::Version;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The groups of the dead letters of a topic. Times are UTC in RFC 3339.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LetterGroups {
    /// The dead-letter topic.
    pub topic: String,
    /// The topic of the states.
    pub state_topic: String,
    /// The groups with open letters, the largest first.
    pub groups: Vec<LetterGroup>,
    /// The letters of the topic.
    pub letters: LetterCounts,
    /// Groups beyond the limit, and muted or resolved groups that the state excludes. Only in the admin API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_groups: Option<u64>,
    /// The time of which the answer is, if the host could not read the latest letters and decisions in time; else the answer has all that
    /// Kafka had at the request. Only in the admin API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// The letters of a topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LetterCounts {
    /// Letters that nothing has been done about.
    pub open: u64,
    /// Letters that were redriven, returned, discarded, or replaced by a later letter.
    pub closed: u64,
    /// Open letters that the filters exclude.
    pub filtered_out: u64,
    /// Open letters in groups beyond the limit.
    pub in_other_groups: u64,
    /// Records of the topic that are no dead letters in a known format.
    pub foreign: u64,
    /// Offsets before the first record: letters that the retention of the topic has removed.
    pub removed: u64,
    /// Records of the state topic that are not of this program.
    pub foreign_states: u64,
}

/// The state of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LetterGroupState {
    /// It was resolved, and a letter shows that it fails again.
    Regressed,
    /// Its first letter is less than three days old, and nobody has decided about it.
    New,
    /// Nobody has decided about it.
    Ongoing,
    Acknowledged,
    /// It is ignored, perhaps until a time.
    Muted,
    Resolved,
}

impl LetterGroupState {
    pub const ALL: [Self; 6] =
        [Self::Regressed, Self::New, Self::Ongoing, Self::Acknowledged, Self::Muted, Self::Resolved];

    pub fn name(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::New => "new",
            Self::Ongoing => "ongoing",
            Self::Acknowledged => "acknowledged",
            Self::Muted => "muted",
            Self::Resolved => "resolved",
        }
    }
}

/// Open letters with the same fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LetterGroup {
    pub fingerprint: String,
    pub state: LetterGroupState,
    /// The kind of failure, or the class of an exception.
    pub kind: String,
    /// The message of the first letter. That letter may be closed or removed; the messages of the others can have other numbers.
    #[serde(default)]
    #[schemars(extend("x-payload" = "message"))]
    pub message: String,
    /// The number of open letters.
    pub count: u64,
    /// When the first and the last of them failed.
    pub first_failed: Option<String>,
    pub last_failed: Option<String>,
    /// The share of the group in all letters, whatever the filters are, from 0 to 1.
    pub share_of_letters: f64,
    /// The share of the group in the records from its first to its last failed one, from 0 to 1; null if their positions are unknown.
    pub share_of_records: Option<f64>,
    /// When they failed.
    pub trend: LetterTrend,
    /// The highest number of failures of a record.
    pub max_attempt: u32,
    /// The versions of the plugin, each with its number of letters.
    pub versions: Vec<VersionCount>,
    /// The positions of the first and of the last letters, in the order of the times when they failed.
    pub samples: Vec<String>,
    /// The last decision about the group.
    pub decision: Option<Decision>,
    /// Earlier decisions, the last one first.
    pub history: Vec<Decision>,
}

/// How many letters failed in each interval of the last day. Letters that failed before are not counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LetterTrend {
    /// The beginning of the first interval.
    pub from: String,
    /// The length of an interval.
    pub interval_seconds: u64,
    /// The number of letters of each interval, the oldest first. The last interval is the present one.
    pub counts: Vec<u64>,
}

/// A group with some of its letters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LetterGroupDetails {
    #[serde(flatten)]
    pub group: LetterGroup,
    /// The first letters of the group.
    pub letters: Vec<Letter>,
    /// As in [`LetterGroups`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// A version of the plugin, and how many letters it has caused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersionCount {
    #[serde(flatten)]
    pub version: Version,
    pub count: u64,
}

/// What somebody has decided about a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// `acknowledged`, `resolved`, `muted` or `reopened`.
    pub mark: String,
    pub at: String,
    /// The user and the machine.
    pub by: String,
    pub reason: String,
    /// When a muted group is no longer ignored; null is never.
    pub until: Option<String>,
    /// The digest of the version that resolves the group.
    pub version: Option<String>,
}

/// One dead letter. Bytes that are not UTF-8 are in base64, in the field with that name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Letter {
    /// `TOPIC/PARTITION@OFFSET` of the letter.
    pub position: String,
    /// `TOPIC/PARTITION@OFFSET` of the record that failed, if it is known.
    pub source: Option<String>,
    /// `open` or `closed`.
    pub state: String,
    /// The program that wrote it: `mapper-host/1`, `mapper-host/2`, `envelope`, `kafka-connect`, `spring` or `kafka-streams`.
    pub format: String,
    pub kind: String,
    pub fingerprint: String,
    #[serde(default)]
    #[schemars(extend("x-payload" = "message"))]
    pub message: String,
    /// The backtrace and the last log lines of the plugin, or the stack trace of an exception.
    #[schemars(extend("x-payload" = "message"))]
    pub backtrace: Option<String>,
    pub plugin: Option<Version>,
    /// How many times the record has failed.
    pub attempt: u32,
    pub failed_at: Option<String>,
    /// The parts of the record that did not fit into the letter.
    pub cut: Option<String>,
    /// The record that failed; null if it can't be read from the letter.
    pub input: Option<LetterInput>,
}

/// The record that failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LetterInput {
    #[schemars(extend("x-payload" = "key"))]
    pub key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-payload" = "key-base64"))]
    pub key_base64: Option<String>,
    /// Null is a tombstone, if there is no `value_base64`.
    #[schemars(extend("x-payload" = "value"))]
    pub value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-payload" = "value-base64"))]
    pub value_base64: Option<String>,
    /// Names with values; a value that is not UTF-8 is in base64 after `base64:`.
    #[serde(default)]
    #[schemars(extend("x-payload" = "headers"))]
    pub headers: Vec<(String, Option<String>)>,
    /// Milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
}

/// A part of the list of letters, in the order of partition and offset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LetterPage {
    pub letters: Vec<Letter>,
    /// The value of `after` for the next page; null after the last letter.
    pub next: Option<String>,
    /// As in [`LetterGroups`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// The body of a decision about a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    /// Why; it is recorded.
    pub reason: String,
    /// Only of `mute`: when the group is no longer ignored, in RFC 3339; null is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Only of `resolve`: the digest of the version that resolves the group, or its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The body of a request that discards letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscardRequest {
    /// Why; it is recorded.
    pub reason: String,
}

/// A decision about a group, as it was recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordedDecision {
    pub fingerprint: String,
    /// The kind of failure of the group.
    pub kind: String,
    /// The number of its letters.
    pub count: u64,
    pub decision: Decision,
}

/// How many letters were closed without processing them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiscardedLetters {
    /// The dead-letter topic.
    pub topic: String,
    pub discarded: u64,
    pub reason: String,
}
