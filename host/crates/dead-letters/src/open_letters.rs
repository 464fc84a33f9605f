//! Which letters are open, kept up to date with the dead-letter topic and the state topic, in a bounded memory.
//!
//! A letter must be added before the resolution that closes it: a resolution of an unknown letter is forgotten.

mod entries;
mod groups;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use mapper_api::dead_letters::LetterGroupState;
use mapper_core::dead_letter::DeadLetter;
use mapper_core::record::Positions;

use crate::report::state_of;
use crate::selection::Position;
use crate::state::resolutions::hash;
use crate::state::{GroupRecord, Mark, Outcome, Resolution, StateChange};
use entries::{Entries, Entry};
use groups::{Groups, OTHERS, is_sampled};

/// The most letters with an entry. Each takes 33 bytes, of which up to a half are free: at most 17 MiB. While the table grows, it takes a
/// half more.
pub const MAX_ENTRIES: usize = 450_000;
/// The most versions of plugins that are distinguished.
const MAX_VERSIONS: usize = u16::MAX as usize;
/// The most decisions about groups.
const MAX_DECISIONS: usize = 10_000;
const NO_VERSION: u16 = u16::MAX;

/// The open letters of a dead-letter topic.
#[derive(Debug)]
pub struct OpenLetters {
    entries: Entries,
    groups: Groups,
    /// The digests of the versions of plugins.
    versions: Vec<String>,
    decisions: HashMap<String, GroupRecord>,
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
            versions: Vec::new(),
            decisions: HashMap::new(),
            max_entries,
            redriven: 0,
            failed_again: 0,
        }
    }

    /// Adds the next letter of its partition.
    pub fn add(&mut self, letter: &DeadLetter<'_>) {
        self.failed_again += u64::from(letter.attempt > 1);
        let hash = hash(&letter.source_or_self().into()).0;
        let group = self.groups.find_or_insert(&letter.fingerprint);
        if !is_sampled(hash, self.groups.halvings(group)) {
            return;
        }
        let version = letter.plugin.map_or(NO_VERSION, |plugin| self.version(plugin.digest));
        let at = letter.position();
        // Seconds until the year 2106.
        let failed_s = letter.failed_at_ms().map_or(0, |ms| u32::try_from(ms / 1000).unwrap_or(0));
        self.entries.insert(hash, Entry { offset: at.offset, failed_s, partition: at.partition, group, version });
        self.groups.opened(group);
        while self.entries.len() > self.max_entries {
            self.halve_largest_group();
        }
    }

    fn version(&mut self, digest: &str) -> u16 {
        // Nearly all letters are of one of the last versions.
        if let Some(known) = self.versions.iter().rposition(|known| known == digest) {
            return known as u16;
        }
        if self.versions.len() >= MAX_VERSIONS {
            return NO_VERSION;
        }
        self.versions.push(digest.to_owned());
        (self.versions.len() - 1) as u16
    }

    /// Keeps one half of the entries of the largest group. Each then counts for two.
    fn halve_largest_group(&mut self) {
        let (group, halvings) = self.groups.halve_largest();
        let Self { entries, groups, .. } = self;
        entries.retain(
            |hash, entry| entry.group != group || is_sampled(hash, halvings),
            |entry| groups.closed(entry.group),
        );
    }

    /// Applies the next record of the state topic. Returns false if letters must be read again from the beginning: a resolution was
    /// withdrawn.
    #[must_use]
    pub fn apply(&mut self, change: StateChange) -> bool {
        match change {
            StateChange::Letter(_, None) => return false,
            StateChange::Letter(position, Some(resolution)) => self.resolve(&position, &resolution),
            StateChange::Group(fingerprint, Some(mut record)) => {
                record.history = Vec::new();
                if self.decisions.contains_key(&fingerprint) || self.decisions.len() < MAX_DECISIONS {
                    self.decisions.insert(fingerprint, record);
                }
            }
            StateChange::Group(fingerprint, None) => drop(self.decisions.remove(&fingerprint)),
            StateChange::Redrive(_) => {}
        }
        true
    }

    fn resolve(&mut self, source: &Position, resolution: &Resolution) {
        self.redriven += u64::from(resolution.outcome == Outcome::Redriven);
        let Self { entries, groups, .. } = self;
        let is_open = |entry: &Entry| resolution.letters.get(&entry.partition).is_none_or(|last| entry.offset > *last);
        entries.retain_of(hash(source).0, is_open, |entry| groups.closed(entry.group));
    }

    /// Forgets the letters before the first offset of each partition: they were removed from the topic.
    pub fn remove_before(&mut self, firsts: &Positions) {
        let Self { entries, groups, .. } = self;
        let is_left = |entry: &Entry| firsts.get(&entry.partition).is_none_or(|first| entry.offset >= *first);
        entries.retain(|_, entry| is_left(entry), |entry| groups.closed(entry.group));
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
        let mut counts: Vec<Count<'_>> = self.groups.fingerprints().map(|name| self.count_of(name)).collect();
        for entry in self.entries.iter() {
            let Some(count) = counts.get_mut(usize::from(entry.group)) else { continue };
            count.add(entry, self.versions.get(usize::from(entry.version)).map(String::as_str));
        }
        let mut summary = Summary { is_estimate: self.groups.has_samples(), ..Summary::default() };
        for (index, count) in counts.into_iter().enumerate().filter(|(_, count)| count.entries > 0) {
            let index = index as u16;
            let open = count.entries << self.groups.halvings(index);
            summary.open += open;
            summary.oldest_ms = earlier(summary.oldest_ms, ms(count.first_s));
            if index == OTHERS {
                summary.in_other_groups = open;
            } else {
                summary.groups.push(count.into_group(open, now));
            }
        }
        summary
    }

    fn count_of<'s>(&'s self, fingerprint: &'s str) -> Count<'s> {
        let decision = self.decisions.get(fingerprint);
        let first_s = u32::MAX;
        Count { fingerprint, decision, entries: 0, first_s, regressions: 0, regression: None, samples: Vec::new() }
    }
}

/// The entries of a group.
struct Count<'s> {
    fingerprint: &'s str,
    decision: Option<&'s GroupRecord>,
    entries: u64,
    first_s: u32,
    regressions: u64,
    /// The first letter of a regression, and when the last one failed.
    regression: Option<(Entry, u32)>,
    samples: Vec<(i32, i64)>,
}

impl<'s> Count<'s> {
    fn add(&mut self, entry: &Entry, digest: Option<&str>) {
        self.entries += 1;
        if entry.failed_s > 0 {
            self.first_s = self.first_s.min(entry.failed_s);
        }
        if self.samples.len() < SAMPLES {
            self.samples.push((entry.partition, entry.offset));
        }
        let resolved = self.decision.filter(|record| record.last.mark == Mark::Resolved);
        if resolved.is_some_and(|record| record.is_regression_at(entry.partition, entry.offset, digest)) {
            self.regressions += 1;
            let (first, last_s) = self.regression.get_or_insert((*entry, entry.failed_s));
            if (entry.failed_s, entry.partition, entry.offset) < (first.failed_s, first.partition, first.offset) {
                *first = *entry;
            }
            *last_s = entry.failed_s.max(*last_s);
        }
    }

    fn into_group(mut self, open: u64, now: DateTime<Utc>) -> OpenGroup {
        let first_ms = ms(self.first_s);
        let regression = self.regression.zip(self.decision).map(|((first, last_s), record)| Regression {
            resolved_at: record.last.at.clone(),
            letters: self.regressions,
            first: (first.partition, first.offset),
            first_ms: ms(first.failed_s),
            last_ms: ms(last_s),
        });
        self.samples.sort_unstable();
        OpenGroup {
            fingerprint: self.fingerprint.to_owned(),
            state: state_of(first_ms, regression.is_some(), self.decision, now),
            open,
            first_ms,
            regression,
            samples: self.samples,
        }
    }
}

/// Milliseconds, if the time is known.
fn ms(seconds: u32) -> Option<i64> {
    (seconds != 0 && seconds != u32::MAX).then(|| i64::from(seconds) * 1000)
}

fn earlier(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}
