//! Threads beside the workers that panicked.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a panic of a thread means for the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The host ends: a part of it that users rely on is gone.
    Essential,
    /// The host goes on: the thread only watches or reports.
    Watcher,
}

/// The panics of threads by their names.
#[derive(Debug, Default)]
pub struct Threads(Mutex<BTreeMap<&'static str, (Role, u64)>>);

impl Threads {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, (Role, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread panicked.
    pub fn panicked(&self, name: &'static str, role: Role) {
        self.lock().entry(name).or_insert((role, 0)).1 += 1;
    }

    /// How often each thread panicked; only those that did.
    pub fn panics(&self) -> BTreeMap<&'static str, u64> {
        self.lock().iter().map(|(name, (_, panics))| (*name, *panics)).collect()
    }

    /// Why the process should be restarted: a line for each essential thread that panicked.
    pub fn stuck(&self) -> Vec<String> {
        let all = self.lock();
        let essential = all.iter().filter(|(_, (role, _))| *role == Role::Essential);
        essential.map(|(name, _)| format!("the thread '{name}' has panicked")).collect()
    }
}
