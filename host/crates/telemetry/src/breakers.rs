//! Which workers have left their mapper alone, and why: for the log, for health, and for whoever shows it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::health::Health;

/// As whom the breakers say that the host is not ready.
const WHO: &str = "breaker";

/// The open breakers of all workers.
#[derive(Debug, Default)]
pub struct Breakers {
    open: Mutex<BTreeMap<usize, String>>,
    opened: AtomicU64,
}

impl Breakers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker has stopped.
    pub fn opened(&self, health: &Health, worker: usize, reason: &str) {
        tracing::warn!(worker, reason, "breaker open: this worker reads on when its mapper is mended");
        let mut open = self.lock();
        open.insert(worker, reason.to_owned());
        self.opened.fetch_add(1, Ordering::Relaxed);
        say(health, &open);
    }

    /// The worker goes on.
    pub fn closed(&self, health: &Health, worker: usize, why: &str) {
        let mut open = self.lock();
        if open.remove(&worker).is_some() {
            tracing::info!(worker, why, "breaker closed");
            say(health, &open);
        }
    }

    /// The workers that have stopped, and why.
    pub fn open(&self) -> BTreeMap<usize, String> {
        self.lock().clone()
    }

    /// How often a worker stopped.
    pub fn times_opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }
}

/// With the lock held, so that the last word is the true one.
fn say(health: &Health, open: &BTreeMap<usize, String>) {
    if open.is_empty() {
        return health.ready(WHO);
    }
    let all: Vec<String> =
        open.iter().map(|(worker, reason)| format!("worker {worker} has stopped: {reason}")).collect();
    health.not_ready(WHO, all.join("; "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_ready_when_all_are_closed() {
        let (breakers, health) = (Breakers::default(), Health::default());
        breakers.opened(&health, 1, "trap: unreachable");
        breakers.opened(&health, 0, "timeout");
        let [(who, why)] = &health.reasons()[..] else { panic!("{:?}", health.reasons()) };
        assert_eq!(
            (*who, why.as_str()),
            ("breaker", "worker 0 has stopped: timeout; worker 1 has stopped: trap: unreachable")
        );
        breakers.closed(&health, 1, "a probe succeeded");
        breakers.closed(&health, 1, "a probe succeeded");
        assert_eq!(breakers.open(), BTreeMap::from([(0, "timeout".to_owned())]));
        breakers.closed(&health, 0, "a probe succeeded");
        assert_eq!((health.reasons(), breakers.times_opened()), (vec![], 2));
    }
}
