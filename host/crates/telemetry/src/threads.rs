//! Panics of threads other than the workers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The consequence of a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The host ends: it cannot do its work without the thread.
    Essential,
    /// The host continues: the thread only watches or reports.
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

    /// The number of panics by thread, without zeros.
    pub fn panics(&self) -> BTreeMap<&'static str, u64> {
        self.lock().iter().map(|(name, (_, panics))| (*name, *panics)).collect()
    }

    /// The reasons to restart the process: a line for each essential thread that panicked.
    pub fn stuck(&self) -> Vec<String> {
        let all = self.lock();
        let essential = all.iter().filter(|(_, (role, _))| *role == Role::Essential);
        essential.map(|(name, _)| format!("the thread '{name}' has panicked")).collect()
    }
}
