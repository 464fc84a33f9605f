//! The open transaction, and when to commit it.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::settings::CommitPolicy;
use mapper_core::counts::Counts;
use mapper_core::record::{Batch, Positions};

/// The records since the last commit.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    first: Positions,
    next: Positions,
    records: usize,
    bytes: usize,
    since: Option<Instant>,
    /// Counted when it is committed.
    pub(crate) counts: Counts,
}

impl Transaction {
    /// These records were fetched: a rewind begins with them.
    pub(crate) fn reach(&mut self, batch: &Batch, records: Range<usize>) {
        let mut last = None;
        for (&partition, &offset) in batch.partitions[records.clone()].iter().zip(&batch.offsets[records]) {
            if last.replace(partition) != Some(partition) {
                self.first.entry(partition).or_insert(offset);
            }
        }
    }

    /// A rewind begins with these offsets, or before them.
    pub(crate) fn reach_back(&mut self, firsts: Positions) {
        for (partition, offset) in firsts {
            let first = self.first.entry(partition).or_insert(offset);
            *first = offset.min(*first);
        }
    }

    /// Adds records of a batch: they are judged, and about to be sent.
    pub(crate) fn add(&mut self, batch: &Batch, records: Range<usize>, now: Instant) {
        let mut last: Option<(i32, &mut i64)> = None;
        for (&partition, &offset) in batch.partitions[records.clone()].iter().zip(&batch.offsets[records.clone()]) {
            match &mut last {
                Some((known, next)) if *known == partition => **next = offset + 1,
                _ => {
                    let next = self.next.entry(partition).or_default();
                    *next = offset + 1;
                    last = Some((partition, next));
                }
            }
        }
        self.records += records.len();
        self.bytes += batch.bytes_of(records);
        self.since.get_or_insert(now);
    }

    /// Commits up to these offsets, too: there are no records before them. A rewind includes the partitions, because the commit may
    /// have succeeded without a response.
    pub(crate) fn advance(&mut self, positions: &Positions) {
        for (partition, offset) in positions {
            self.first.entry(*partition).or_insert(*offset);
        }
        self.next.extend(positions);
    }

    /// These partitions are gone: their offsets can't be committed any more.
    pub(crate) fn drop_partitions(&mut self, gone: &Range<i32>) {
        self.next.retain(|partition, _| !gone.contains(partition));
    }

    /// Whether there are records in it, so that the sink has begun.
    pub(crate) fn is_open(&self) -> bool {
        self.since.is_some()
    }

    /// Whether there is nothing to commit.
    pub(crate) fn is_empty(&self) -> bool {
        self.next.is_empty() && !self.is_open()
    }

    /// The number of input records.
    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// The first offset of each partition that is not committed, whether it is judged yet or not.
    pub(crate) fn first(&self) -> &Positions {
        &self.first
    }

    /// The offset after the last of each partition.
    pub(crate) fn next(&self) -> &Positions {
        &self.next
    }

    /// How long until it is time to commit; `None` if there are no records.
    pub(crate) fn due_in(&self, policy: &CommitPolicy, now: Instant) -> Option<Duration> {
        let since = self.since?;
        if self.records >= policy.records || self.bytes >= policy.bytes {
            return Some(Duration::ZERO);
        }
        Some(policy.interval.saturating_sub(now.saturating_duration_since(since)))
    }
}
