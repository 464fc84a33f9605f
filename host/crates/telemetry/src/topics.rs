//! Counters of topic events.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counters of events of topics.
#[derive(Debug, Default)]
pub struct Topics {
    recreated: Mutex<BTreeMap<String, u64>>,
    missed: AtomicU64,
}

impl Topics {
    /// A topic was deleted and created again.
    pub fn recreated(&self, topic: &str) {
        let mut recreated = self.recreated.lock().unwrap_or_else(PoisonError::into_inner);
        *recreated.entry(topic.to_owned()).or_default() += 1;
    }

    /// The number of recreations, by topic.
    pub fn recreations(&self) -> BTreeMap<String, u64> {
        self.recreated.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds records that were removed before the host read them.
    pub fn add_missed(&self, records: u64) {
        self.missed.fetch_add(records, Ordering::Relaxed);
    }

    /// The number of missed records.
    pub fn records_missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}
