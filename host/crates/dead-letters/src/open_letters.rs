//! Which letters there are, and which of them are open, kept up to date with the dead-letter topic and the state topic, in a bounded
//! memory.
//!
//! A letter must be added before the resolution that closes it: a resolution of an unknown letter is forgotten.

mod decisions;
mod entries;
mod foreign;
mod groups;
mod questions;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

use mapper_api::dead_letters::LetterGroupState;
use mapper_core::dead_letter::DeadLetter;
use mapper_core::record::Positions;

use crate::report::state_of;
use crate::selection::Position;
use crate::state::resolutions::hash;
use crate::state::{GroupRecord, Mark, Outcome, Resolution, StateChange};
use decisions::Decisions;
use entries::{Entries, Entry, UNKNOWN_TIME};
use foreign::ForeignRecords;
use groups::{Group, Groups, OTHERS, is_sampled};
pub use questions::{Counts, Scope};

use crate::groups::{Names, Place};

/// The most letters with an entry. Each takes 48 bytes, and 6 to 11 in the table: at most 77 MiB.
pub const MAX_ENTRIES: usize = 1_500_000;
/// Closed letters are removed if at least one of so many letters is closed, so that it does not happen often.
const CLOSED_SHARE: usize = 16;

/// The letters of a dead-letter topic.
#[derive(Debug)]
pub struct OpenLetters {
    entries: Entries,
    groups: Groups,
    names: Names,
    decisions: Decisions,
    foreign: ForeignRecords,
    /// Offsets before the first record of each partition.
    removed: u64,
    /// Whether closed letters were removed for others.
    has_lost_closed: bool,
    max_entries: usize,
    redriven: u64,
    failed_again: u64,
}

/// A group with open letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenGroup {
    pub fingerprint: String,
    pub state: LetterGroupState,
    pub open: u64,
    /// When the oldest open letter failed, in milliseconds since 1970.
    pub first_ms: Option<i64>,
    pub regression: Option<Regression>,
    /// Up to [`SAMPLES`] open letters: the partition of the dead-letter topic and the offset.
    pub samples: Vec<(i32, i64)>,
}

/// The number of samples of a group.
pub const SAMPLES: usize = 5;

/// The letters that show that a resolved group fails again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regression {
    /// When the group was resolved. It is the identity of the regression.
    pub resolved_at: String,
    pub letters: u64,
    /// The position of the first letter in the dead-letter topic, and when it failed, in milliseconds since 1970.
    pub first: (i32, i64),
    pub first_ms: Option<i64>,
    pub last_ms: Option<i64>,
}

/// The open letters at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    pub open: u64,
    /// When the oldest open letter failed, in milliseconds since 1970.
    pub oldest_ms: Option<i64>,
    pub groups: Vec<OpenGroup>,
    /// Open letters of groups beyond the limit.
    pub in_other_groups: u64,
    /// Whether there were more letters than entries, so that large groups are counted by a sample.
    pub is_estimate: bool,
}

impl Default for OpenLetters {
    fn default() -> Self {
        Self::with_limits(MAX_ENTRIES, groups::MAX_GROUPS)
    }
}

impl OpenLetters {
    fn with_limits(max_entries: usize, max_groups: usize) -> Self {
        Self {
            entries: Entries::default(),
            groups: Groups::new(max_groups),
            names: Names::default(),
            decisions: Decisions::default(),
            foreign: ForeignRecords::default(),
            removed: 0,
            has_lost_closed: false,
            max_entries,
            redriven: 0,
            failed_again: 0,
        }
    }

    /// Adds the next letter of its partition.
    pub fn add(&mut self, letter: &DeadLetter<'_>) {
        self.failed_again += u64::from(letter.attempt > 1);
        let hash = hash(&letter.source_or_self().into()).0;
        if self.groups.is_full() && self.has_many_closed() {
            self.drop_closed();
        }
        let group = self.groups.find_or_insert(&letter.fingerprint);
        if !is_sampled(hash, self.groups.halvings(group)) {
            return;
        }
        let facts = self.names.facts(letter);
        let (partition, offset, failed_ms) = (facts.partition, facts.offset, facts.failed_ms);
        self.entries.push(Entry {
            hash,
            offset,
            source_offset: facts.source_offset,
            failed_ms: failed_ms.unwrap_or(UNKNOWN_TIME),
            partition,
            source: facts.source,
            group,
            version: facts.version,
            attempt: u16::try_from(facts.attempt).unwrap_or(u16::MAX),
            is_closed: false,
        });
        self.groups.added(group, Place { failed_ms, partition, offset }, letter);
        while self.entries.len() > self.max_entries {
            if self.has_many_closed() {
                self.drop_closed();
            } else {
                self.halve_largest_group();
            }
        }
    }

    /// Adds a record of the dead-letter topic that is no letter.
    pub fn add_foreign(&mut self, partition: i32, offset: i64) {
        self.foreign.add(partition, offset);
    }

    fn has_many_closed(&self) -> bool {
        self.entries.closed() * CLOSED_SHARE > self.entries.len()
    }

    fn drop_closed(&mut self) {
        self.has_lost_closed = true;
        let Self { entries, groups, .. } = self;
        entries.retain(|entry| !entry.is_closed, |entry| groups.removed(entry.group));
    }

    /// Keeps one half of the entries of the largest group. Each then counts for two.
    fn halve_largest_group(&mut self) {
        let (group, halvings) = self.groups.halve_largest();
        let Self { entries, groups, .. } = self;
        entries.retain(
            |entry| entry.group != group || is_sampled(entry.hash, halvings),
            |entry| groups.removed(entry.group),
        );
    }

    /// Applies the next record of the state topic. Returns false if letters must be read again from the beginning: a resolution was
    /// withdrawn, and its letters have no entries any more.
    #[must_use]
    pub fn apply(&mut self, change: StateChange) -> bool {
        match change {
            StateChange::Letter(source, None) => {
                self.entries.close_of(hash(&source).0, |_| false);
                return !self.has_lost_closed && self.groups.has_all();
            }
            StateChange::Letter(source, Some(resolution)) => self.resolve(&source, &resolution),
            StateChange::Group(fingerprint, record) => self.decisions.set(fingerprint, record),
            StateChange::Redrive(_) => {}
        }
        true
    }

    fn resolve(&mut self, source: &Position, resolution: &Resolution) {
        self.redriven += u64::from(resolution.outcome == Outcome::Redriven);
        let is_resolved =
            |entry: &Entry| resolution.letters.get(&entry.partition).is_some_and(|last| entry.offset <= *last);
        self.entries.close_of(hash(source).0, |entry| entry.is_closed || is_resolved(entry));
    }

    /// Forgets the records before the first offset of each partition: they were removed from the topic.
    pub fn remove_before(&mut self, firsts: &Positions) {
        let Self { entries, groups, .. } = self;
        let is_left = |partition: i32, offset: i64| firsts.get(&partition).is_none_or(|first| offset >= *first);
        entries.retain(|entry| is_left(entry.partition, entry.offset), |entry| groups.removed(entry.group));
        self.foreign.retain(is_left);
        self.removed = firsts.values().map(|first| first.unsigned_abs()).sum();
    }

    /// The state that the last decision gives a group, whether it has open letters or not; `None` without a decision.
    pub fn decided_state(&self, fingerprint: &str, now: DateTime<Utc>) -> Option<LetterGroupState> {
        self.decisions.get(fingerprint).map(|record| state_of(None, false, Some(record), now))
    }

    /// Resolutions of redrives, and letters of records that had failed before, since the last call.
    pub fn take_counts(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.redriven), std::mem::take(&mut self.failed_again))
    }

    /// Counts the open letters.
    pub fn summary(&self, now: DateTime<Utc>) -> Summary {
        let mut counts: Vec<Count<'_>> = self.groups.iter().map(|group| self.count_of(group)).collect();
        for entry in self.entries.iter().filter(|entry| !entry.is_closed) {
            let Some(count) = counts.get_mut(usize::from(entry.group)) else { continue };
            count.add(entry, self.names.version_at(entry.version).map(|version| version.digest.as_str()));
        }
        let mut summary = Summary { is_estimate: self.groups.has_samples(), ..Summary::default() };
        for (index, count) in counts.into_iter().enumerate().filter(|(_, count)| count.entries > 0) {
            let index = index as u16;
            let open = count.entries << self.groups.halvings(index);
            summary.open += open;
            summary.oldest_ms = earlier(summary.oldest_ms, count.first_ms);
            if index == OTHERS {
                summary.in_other_groups = open;
            } else {
                summary.groups.push(count.into_group(open, now));
            }
        }
        summary
    }

    fn count_of<'s>(&'s self, group: &'s Group) -> Count<'s> {
        let fingerprint = group.fingerprint.as_str();
        let decision = self.decisions.get(fingerprint);
        Count {
            fingerprint,
            decision,
            entries: 0,
            first_ms: None,
            regressions: 0,
            regression: None,
            samples: Vec::new(),
        }
    }
}

/// The entries of the open letters of a group.
struct Count<'s> {
    fingerprint: &'s str,
    decision: Option<&'s GroupRecord>,
    entries: u64,
    first_ms: Option<i64>,
    regressions: u64,
    /// The first letter of a regression, and when the last one failed.
    regression: Option<(Entry, Option<i64>)>,
    samples: Vec<(i32, i64)>,
}

impl<'s> Count<'s> {
    fn add(&mut self, entry: &Entry, digest: Option<&str>) {
        self.entries += 1;
        self.first_ms = earlier(self.first_ms, entry.failed_ms());
        if self.samples.len() < SAMPLES {
            self.samples.push((entry.partition, entry.offset));
        }
        let resolved = self.decision.filter(|record| record.last.mark == Mark::Resolved);
        if resolved.is_some_and(|record| record.is_regression_at(entry.partition, entry.offset, digest)) {
            self.regressions += 1;
            let (first, last_ms) = self.regression.get_or_insert((*entry, entry.failed_ms()));
            if (entry.failed_ms, entry.partition, entry.offset) < (first.failed_ms, first.partition, first.offset) {
                *first = *entry;
            }
            *last_ms = entry.failed_ms().max(*last_ms);
        }
    }

    fn into_group(mut self, open: u64, now: DateTime<Utc>) -> OpenGroup {
        let regression = self.regression.zip(self.decision).map(|((first, last_ms), record)| Regression {
            resolved_at: record.last.at.clone(),
            letters: self.regressions,
            first: (first.partition, first.offset),
            first_ms: first.failed_ms(),
            last_ms,
        });
        self.samples.sort_unstable();
        OpenGroup {
            fingerprint: self.fingerprint.to_owned(),
            state: state_of(self.first_ms, regression.is_some(), self.decision, now),
            open,
            first_ms: self.first_ms,
            regression,
            samples: self.samples,
        }
    }
}

fn earlier(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}
