//! Where a run that ends by itself ends: at the end offsets that were seen at its start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mapper_core::record::Positions;
use mapper_core::topics::TopicId;

/// The ends of all partitions, and which of them were reached. Shared by the workers.
#[derive(Debug)]
pub struct Until(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Per partition, the offset after its last record.
    ends: Positions,
    reached: BTreeSet<i32>,
    /// The topic that the ends are of, if it was created again during the run.
    recreated: Option<TopicId>,
}

impl State {
    fn new(ends: Positions, recreated: Option<TopicId>) -> Self {
        let reached = ends.iter().filter(|(_, end)| **end == 0).map(|(partition, _)| *partition).collect();
        Self { ends, reached, recreated }
    }
}

impl Until {
    /// These ends; a partition that is empty is reached already.
    pub fn new(ends: Positions) -> Self {
        Self(Mutex::new(State::new(ends, None)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a record came after the start; then its partition is done.
    pub(super) fn is_beyond(&self, partition: i32, offset: i64) -> bool {
        let mut state = self.state();
        // A partition that was added since then has no end: it is left for another run.
        let beyond = state.ends.get(&partition).is_none_or(|end| offset >= *end);
        if beyond {
            state.reached.insert(partition);
        }
        beyond
    }

    /// There is nothing at this offset yet.
    pub(super) fn reach(&self, partition: i32, offset: i64) {
        let mut state = self.state();
        if state.ends.get(&partition).is_some_and(|end| offset >= *end) {
            state.reached.insert(partition);
        }
    }

    /// The partition is gone through again.
    pub(super) fn unreach(&self, partition: i32) {
        self.state().reached.remove(&partition);
    }

    /// Whether the ends are those of this topic, which was created again during the run.
    pub(super) fn is_of_recreated(&self, topic: &TopicId) -> bool {
        self.state().recreated.as_ref() == Some(topic)
    }

    /// The topic was created again: the run ends at these ends of the new one.
    pub(super) fn restart(&self, topic: &TopicId, ends: Positions) {
        let mut state = self.state();
        if state.recreated.as_ref() != Some(topic) {
            *state = State::new(ends, Some(topic.clone()));
        }
    }

    /// The partition ends at this offset, which is before the end that was seen.
    pub(super) fn shorten(&self, partition: i32, end: i64) {
        let mut state = self.state();
        if let Some(known) = state.ends.get_mut(&partition) {
            *known = end.min(*known);
        }
        state.reached.remove(&partition);
    }

    /// Whether all partitions are done.
    pub(super) fn all_reached(&self) -> bool {
        let state = self.state();
        state.ends.keys().all(|partition| state.reached.contains(partition))
    }

    /// The end of a partition.
    pub(super) fn end(&self, partition: i32) -> Option<i64> {
        self.state().ends.get(&partition).copied()
    }

    /// All partitions.
    pub fn partitions(&self) -> Vec<i32> {
        self.state().ends.keys().copied().collect()
    }

    /// Whether these committed offsets show that all is done, by whichever host.
    pub fn done_by(&self, committed: &BTreeMap<i32, i64>) -> bool {
        let state = self.state();
        state.ends.iter().all(|(partition, end)| *end == 0 || committed.get(partition).is_some_and(|at| at >= end))
    }

    /// Whether none of these offsets is beyond the end of its partition.
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
        let until = Until::new(Positions::from([(0, 50), (1, 0)]));
        assert!(until.covers(&Positions::from([(0, 50)])) && until.covers(&Positions::new()));
        assert!(!until.covers(&Positions::from([(0, 51)])), "the records before it are gone");
        assert!(!until.covers(&Positions::from([(2, 0)])), "the partition is not known");
    }

    #[test]
    fn topic_created_again_is_read_to_its_own_ends() {
        let until = Until::new(Positions::from([(0, 50), (1, 0)]));
        until.reach(0, 50);
        assert!(until.all_reached());
        let topic = TopicId("new".into());
        assert!(!until.is_of_recreated(&topic));
        until.restart(&topic, Positions::from([(0, 20), (1, 5), (2, 0)]));
        assert!(until.is_of_recreated(&topic) && !until.all_reached());
        assert!(!until.done_by(&Positions::from([(0, 20)])));
        // Each worker notices by itself; the first decides.
        until.reach(0, 20);
        until.restart(&topic, Positions::from([(0, 30), (1, 5)]));
        until.reach(1, 5);
        assert!(until.all_reached());
    }

    #[test]
    fn partition_that_lost_records_ends_earlier() {
        let until = Until::new(Positions::from([(0, 50)]));
        until.shorten(0, 20);
        assert!(!until.is_beyond(0, 19) && until.is_beyond(0, 20));
        until.shorten(0, 30);
        assert_eq!(until.end(0), Some(20));
    }
}
