//! The time a guest has for a record, counted in ticks of the engine's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::engine::EPOCH_TICK;

/// The deadline of one instance. In a batch each record has time of its own, from when the guest says that it is next.
pub(super) struct Deadline {
    clock: Arc<AtomicU64>,
    timeout: u64,
    /// The tick at which the current record was begun, as far as is known.
    since: u64,
    /// The record that was last said to be next.
    reached: u32,
    /// The records of the batch, each of which gives the guest new time when it is reached; 0 when there is one deadline.
    records: u32,
}

impl Deadline {
    pub(super) fn new(clock: Arc<AtomicU64>, timeout: u64) -> Self {
        let since = clock.load(Ordering::Relaxed);
        Self { clock, timeout, since, reached: 0, records: 0 }
    }

    /// The guest is about to be entered, for a batch or for a single call.
    pub(super) fn begin(&mut self, records: u32) {
        self.since = self.clock.load(Ordering::Relaxed);
        self.reached = 0;
        self.records = records;
    }

    /// The guest says that this record is next. Only forwards and within the batch, or it could have new time for ever.
    pub(super) fn reach(&mut self, index: u32) {
        if index > self.reached && index < self.records {
            self.reached = index;
            self.since = self.clock.load(Ordering::Relaxed);
        }
    }

    /// The ticks that are left; `None` when the time is over.
    pub(super) fn left(&self) -> Option<u64> {
        let spent = self.clock.load(Ordering::Relaxed).saturating_sub(self.since);
        self.timeout.checked_sub(spent).filter(|left| *left > 0)
    }

    /// The time that is left.
    pub(super) fn time_left(&self) -> Duration {
        EPOCH_TICK.saturating_mul(u32::try_from(self.left().unwrap_or(0)).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_has_time_of_its_own_and_no_more() {
        let clock = Arc::new(AtomicU64::new(100));
        let mut deadline = Deadline::new(clock.clone(), 10);
        deadline.begin(3);
        clock.store(107, Ordering::Relaxed);
        assert_eq!((deadline.left(), deadline.time_left()), (Some(3), EPOCH_TICK * 3));
        deadline.reach(1);
        assert_eq!(deadline.left(), Some(10));
        clock.store(112, Ordering::Relaxed);
        for not_forwards in [1, 0, 3, u32::MAX] {
            deadline.reach(not_forwards);
            assert_eq!(deadline.left(), Some(5), "{not_forwards}");
        }
        clock.store(117, Ordering::Relaxed);
        assert_eq!((deadline.left(), deadline.time_left()), (None, Duration::ZERO));
        deadline.reach(2);
        assert_eq!(deadline.left(), Some(10));
    }

    #[test]
    fn a_single_call_has_one_deadline() {
        let clock = Arc::new(AtomicU64::new(0));
        let mut deadline = Deadline::new(clock.clone(), 10);
        clock.store(20, Ordering::Relaxed);
        deadline.begin(0);
        clock.store(25, Ordering::Relaxed);
        deadline.reach(1);
        assert_eq!(deadline.left(), Some(5));
    }
}
