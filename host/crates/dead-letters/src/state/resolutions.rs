//! Which letters are resolved, in a few bytes each.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::records::{Outcome, Resolution};
use crate::selection::Position;

/// The last resolved letter of a failed record in one partition of the dead-letter topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// Of the position of the failed record. With 128 bits, two positions do not collide.
    hash: (u64, u64),
    offset: i64,
    partition: i32,
    /// `None` if the resolution was removed.
    outcome: Option<Outcome>,
}

/// All resolutions.
#[derive(Debug, Clone, Default)]
pub struct Resolutions {
    /// In the order of the topic; after [`Resolutions::finish`], sorted by failed record and partition.
    entries: Vec<Entry>,
}

/// The number of failed records by the last thing done about them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutcomeCounts {
    pub redriven: u64,
    pub failed_again: u64,
    pub returned: u64,
    pub discarded: u64,
}

pub(crate) fn hash(position: &Position) -> (u64, u64) {
    let hash = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, &position.topic, position.partition, position.offset).hash(&mut hasher);
        hasher.finish()
    };
    (hash(0), hash(1))
}

impl Resolutions {
    pub(super) fn add(&mut self, source: &Position, resolution: &Resolution) {
        let hash = hash(source);
        let entry =
            |(&partition, &offset): (&i32, &i64)| Entry { hash, offset, partition, outcome: Some(resolution.outcome) };
        self.entries.extend(resolution.letters.iter().map(entry));
    }

    pub(super) fn remove(&mut self, source: &Position) {
        self.entries.push(Entry { hash: hash(source), offset: 0, partition: 0, outcome: None });
    }

    pub(super) fn finish(&mut self) {
        // Stable, so that the last entry of a record stays the last.
        self.entries.sort_by_key(|entry| entry.hash);
        let mut kept: Vec<Entry> = Vec::with_capacity(self.entries.len());
        for run in self.entries.chunk_by(|one, other| one.hash == other.hash) {
            let start = run.iter().rposition(|entry| entry.outcome.is_none()).map_or(0, |removed| removed + 1);
            let from = kept.len();
            for entry in &run[start..] {
                match kept[from..].iter_mut().find(|known| known.partition == entry.partition) {
                    Some(known) => *known = Entry { offset: known.offset.max(entry.offset), ..*entry },
                    None => kept.push(*entry),
                }
            }
            // The last record is about all of its letters.
            let last = run.last().and_then(|entry| entry.outcome);
            kept[from..].iter_mut().for_each(|entry| entry.outcome = last);
        }
        self.entries = kept;
        self.entries.shrink_to_fit();
    }

    fn of(&self, source: &Position) -> &[Entry] {
        let hash = hash(source);
        let start = self.entries.partition_point(|entry| entry.hash < hash);
        let count = self.entries[start..].iter().take_while(|entry| entry.hash == hash).count();
        &self.entries[start..start + count]
    }

    /// The offset of the last resolved letter of a failed record in a partition of the dead-letter topic.
    pub(super) fn last_letter(&self, source: &Position, partition: i32) -> Option<i64> {
        if self.entries.is_empty() {
            return None;
        }
        self.of(source).iter().find(|entry| entry.partition == partition).map(|entry| entry.offset)
    }

    pub(super) fn letters(&self, source: &Position) -> impl Iterator<Item = (i32, i64)> {
        self.of(source).iter().map(|entry| (entry.partition, entry.offset))
    }

    pub(super) fn outcomes(&self) -> OutcomeCounts {
        let mut counts = OutcomeCounts::default();
        for run in self.entries.chunk_by(|one, other| one.hash == other.hash) {
            match run[0].outcome {
                Some(Outcome::Redriven) => counts.redriven += 1,
                Some(Outcome::FailedAgain) => counts.failed_again += 1,
                Some(Outcome::Returned) => counts.returned += 1,
                Some(Outcome::Discarded) => counts.discarded += 1,
                None => {}
            }
        }
        counts
    }
}
