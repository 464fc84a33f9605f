//! The body of a post to the URL of `--alert-webhook`.

use mapper_core::identity::Version;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of [`AlertPost`].
pub const ALERT_VERSION: u32 = 1;

/// The body of a post to the URL of `--alert-webhook`: groups of failures that a person should look at. Times are UTC in RFC 3339.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertPost {
    /// The version of this format, 1. Fields may be added without another version.
    pub version: u32,
    /// The name of the machine.
    pub host: String,
    /// When the host sent the post.
    pub sent_at: String,
    /// The groups, at most 100.
    pub groups: Vec<AlertGroup>,
    /// Groups since the start of the process that are in no accepted post: too many waited, or the receiver rejected them.
    pub dropped: u64,
}

/// A group of failures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertGroup {
    /// Why it is in the post.
    pub state: AlertState,
    /// The name of the pipeline.
    pub pipeline: String,
    /// The topic of its dead letters.
    pub dead_letter_topic: String,
    /// The active version of the plugin; null if it is not known.
    pub plugin: Option<Version>,
    /// The fingerprint in the header `mapper-host.failure` of the dead letters.
    pub fingerprint: String,
    /// The kind of failure.
    pub kind: String,
    /// The number of failures when the group was seen.
    pub count: u64,
    /// When the first of these was processed.
    pub first_seen: String,
    /// When the last of these was processed.
    pub last_seen: String,
    /// One of the failures.
    pub example: AlertExample,
}

/// Why a group is in a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlertState {
    /// The host has not seen the group since its start.
    New,
    /// The group was resolved, and a record fails like that again.
    Regressed,
}

/// A failed record, without its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertExample {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// The message, cut after some hundred bytes. The plugin may quote the record in it.
    pub message: String,
}
