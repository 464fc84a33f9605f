//! The outages of what mappers need, such as a schema registry, for the log and the readiness.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::health::Health;

/// The component of the reasons of outages.
const COMPONENT: &str = "schema-registry";

/// The workers that wait, with the reasons.
#[derive(Debug, Default)]
pub(crate) struct Outages(Mutex<BTreeMap<usize, String>>);

impl Outages {
    /// A worker waits. Returns whether it did not before.
    pub(crate) fn began(&self, health: &Health, worker: usize, reason: &str, next: Duration) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = waiting.insert(worker, reason.to_owned()).is_none();
        if is_new {
            let wait = humantime::format_duration(next).to_string();
            tracing::warn!(worker, reason, wait, "the schema registry can't be used; the records wait");
        }
        update_health(health, &waiting);
        is_new
    }

    /// A worker has what it waited for.
    pub(crate) fn ended(&self, health: &Health, worker: usize) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.remove(&worker).is_some() {
            tracing::info!(worker, "the schema registry answers again");
        }
        update_health(health, &waiting);
    }
}

/// The caller holds the lock, so that the last update is the current one.
fn update_health(health: &Health, waiting: &BTreeMap<usize, String>) {
    // The workers have one registry, so they usually have one reason.
    match waiting.values().next() {
        None => health.ready(COMPONENT),
        Some(reason) => health.not_ready(COMPONENT, format!("{} workers wait: {reason}", waiting.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_not_ready_while_a_worker_waits() {
        let (outages, health) = (Outages::default(), Health::default());
        assert!(outages.began(&health, 0, "HTTP 503", Duration::ZERO));
        assert!(outages.began(&health, 1, "HTTP 503", Duration::ZERO));
        assert!(!outages.began(&health, 1, "HTTP 500", Duration::ZERO));
        assert_eq!(health.reasons(), [("schema-registry", "2 workers wait: HTTP 503".to_owned())]);
        outages.ended(&health, 0);
        assert_eq!(health.reasons(), [("schema-registry", "1 workers wait: HTTP 500".to_owned())]);
        outages.ended(&health, 1);
        outages.ended(&health, 1);
        assert_eq!(health.reasons(), []);
    }
}
