//! What the loop does when there is nothing to read, and when what it reads is another topic.

use std::time::{Duration, Instant};

use super::rejections::Rejections;
use super::{Mapper, Pipeline, Sink, SinkError, Source, VersionSlot};
use mapper_core::record::SourcePositions;

/// How long there must be no records before the ends of partitions are committed: a topic that is written to all the time
/// costs no further commits.
const IDLE_BEFORE_COMMIT: Duration = Duration::from_secs(2);

/// Since when there are no records.
#[derive(Debug, Default)]
pub(super) struct Idle(Option<Instant>);

impl Idle {
    /// There are records.
    pub(super) fn end(&mut self) {
        self.0 = None;
    }

    /// There are none at this moment. Whether it is time to commit the ends of partitions.
    fn is_due(&mut self, now: Instant) -> bool {
        now.saturating_duration_since(*self.0.get_or_insert(now)) >= IDLE_BEFORE_COMMIT
    }
}

impl<S: Source, K: Sink, V: VersionSlot<Mapper: Mapper>> Pipeline<S, K, V> {
    /// Commits the ends of partitions once all records are committed, so that nobody sees a lag where there are no records.
    pub(super) fn commit_ends(&mut self) -> Result<(), SinkError> {
        if !self.transaction.is_empty() || !self.held.is_empty() || !self.idle.is_due(self.clock.now()) {
            return Ok(());
        }
        if self.source.commit_ends()? {
            // One that fails is tried again after as long.
            self.idle.end();
        }
        Ok(())
    }

    /// The topic was deleted and created again. What was read of the old one is committed, with offsets of the old one; then the
    /// source begins with the new one.
    pub(super) fn restart_topic(&mut self, partitions: Option<i32>) -> Result<(), SinkError> {
        self.let_go_of_held()?;
        if let Some(partitions) = partitions {
            self.transaction.keep_partitions(partitions);
        }
        self.commit()?;
        self.settle_moved()?;
        self.forget();
        self.rejections = Rejections::default();
        Ok(())
    }

    /// Has the source go on elsewhere. For the history, the version that is active begins anew with the next record.
    pub(super) fn settle_moved(&mut self) -> Result<(), SinkError> {
        self.versions.assigned(&SourcePositions::new());
        self.settle_rebalance()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_due_after_a_while_without_records() {
        let (mut idle, start) = (Idle::default(), Instant::now());
        assert!(!idle.is_due(start) && !idle.is_due(start + IDLE_BEFORE_COMMIT / 2));
        assert!(idle.is_due(start + IDLE_BEFORE_COMMIT));
        idle.end();
        assert!(!idle.is_due(start + IDLE_BEFORE_COMMIT));
    }
}
