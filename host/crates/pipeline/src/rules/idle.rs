//! How long there were no records to read.

use std::time::{Duration, Instant};

/// How long there must be no records before the ends of partitions are committed: a topic that is written to all the time
/// costs no further commits.
const IDLE_BEFORE_COMMIT: Duration = Duration::from_secs(2);

/// The time since which there are no records.
#[derive(Debug, Default)]
pub(super) struct Idle(Option<Instant>);

impl Idle {
    /// There are records.
    pub(super) fn end(&mut self) {
        self.0 = None;
    }

    /// There are none at this moment. Returns whether it is time to commit the ends of partitions.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        now.saturating_duration_since(*self.0.get_or_insert(now)) >= IDLE_BEFORE_COMMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_partitions_after_two_idle_seconds_are_due() {
        let (mut idle, start) = (Idle::default(), Instant::now());
        assert!(!idle.is_due(start) && !idle.is_due(start + IDLE_BEFORE_COMMIT / 2));
        assert!(idle.is_due(start + IDLE_BEFORE_COMMIT));
        idle.end();
        assert!(!idle.is_due(start + IDLE_BEFORE_COMMIT));
    }
}
