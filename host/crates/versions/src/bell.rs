//! Wakes the thread that swaps: one bell for all that it may have to look at.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A count of what happened, to wait for the next. The one who waits looks at everything, so nothing is missed.
#[derive(Debug, Default)]
pub struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
}

impl Bell {
    /// Something happened.
    pub fn ring(&self) {
        *self.rings.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.rung.notify_all();
    }

    /// How often it has rung. Asked before looking at what may have happened.
    pub fn rings(&self) -> u64 {
        *self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it has rung since, but not longer than this.
    pub fn wait(&self, since: u64, longest: Duration) {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.rung.wait_timeout_while(rings, longest, |rings| *rings == since);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}
