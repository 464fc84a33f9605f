//! The virtual time of a run, which only moves when its world says so.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use mapper_core::shutdown::Shutdown;
use mapper_pipeline::Clock;

/// 2020-01-01T00:00:00Z in seconds.
const START_SECONDS: i64 = 1_577_836_800;

/// The virtual time, as pipelines read it.
pub(crate) struct VirtualClock {
    start: Instant,
    nanos: AtomicU64,
}

impl VirtualClock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), nanos: AtomicU64::new(0) }
    }

    /// The virtual time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    /// Moves on to this time, unless it is later already.
    pub(crate) fn move_to(&self, elapsed: Duration) {
        self.nanos.fetch_max(elapsed.as_nanos() as u64, Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        self.start + self.elapsed()
    }

    fn wall_time(&self) -> DateTime<Utc> {
        let start = DateTime::from_timestamp(START_SECONDS, 0).unwrap_or_default();
        start + TimeDelta::from_std(self.elapsed()).unwrap_or_default()
    }

    /// Never called: the world waits between the steps of a pipeline.
    fn sleep(&self, _: Duration, _: &Shutdown) {}
}
