//! Questions about the letters that have the same answer as a read of the whole topic. There is none if memory does not have all letters.

use std::collections::{BinaryHeap, HashSet};

use chrono::{DateTime, Utc};

use mapper_core::dead_letter::{DeadLetter, PluginName};

use super::entries::{Entry, UNKNOWN_TIME};
use super::{Group, OTHERS, OpenLetters};
use crate::groups::{GroupStats, Grouped, LetterFacts, PluginVersion, TrendWindow, sort};
use crate::selection::{Position, Selection, is_version};
use crate::state::resolutions::hash;
use crate::state::{GroupRecord, Mark};

/// Which letters a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Open,
    Closed,
    All,
}

impl Scope {
    fn includes(self, entry: &Entry) -> bool {
        match self {
            Self::Open => !entry.is_closed,
            Self::Closed => entry.is_closed,
            Self::All => true,
        }
    }
}

/// The records of the dead-letter topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub open: u64,
    pub closed: u64,
    /// Records that are no letters.
    pub foreign: u64,
    /// Offsets before the first record of each partition.
    pub removed: u64,
}

impl Entry {
    fn facts(&self) -> LetterFacts {
        let Entry { offset, source_offset, partition, source, version, attempt, .. } = *self;
        let failed_ms = self.failed_ms();
        LetterFacts { partition, offset, failed_ms, attempt: attempt.into(), version, source, source_offset }
    }
}

impl OpenLetters {
    /// Whether memory has all letters, open and closed, and all decisions.
    pub fn is_complete(&self) -> bool {
        let has_foreign = self.foreign.count().is_some();
        let has_letters = self.groups.has_all() && !self.has_lost_closed;
        has_letters && has_foreign && self.names.is_complete() && self.decisions.is_complete()
    }

    /// The number of letters with an entry.
    pub fn letters(&self) -> usize {
        self.entries.len()
    }

    /// Counts the records.
    pub fn counts(&self) -> Option<Counts> {
        let closed = self.entries.closed() as u64;
        let open = self.entries.len() as u64 - closed;
        let foreign = self.foreign.count()?;
        self.is_complete().then_some(Counts { open, closed, foreign, removed: self.removed })
    }

    /// Groups the letters of the scope.
    pub fn grouped(&self, scope: Scope, now: DateTime<Utc>) -> Option<Grouped> {
        if !self.is_complete() {
            return None;
        }
        let window = TrendWindow::ending_at(now);
        let stats = |Group { kind, message, .. }: &Group| GroupStats::new(kind, message.clone());
        let resolved =
            |group: &Group| self.decisions.get(&group.fingerprint).filter(|record| record.last.mark == Mark::Resolved);
        let mut groups: Vec<(Option<&GroupRecord>, GroupStats)> =
            self.groups.iter().map(|group| (resolved(group), stats(group))).collect();
        for entry in self.entries.iter().filter(|entry| scope.includes(entry)) {
            let (resolved, stats) = &mut groups[usize::from(entry.group)];
            stats.add(&entry.facts(), window);
            if let Some(record) = resolved {
                let digest = self.names.version_at(entry.version).map(|version| version.digest.as_str());
                stats.regressions += u64::from(record.is_regression_at(entry.partition, entry.offset, digest));
            }
        }
        let fingerprints = self.groups.iter().map(|group| group.fingerprint.clone());
        let groups = fingerprints.zip(groups).map(|(fingerprint, (_, stats))| (fingerprint, stats));
        let mut groups: Vec<_> = groups.filter(|(_, stats)| stats.count > 0).collect();
        sort(&mut groups);
        Some(Grouped { groups, names: self.names.clone(), window, others: 0 })
    }

    /// The decisions about a group.
    pub fn decision(&self, fingerprint: &str) -> Option<&GroupRecord> {
        self.decisions.get(fingerprint)
    }

    /// The positions in the dead-letter topic of the first letters after a position, in the order of partition and offset. `in_groups` are
    /// the fingerprints of the groups; `None` is all.
    pub fn positions(
        &self,
        scope: Scope,
        (selection, in_groups): (&Selection, Option<&HashSet<String>>),
        after: Option<(i32, i64)>,
        limit: usize,
    ) -> Option<Vec<(i32, i64)>> {
        let has_kinds = selection.kind.is_none() || self.groups.have_one_kind();
        if !self.is_complete() || selection.needs_content() || !has_kinds {
            return None;
        }
        let is_meant = self.meant(selection, in_groups);
        let mut found = BinaryHeap::new();
        for entry in self.entries.iter().filter(|entry| scope.includes(entry)) {
            let at = (entry.partition, entry.offset);
            let is_beyond =
                after.is_some_and(|after| at <= after) || (found.len() == limit && found.peek() <= Some(&at));
            if is_beyond || !is_meant(entry) {
                continue;
            }
            found.push(at);
            if found.len() > limit {
                found.pop();
            }
        }
        Some(found.into_sorted_vec())
    }

    /// Whether a selection contains the letter of an entry. It needs no content.
    fn meant(&self, selection: &Selection, in_groups: Option<&HashSet<String>>) -> impl Fn(&Entry) -> bool {
        let Selection { group, source, since, until, kind, version, .. } = selection;
        let is_group = |found: &Group| {
            group.as_ref().is_none_or(|prefix| found.fingerprint.starts_with(prefix.as_str()))
                && kind.as_ref().is_none_or(|kind| found.kind == *kind)
                && in_groups.is_none_or(|names| names.contains(&found.fingerprint))
        };
        let groups: Vec<bool> = self.groups.iter().map(is_group).collect();
        let is_version = |known: &PluginVersion| {
            let PluginVersion { name, version: number, digest } = known;
            version.as_ref().is_none_or(|version| is_version(PluginName { name, version: number, digest }, version))
        };
        let versions: Vec<bool> = self.names.versions().iter().map(is_version).collect();
        let has_any_version = version.is_none();
        let source = source.as_ref().map(|range| {
            let partition = self.names.find_partition(&range.topic, range.partition);
            (partition, range.from..range.to.unwrap_or(i64::MAX))
        });
        let ms = |time: &Option<DateTime<Utc>>| time.map(|time| time.timestamp_millis());
        let times = (since.is_some() || until.is_some())
            .then(|| ms(since).unwrap_or(UNKNOWN_TIME + 1)..ms(until).unwrap_or(i64::MAX));
        move |entry| {
            groups[usize::from(entry.group)]
                && versions.get(usize::from(entry.version)).map_or(has_any_version, |is_meant| *is_meant)
                && source.as_ref().is_none_or(|(partition, offsets)| {
                    *partition == Some(entry.source) && offsets.contains(&entry.source_offset)
                })
                && times.as_ref().is_none_or(|times| times.contains(&entry.failed_ms))
        }
    }

    /// The positions in the dead-letter topic of the letters of a failed record, in order.
    pub fn positions_of(&self, source: &Position) -> Option<Vec<(i32, i64)>> {
        let of = self.entries.of(hash(source).0).map(|entry| (entry.partition, entry.offset));
        let mut positions: Vec<_> = self.is_complete().then(|| of.collect())?;
        positions.sort_unstable();
        Some(positions)
    }

    /// The number of open letters of the groups that `selects` selects by their fingerprints.
    pub fn count_open(&self, selects: impl Fn(&str) -> bool) -> u64 {
        let selected: Vec<bool> = self.groups.iter().map(|group| selects(&group.fingerprint)).collect();
        let is_selected = |entry: &&Entry| !entry.is_closed && selected[usize::from(entry.group)];
        self.entries.iter().filter(is_selected).count() as u64
    }

    /// Whether there is a letter at a partition and an offset of the dead-letter topic.
    pub fn contains(&self, (partition, offset): (i32, i64)) -> bool {
        self.entries.iter().any(|entry| (entry.partition, entry.offset) == (partition, offset))
    }

    /// Whether a letter is open; `None` if it has no entry.
    pub fn is_open(&self, letter: &DeadLetter<'_>) -> Option<bool> {
        let at = letter.position();
        let mut of = self.entries.of(hash(&letter.source_or_self().into()).0);
        let entry = of.find(|entry| (entry.partition, entry.offset) == (at.partition, at.offset))?;
        (entry.group != OTHERS).then_some(!entry.is_closed)
    }
}

#[cfg(test)]
mod tests;
