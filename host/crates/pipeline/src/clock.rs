//! The time by which a pipeline works, so that a test or a simulation can run it in virtual time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use mapper_core::shutdown::Shutdown;

/// A source of time.
pub trait Clock: Send + Sync {
    /// The monotonic time.
    fn now(&self) -> Instant;

    /// The time of day.
    fn wall_time(&self) -> DateTime<Utc>;

    /// Sleeps, but not beyond a shutdown.
    fn sleep(&self, duration: Duration, shutdown: &Shutdown);
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall_time(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn sleep(&self, duration: Duration, shutdown: &Shutdown) {
        shutdown.sleep(duration);
    }
}

/// A clock that moves only by its methods. It begins at 2020-01-01T00:00:00Z, and a sleep moves it at once.
#[derive(Debug)]
pub struct ManualClock {
    start: Instant,
    elapsed: Mutex<Duration>,
}

/// 2020-01-01T00:00:00Z in seconds.
const MANUAL_START_SECONDS: i64 = 1_577_836_800;

impl Default for ManualClock {
    fn default() -> Self {
        Self { start: Instant::now(), elapsed: Mutex::default() }
    }
}

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, duration: Duration) {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner) += duration;
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.start + self.elapsed()
    }

    fn wall_time(&self) -> DateTime<Utc> {
        let start = DateTime::from_timestamp(MANUAL_START_SECONDS, 0).unwrap_or_default();
        start + TimeDelta::from_std(self.elapsed()).unwrap_or_default()
    }

    fn sleep(&self, duration: Duration, shutdown: &Shutdown) {
        if !shutdown.requested() {
            self.advance(duration);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_both_times_by_a_sleep_that_no_shutdown_ends() {
        let (clock, shutdown) = (ManualClock::default(), Shutdown::default());
        let (start, wall_start) = (clock.now(), clock.wall_time());
        clock.sleep(Duration::from_secs(60), &shutdown);
        assert_eq!(
            (clock.now() - start, clock.wall_time() - wall_start),
            (Duration::from_secs(60), TimeDelta::minutes(1))
        );
        shutdown.request();
        clock.sleep(Duration::from_secs(60), &shutdown);
        assert_eq!(clock.elapsed(), Duration::from_secs(60));
        assert_eq!(wall_start.to_rfc3339(), "2020-01-01T00:00:00+00:00");
    }
}
