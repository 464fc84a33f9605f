//! The values of the state topic.

use std::collections::BTreeMap;

use chrono::Utc;
use serde::{Deserialize, Serialize};

use mapper_core::dead_letter::DeadLetter;

/// The version of the values that this program writes.
pub const VERSION: u64 = 1;
/// A redrive that does not renew its claim for so long has died.
const CLAIM_MS: i64 = 60_000;
/// The most actions in the record of a group.
const MAX_HISTORY: usize = 20;

/// What has been done about a failed record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Its outputs are written.
    Redriven,
    /// It failed again. A new letter replaces the old one.
    FailedAgain,
    /// It was written to its input topic again.
    Returned,
    /// It is not processed any more.
    Discarded,
}

/// The resolution of the letters of a failed record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    pub v: u64,
    pub outcome: Outcome,
    /// For each partition of the dead-letter topic, the offset of the last letter that is resolved. Later letters of the record are open.
    pub letters: BTreeMap<i32, i64>,
    /// The time, in RFC 3339.
    pub at: String,
    /// The user and the machine.
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The digest of the version that mapped the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The outputs of the record that were written with the resolution, by topic.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, u64>,
}

/// What a person has decided about a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    Acknowledged,
    Resolved,
    Muted,
    /// The group has no mark any more.
    Reopened,
}

impl Mark {
    pub fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
            Self::Muted => "muted",
            Self::Reopened => "reopened",
        }
    }
}

/// One decision about a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    pub mark: Mark,
    /// The time, in RFC 3339.
    pub at: String,
    /// The user and the machine.
    pub by: String,
    pub reason: String,
    /// For [`Mark::Muted`]: when it ends, in RFC 3339; `None` is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// For [`Mark::Resolved`]: the digest of the version that resolves the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The decisions about a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    pub v: u64,
    /// The last decision.
    pub last: Action,
    /// For [`Mark::Resolved`]: the end offsets of the dead-letter topic at that time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ends: BTreeMap<i32, i64>,
    /// For [`Mark::Resolved`]: the digests of the versions that had failed before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_versions: Vec<String>,
    /// Earlier decisions, the last one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Action>,
}

impl GroupRecord {
    /// The record of a decision, after those of an earlier record.
    pub fn new(action: Action, before: Option<&Self>) -> Self {
        let mut history = Vec::new();
        if let Some(before) = before {
            history.push(before.last.clone());
            history.extend(before.history.iter().take(MAX_HISTORY - 1).cloned());
        }
        Self { v: VERSION, last: action, ends: BTreeMap::new(), failed_versions: Vec::new(), history }
    }

    /// Whether a letter shows that a resolved group fails again. Letters that were there before do not. Neither do later letters of
    /// versions that had failed before, if a version resolves the group: that version may not be active everywhere yet.
    pub fn is_regression(&self, letter: &DeadLetter<'_>) -> bool {
        let at = letter.position();
        self.is_regression_at(at.partition, at.offset, letter.plugin.map(|plugin| plugin.digest))
    }

    /// The same for a letter in this partition of the dead-letter topic, with the digest of the version that failed.
    pub fn is_regression_at(&self, partition: i32, offset: i64, digest: Option<&str>) -> bool {
        if self.last.mark != Mark::Resolved || self.ends.get(&partition).is_some_and(|end| offset < *end) {
            return false;
        }
        let (Some(resolving), Some(digest)) = (&self.last.version, digest) else { return true };
        digest == resolving || !self.failed_versions.iter().any(|failed| failed == digest)
    }
}

/// The claim of a redrive on its dead-letter topic. Each transaction renews it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub v: u64,
    /// The machine and the process.
    pub host: String,
    pub process: u32,
    pub by: String,
    /// When it started, in RFC 3339.
    pub started: String,
    /// Until when it is valid without a renewal, in milliseconds since 1970.
    pub expires_ms: i64,
    /// The letters that it has resolved so far.
    pub resolved: u64,
    /// Whether it has ended.
    pub ended: bool,
}

impl Claim {
    /// Extends the claim.
    pub fn renew(&mut self) {
        self.expires_ms = Utc::now().timestamp_millis() + CLAIM_MS;
    }

    /// Whether another redrive must wait at this time.
    pub fn is_valid(&self, now_ms: i64) -> bool {
        !self.ended && now_ms < self.expires_ms
    }
}
