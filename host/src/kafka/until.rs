//! Where a run that ends by itself ends: at the end offsets that were seen at its start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The ends of all partitions, and which of them were reached. Shared by the workers.
#[derive(Debug)]
pub struct Until {
    /// Per partition, the offset after its last record.
    ends: BTreeMap<i32, i64>,
    reached: Mutex<BTreeSet<i32>>,
}

impl Until {
    /// These ends; a partition that is empty is reached already.
    pub fn new(ends: BTreeMap<i32, i64>) -> Self {
        let reached = ends.iter().filter(|(_, end)| **end == 0).map(|(partition, _)| *partition).collect();
        Self { ends, reached: Mutex::new(reached) }
    }

    fn reached(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a record came after the start; then its partition is done.
    pub(super) fn is_beyond(&self, partition: i32, offset: i64) -> bool {
        // A partition that was added since then has no end: it is left for another run.
        let beyond = self.ends.get(&partition).is_none_or(|end| offset >= *end);
        if beyond {
            self.reached().insert(partition);
        }
        beyond
    }

    /// There is nothing at this offset yet.
    pub(super) fn reach(&self, partition: i32, offset: i64) {
        if self.ends.get(&partition).is_some_and(|end| offset >= *end) {
            self.reached().insert(partition);
        }
    }

    /// The partition is gone through again.
    pub(super) fn unreach(&self, partition: i32) {
        self.reached().remove(&partition);
    }

    /// Whether all partitions are done.
    pub(super) fn all_reached(&self) -> bool {
        let reached = self.reached();
        self.ends.keys().all(|partition| reached.contains(partition))
    }

    /// The end of a partition.
    pub(super) fn end(&self, partition: i32) -> Option<i64> {
        self.ends.get(&partition).copied()
    }

    /// All partitions.
    pub fn partitions(&self) -> impl Iterator<Item = i32> {
        self.ends.keys().copied()
    }

    /// Whether these committed offsets show that all is done, by whichever host.
    pub fn done_by(&self, committed: &BTreeMap<i32, i64>) -> bool {
        self.ends.iter().all(|(partition, end)| *end == 0 || committed.get(partition).is_some_and(|at| at >= end))
    }
}
