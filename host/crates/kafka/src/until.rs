//! The end of a run with `--until-end`: the end offsets at its start.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mapper_core::record::Positions;
use mapper_core::topics::TopicId;

/// The end offsets of all partitions, and the partitions that have reached theirs. The workers share it.
#[derive(Debug)]
pub struct EndOffsets(Mutex<State>);

#[derive(Debug)]
struct State {
    /// The offset after the last record of each partition.
    ends: Positions,
    reached: BTreeSet<i32>,
    /// The topics that were recreated during the run, and whose end offsets are those of the new topic.
    recreated: BTreeSet<TopicId>,
}

impl State {
    fn add(&mut self, ends: Positions) {
        self.reached.extend(ends.iter().filter(|(_, end)| **end == 0).map(|(partition, _)| *partition));
        self.ends.extend(ends);
    }
}

impl EndOffsets {
    /// An empty partition, with the end 0, is reached from the start.
    pub fn new(ends: Positions) -> Self {
        let mut state = State { ends: Positions::new(), reached: BTreeSet::new(), recreated: BTreeSet::new() };
        state.add(ends);
        Self(Mutex::new(state))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The source has read up to, but without, this offset.
    pub(super) fn reach(&self, partition: i32, offset: i64) {
        let mut state = self.state();
        if state.ends.get(&partition).is_some_and(|end| offset >= *end) {
            state.reached.insert(partition);
        }
    }

    /// The source reads the partition again.
    pub(super) fn reopen(&self, partition: i32) {
        self.state().reached.remove(&partition);
    }

    /// Whether the end offsets are those of this recreated topic.
    pub(super) fn is_of_recreated(&self, topic: &TopicId) -> bool {
        self.state().recreated.contains(topic)
    }

    /// Sets the end offsets of a recreated topic, whose partitions have these numbers.
    pub(super) fn restart(&self, topic: &TopicId, numbers: &Range<i32>, ends: Positions) {
        let mut state = self.state();
        if state.recreated.insert(topic.clone()) {
            state.ends.retain(|partition, _| !numbers.contains(partition));
            state.reached.retain(|partition| !numbers.contains(partition));
            state.add(ends);
        }
    }

    /// Lowers the end of a truncated partition.
    pub(super) fn shorten(&self, partition: i32, end: i64) {
        let mut state = self.state();
        if let Some(known) = state.ends.get_mut(&partition) {
            *known = end.min(*known);
        }
        state.reached.remove(&partition);
    }

    pub(super) fn all_reached(&self) -> bool {
        let state = self.state();
        state.ends.keys().all(|partition| state.reached.contains(partition))
    }

    pub(super) fn end(&self, partition: i32) -> Option<i64> {
        self.state().ends.get(&partition).copied()
    }

    pub fn partitions(&self) -> Vec<i32> {
        self.state().ends.keys().copied().collect()
    }

    /// Whether these committed offsets have reached all ends. Another host may have committed them.
    pub fn done_by(&self, committed: &BTreeMap<i32, i64>) -> bool {
        let state = self.state();
        state.ends.iter().all(|(partition, end)| *end == 0 || committed.get(partition).is_some_and(|at| at >= end))
    }

    /// Whether each offset is within its partition.
    pub fn covers(&self, committed: &BTreeMap<i32, i64>) -> bool {
        let state = self.state();
        committed.iter().all(|(partition, at)| state.ends.get(partition).is_some_and(|end| at <= end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_beyond_the_end_is_not_covered() {
        let until = EndOffsets::new(Positions::from([(0, 50), (1, 0)]));
        assert!(until.covers(&Positions::from([(0, 50)])) && until.covers(&Positions::new()));
        assert!(!until.covers(&Positions::from([(0, 51)])), "records before the offset were removed");
        assert!(!until.covers(&Positions::from([(2, 0)])), "the partition is unknown");
    }

    #[test]
    fn recreated_topic_is_read_to_its_own_ends() {
        let until = EndOffsets::new(Positions::from([(0, 50), (1, 0)]));
        until.reach(0, 50);
        assert!(until.all_reached());
        let topic = TopicId("new".into());
        assert!(!until.is_of_recreated(&topic));
        until.restart(&topic, &(0..i32::MAX), Positions::from([(0, 20), (1, 5), (2, 0)]));
        assert!(until.is_of_recreated(&topic) && !until.all_reached());
        assert!(!until.done_by(&Positions::from([(0, 20)])));
        // Each worker detects the new topic by itself. The first one sets the ends.
        until.reach(0, 20);
        until.restart(&topic, &(0..i32::MAX), Positions::from([(0, 30), (1, 5)]));
        until.reach(1, 5);
        assert!(until.all_reached());
    }

    #[test]
    fn recreated_topic_leaves_the_ends_of_other_topics() {
        let until = EndOffsets::new(Positions::from([(0, 50), (100, 7), (101, 0)]));
        until.reach(0, 50);
        until.restart(&TopicId("new".into()), &(100..200), Positions::from([(100, 3)]));
        assert_eq!((until.end(0), until.end(100), until.end(101)), (Some(50), Some(3), None));
        assert!(!until.all_reached());
        until.reach(100, 3);
        assert!(until.all_reached(), "the end of the other topic was reached before");
    }

    #[test]
    fn partition_that_lost_records_ends_earlier() {
        let until = EndOffsets::new(Positions::from([(0, 50)]));
        until.shorten(0, 20);
        assert_eq!(until.end(0), Some(20));
        until.shorten(0, 30);
        assert_eq!(until.end(0), Some(20));
    }
}
