//! Counters of the plugin instances.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use mapper_pipeline::guest::Renewal;

/// Counters of all instances.
#[derive(Debug, Default)]
pub struct Guests {
    renewals: [AtomicU64; Renewal::ALL.len()],
    memory: Mutex<BTreeMap<usize, u64>>,
}

impl Guests {
    /// An instance was replaced.
    pub fn renewed(&self, reason: Renewal) {
        self.renewals[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The number of instances that were replaced for this reason.
    pub fn renewals(&self, reason: Renewal) -> u64 {
        self.renewals[reason as usize].load(Ordering::Relaxed)
    }

    /// Sets the linear memory of the instance of a worker, in bytes.
    pub fn set_memory(&self, worker: usize, bytes: u64) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).insert(worker, bytes);
    }

    /// The linear memory of the instance of each worker after its last batch, in bytes.
    pub fn memory(&self) -> BTreeMap<usize, u64> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
