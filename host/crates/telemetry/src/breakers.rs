//! The open breakers of the workers, for the log, the readiness and the status.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::health::Health;

/// The component of the reasons of breakers.
const COMPONENT: &str = "breaker";

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

    /// A breaker opened.
    pub fn opened(&self, health: &Health, worker: usize, reason: &str) {
        tracing::warn!(worker, reason, "breaker opened; the worker continues when a probe succeeds");
        let mut open = self.lock();
        open.insert(worker, reason.to_owned());
        self.opened.fetch_add(1, Ordering::Relaxed);
        update_health(health, &open);
    }

    /// A breaker closed.
    pub fn closed(&self, health: &Health, worker: usize, why: &str) {
        let mut open = self.lock();
        if open.remove(&worker).is_some() {
            tracing::info!(worker, why, "breaker closed");
            update_health(health, &open);
        }
    }

    /// The workers with an open breaker, and the reasons.
    pub fn open(&self) -> BTreeMap<usize, String> {
        self.lock().clone()
    }

    /// The number of openings.
    pub fn times_opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }
}

/// The caller holds the lock, so that the last update is the current one.
fn update_health(health: &Health, open: &BTreeMap<usize, String>) {
    if open.is_empty() {
        return health.ready(COMPONENT);
    }
    let all: Vec<String> =
        open.iter().map(|(worker, reason)| format!("the breaker of worker {worker} is open: {reason}")).collect();
    health.not_ready(COMPONENT, all.join("; "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_ready_when_all_breakers_are_closed() {
        let (breakers, health) = (Breakers::default(), Health::default());
        breakers.opened(&health, 1, "trap: unreachable");
        breakers.opened(&health, 0, "timeout");
        let [(who, why)] = &health.reasons()[..] else { panic!("{:?}", health.reasons()) };
        assert_eq!(
            (*who, why.as_str()),
            ("breaker", "the breaker of worker 0 is open: timeout; the breaker of worker 1 is open: trap: unreachable")
        );
        breakers.closed(&health, 1, "a probe succeeded");
        breakers.closed(&health, 1, "a probe succeeded");
        assert_eq!(breakers.open(), BTreeMap::from([(0, "timeout".to_owned())]));
        breakers.closed(&health, 0, "a probe succeeded");
        assert_eq!((health.reasons(), breakers.times_opened()), (vec![], 2));
    }
}
