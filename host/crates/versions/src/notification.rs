//! Wakes a thread that waits for several kinds of events.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A count of notifications. The thread that waits checks every kind of event after each one, so it misses none.
#[derive(Debug, Default)]
pub struct Notify {
    generation: Mutex<u64>,
    notified: Condvar,
}

impl Notify {
    pub fn notify(&self) {
        *self.generation.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.notified.notify_all();
    }

    /// The number of notifications so far. Read it before the checks, so that [`Notify::wait`] misses none.
    pub fn generation(&self) -> u64 {
        *self.generation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a notification after `since`, for at most `timeout`.
    pub fn wait(&self, since: u64, timeout: Duration) {
        let generation = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.notified.wait_timeout_while(generation, timeout, |generation| *generation == since);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}
