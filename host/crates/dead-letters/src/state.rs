//! What has been done about dead letters and their groups, as records of a compacted topic.
//!
//! - `letter TOPIC/PARTITION@OFFSET` is the resolution of the letters of one failed record.
//! - `group FINGERPRINT` is the state of a group.
//! - `redrive` is the claim of the redrive that runs.
//!
//! The values are JSON with a version `v`. A reader refuses a version that it does not know: it would overlook resolutions.

mod records;
pub(crate) mod resolutions;

use std::collections::{BTreeMap, HashMap};

use mapper_core::dead_letter::DeadLetter;
use mapper_core::record::Record;
use serde::de::DeserializeOwned;

pub use records::{Action, Claim, GroupRecord, Mark, Outcome, Resolution, VERSION};
pub use resolutions::{OutcomeCounts, Resolutions};

use crate::selection::Position;

/// The key of a record in the state topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateKey {
    /// The position of a failed record.
    Letter(Position),
    /// A fingerprint.
    Group(String),
    Redrive,
}

impl StateKey {
    fn parse(key: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(key).ok()?;
        match text.split_once(' ') {
            None if text == "redrive" => Some(Self::Redrive),
            Some(("letter", position)) => Position::parse(position).map(Self::Letter),
            Some(("group", fingerprint)) => Some(Self::Group(fingerprint.to_owned())),
            _ => None,
        }
    }
}

impl std::fmt::Display for StateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Letter(position) => write!(f, "letter {position}"),
            Self::Group(fingerprint) => write!(f, "group {fingerprint}"),
            Self::Redrive => f.write_str("redrive"),
        }
    }
}

/// A record of the state topic that this program can't use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateError {
    /// A later version of the program wrote it.
    Newer { key: String, version: u64 },
    /// Another program wrote it, or it is damaged.
    Foreign { key: String, reason: String },
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Newer { key, version } => write!(
                f,
                "the record '{key}' has version {version}, and this program knows version {VERSION}. Use a newer mapper-host"
            ),
            Self::Foreign { key, reason } => write!(f, "the record '{key}' is not one of mapper-host: {reason}"),
        }
    }
}

/// What a record of the state topic says. Without a value, the record before is withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateChange {
    /// The position of a failed record, and what has been done about its letters.
    Letter(Position, Option<Resolution>),
    /// A fingerprint, and the decisions about its group.
    Group(String, Option<GroupRecord>),
    Redrive(Option<Claim>),
}

impl StateChange {
    /// Reads a record of the state topic.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn read(record: Record<'_>) -> Result<Self, StateError> {
        Self::parse(record.key(), record.value())
    }

    /// Parses the key and the value of a record of the state topic.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn parse(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Self, StateError> {
        let shown = || String::from_utf8_lossy(key.unwrap_or_default()).into_owned();
        let Some(key) = key.and_then(StateKey::parse) else {
            return Err(StateError::Foreign { key: shown(), reason: "its key is unknown".to_owned() });
        };
        Ok(match key {
            StateKey::Letter(position) => Self::Letter(position, parse(value, &shown)?),
            StateKey::Group(fingerprint) => Self::Group(fingerprint, parse(value, &shown)?),
            StateKey::Redrive => Self::Redrive(parse(value, &shown)?),
        })
    }
}

/// The present state: the last record of each key.
#[derive(Debug, Clone, Default)]
pub struct StateTable {
    resolutions: Resolutions,
    groups: HashMap<String, GroupRecord>,
    claim: Option<Claim>,
}

impl StateTable {
    /// Applies the next record of the topic.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn apply(&mut self, record: Record<'_>) -> Result<(), StateError> {
        match StateChange::read(record)? {
            StateChange::Letter(position, Some(resolution)) => self.resolutions.add(&position, &resolution),
            StateChange::Letter(position, None) => self.resolutions.remove(&position),
            StateChange::Group(fingerprint, Some(record)) => drop(self.groups.insert(fingerprint, record)),
            StateChange::Group(fingerprint, None) => drop(self.groups.remove(&fingerprint)),
            StateChange::Redrive(claim) => self.claim = claim,
        }
        Ok(())
    }

    /// Prepares the table for look-ups, after the last record.
    pub fn finish(&mut self) {
        self.resolutions.finish();
    }

    /// Whether nothing has been done yet about a letter.
    pub fn is_open(&self, letter: &DeadLetter<'_>) -> bool {
        let at = letter.position();
        let resolved = self.resolutions.last_letter(&letter.source_or_self().into(), at.partition);
        resolved.is_none_or(|resolved| at.offset > resolved)
    }

    /// The letters of a failed record that are resolved once these are, too: for each partition, the offset of the last one.
    pub fn resolved_with(
        &self,
        source: &Position,
        letters: impl IntoIterator<Item = (i32, i64)>,
    ) -> BTreeMap<i32, i64> {
        let mut resolved: BTreeMap<i32, i64> = self.resolved_letters(source).collect();
        for (partition, offset) in letters {
            let last = resolved.entry(partition).or_insert(offset);
            *last = (*last).max(offset);
        }
        resolved
    }

    /// The letters of a failed record that are resolved: for each partition of the dead-letter topic, the offset of the last one.
    pub fn resolved_letters(&self, source: &Position) -> impl Iterator<Item = (i32, i64)> {
        self.resolutions.letters(source)
    }

    /// The number of failed records by the last thing done about them.
    pub fn outcomes(&self) -> OutcomeCounts {
        self.resolutions.outcomes()
    }

    pub fn group(&self, fingerprint: &str) -> Option<&GroupRecord> {
        self.groups.get(fingerprint)
    }

    /// The redrive that has claimed the dead-letter topic last.
    pub fn claim(&self) -> Option<&Claim> {
        self.claim.as_ref()
    }
}

fn parse<T: DeserializeOwned>(value: Option<&[u8]>, key: &impl Fn() -> String) -> Result<Option<T>, StateError> {
    let Some(value) = value else { return Ok(None) };
    let foreign = |error: serde_json::Error| StateError::Foreign { key: key(), reason: error.to_string() };
    match serde_json::from_slice::<Head>(value).map_err(foreign)? {
        Head { v } if v > VERSION => Err(StateError::Newer { key: key(), version: v }),
        Head { .. } => serde_json::from_slice(value).map(Some).map_err(foreign),
    }
}

/// The part of a value that every version has.
#[derive(serde::Deserialize)]
struct Head {
    v: u64,
}

#[cfg(test)]
mod tests;
