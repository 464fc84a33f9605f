//! The end of a run with `--until-end`: the end offsets at its start.

use std::collections::{BTreeMap, BTreeSet};
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
    /// The topic of the end offsets, if it was recreated during the run.
    recreated: Option<TopicId>,
}

impl State {
    fn new(ends: Positions, recreated: Option<TopicId>) -> Self {
        let reached = ends.iter().filter(|(_, end)| **end == 0).map(|(partition, _)| *partition).collect();
        Self { ends, reached, recreated }
    }
}

impl EndOffsets {
    /// An empty partition, with the end 0, is reached from the start.
    pub fn new(ends: Positions) -> Self {
        Self(Mutex::new(State::new(ends, None)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a record is beyond the end of its partition. Then the partition is reached.
    pub(super) fn is_beyond(&self, partition: i32, offset: i64) -> bool {
        let mut state = self.state();
        // A partition that was added later has no end. Another run reads it.
        let beyond = state.ends.get(&partition).is_none_or(|end| offset >= *end);
        if beyond {
            state.reached.insert(partition);
        }
        beyond
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
        self.state().recreated.as_ref() == Some(topic)
    }

    /// Sets the end offsets of a recreated topic.
    pub(super) fn restart(&self, topic: &TopicId, ends: Positions) {
        let mut state = self.state();
        if state.recreated.as_ref() != Some(topic) {
            *state = State::new(ends, Some(topic.clone()));
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
        until.restart(&topic, Positions::from([(0, 20), (1, 5), (2, 0)]));
        assert!(until.is_of_recreated(&topic) && !until.all_reached());
        assert!(!until.done_by(&Positions::from([(0, 20)])));
        // Each worker detects the new topic by itself. The first one sets the ends.
        until.reach(0, 20);
        until.restart(&topic, Positions::from([(0, 30), (1, 5)]));
        until.reach(1, 5);
        assert!(until.all_reached());
    }

    #[test]
    fn partition_that_lost_records_ends_earlier() {
        let until = EndOffsets::new(Positions::from([(0, 50)]));
        until.shorten(0, 20);
        assert!(!until.is_beyond(0, 19) && until.is_beyond(0, 20));
        until.shorten(0, 30);
        assert_eq!(until.end(0), Some(20));
    }
}
