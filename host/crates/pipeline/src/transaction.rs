//! What is done but not committed yet, and when it is time to commit it.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::CommitPolicy;
use mapper_core::counts::Counts;
use mapper_core::record::{Batch, Positions};

/// The records since the last commit.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    first: Positions,
    next: Positions,
    records: usize,
    bytes: usize,
    since: Option<Instant>,
    /// Counted when it is committed.
    pub(super) counts: Counts,
}

impl Transaction {
    /// These records were fetched: what fails from now on is gone back to.
    pub(super) fn reach(&mut self, batch: &Batch, records: Range<usize>) {
        let mut last = None;
        for (&partition, &offset) in batch.partitions[records.clone()].iter().zip(&batch.offsets[records]) {
            if last.replace(partition) != Some(partition) {
                self.first.entry(partition).or_insert(offset);
            }
        }
    }

    /// These offsets are still to be done, and gone back to if that fails.
    pub(super) fn reach_back(&mut self, firsts: Positions) {
        for (partition, offset) in firsts {
            let first = self.first.entry(partition).or_insert(offset);
            *first = offset.min(*first);
        }
    }

    /// Adds records of a batch: they are judged, and about to be sent.
    pub(super) fn add(&mut self, batch: &Batch, records: Range<usize>, now: Instant) {
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

    /// Moves on to offsets without records before them.
    pub(super) fn advance(&mut self, positions: &Positions) {
        self.next.extend(positions);
    }

    /// The topic has so many partitions now: offsets of others can't be committed any more.
    pub(super) fn keep_partitions(&mut self, partitions: i32) {
        self.next.retain(|partition, _| *partition < partitions);
    }

    /// Whether there are records in it, so that the sink has begun.
    pub(super) fn is_open(&self) -> bool {
        self.since.is_some()
    }

    /// Whether there is nothing to commit.
    pub(super) fn is_empty(&self) -> bool {
        self.next.is_empty() && !self.is_open()
    }

    /// The number of input records.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// The first offset of each partition that is not committed, whether it is judged yet or not.
    pub(super) fn first(&self) -> &Positions {
        &self.first
    }

    /// The offset after the last of each partition.
    pub(super) fn next(&self) -> &Positions {
        &self.next
    }

    /// How long until it is time to commit; `None` if there are no records.
    pub(super) fn due_in(&self, policy: &CommitPolicy, now: Instant) -> Option<Duration> {
        let since = self.since?;
        if self.records >= policy.records || self.bytes >= policy.bytes {
            return Some(Duration::ZERO);
        }
        Some(policy.interval.saturating_sub(now.saturating_duration_since(since)))
    }
}

/// Small transactions, after one failed again and again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Careful {
    limit: usize,
    /// Commits since the limit was set.
    passed: u32,
}

impl Careful {
    /// How many commits must pass before the limit is doubled: where it is still too large then, that costs an abort.
    const PASSES: u32 = 4;

    /// Half as many records as failed.
    pub(super) fn below(records: usize) -> Self {
        Self { limit: (records / 2).max(1), passed: 0 }
    }

    /// The most records of a transaction.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// After a commit: the limit is doubled now and then, until it is as good as none.
    pub(super) fn relaxed(self, usual: usize) -> Option<Self> {
        let Self { limit, passed } = self;
        match passed + 1 {
            Self::PASSES => (limit * 2 < usual).then_some(Self { limit: limit * 2, passed: 0 }),
            passed => Some(Self { limit, passed }),
        }
    }
}
