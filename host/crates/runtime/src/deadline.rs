//! The deadline of a guest for a record, in epoch ticks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::engine::EPOCH_TICK;

/// The deadline of one instance. In a batch, each progress report of the guest starts a new deadline.
pub(super) struct Deadline {
    clock: Arc<AtomicU64>,
    timeout: u64,
    /// The tick of the last progress report.
    started_at: u64,
    /// Batch index of the last progress report.
    index: u32,
    /// Records in the batch; 0 for a call with a single deadline.
    records: u32,
}

impl Deadline {
    pub(super) fn new(clock: Arc<AtomicU64>, timeout: u64) -> Self {
        let started_at = clock.load(Ordering::Relaxed);
        Self { clock, timeout, started_at, index: 0, records: 0 }
    }

    /// Starts the deadline of a call. `records` is 0 for a single record.
    pub(super) fn begin_call(&mut self, records: u32) {
        self.started_at = self.clock.load(Ordering::Relaxed);
        self.index = 0;
        self.records = records;
    }

    /// Handles a progress report. Only a larger index within the batch restarts the deadline; otherwise a guest could extend it
    /// for ever.
    pub(super) fn report_progress(&mut self, index: u32) {
        if index > self.index && index < self.records {
            self.index = index;
            self.started_at = self.clock.load(Ordering::Relaxed);
        }
    }

    /// `None` after the deadline.
    pub(super) fn ticks_left(&self) -> Option<u64> {
        let elapsed = self.clock.load(Ordering::Relaxed).saturating_sub(self.started_at);
        self.timeout.checked_sub(elapsed).filter(|left| *left > 0)
    }

    pub(super) fn time_left(&self) -> Duration {
        EPOCH_TICK.saturating_mul(u32::try_from(self.ticks_left().unwrap_or(0)).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_restarts_the_deadline_only_forwards_within_the_batch() {
        let clock = Arc::new(AtomicU64::new(100));
        let mut deadline = Deadline::new(clock.clone(), 10);
        deadline.begin_call(3);
        clock.store(107, Ordering::Relaxed);
        assert_eq!((deadline.ticks_left(), deadline.time_left()), (Some(3), EPOCH_TICK * 3));
        deadline.report_progress(1);
        assert_eq!(deadline.ticks_left(), Some(10));
        clock.store(112, Ordering::Relaxed);
        for index in [1, 0, 3, u32::MAX] {
            deadline.report_progress(index);
            assert_eq!(deadline.ticks_left(), Some(5), "{index}");
        }
        clock.store(117, Ordering::Relaxed);
        assert_eq!((deadline.ticks_left(), deadline.time_left()), (None, Duration::ZERO));
        deadline.report_progress(2);
        assert_eq!(deadline.ticks_left(), Some(10));
    }

    #[test]
    fn single_call_has_one_deadline() {
        let clock = Arc::new(AtomicU64::new(0));
        let mut deadline = Deadline::new(clock.clone(), 10);
        clock.store(20, Ordering::Relaxed);
        deadline.begin_call(0);
        clock.store(25, Ordering::Relaxed);
        deadline.report_progress(1);
        assert_eq!(deadline.ticks_left(), Some(5));
    }
}
