//! The open dead letters of a pipeline and the states of their groups, as the thread that follows their topics sees them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

/// Open letters and groups at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenLetters {
    /// The number of groups by state, with all states.
    pub groups_by_state: Vec<(&'static str, u64)>,
    pub open: u64,
    /// When the oldest open letter failed.
    pub oldest: Option<DateTime<Utc>>,
    /// Whether large groups are counted by a sample.
    pub is_estimate: bool,
}

impl OpenLetters {
    /// The age of the oldest open letter; 0 without an open letter.
    pub fn oldest_age_seconds(&self, now: DateTime<Utc>) -> f64 {
        self.oldest.map_or(0.0, |oldest| (now - oldest).num_milliseconds().max(0) as f64 / 1000.0)
    }
}

/// A group of open letters whose records the active version maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedriveHint {
    pub fingerprint: String,
    /// The letters that were mapped as a sample.
    pub tried: u64,
    /// How many of them did not fail.
    pub passed: u64,
    /// The command that redrives the group.
    pub command: String,
}

/// Whether the letters are followed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Watch {
    /// Nothing follows them: the pipeline has no Kafka of its own.
    #[default]
    Off,
    /// They are read for the first time, or again after an error.
    Loading,
    Failed(String),
    Up,
}

/// What is known about the dead letters of a pipeline.
#[derive(Debug, Default)]
pub struct DeadLetters {
    state: Mutex<(Watch, Option<OpenLetters>)>,
    redrivable: Mutex<Vec<RedriveHint>>,
    redriven: AtomicU64,
    failed_again: AtomicU64,
}

impl DeadLetters {
    /// The letters are read. What was known before stays known.
    pub fn loading(&self) {
        self.lock().0 = Watch::Loading;
    }

    /// The letters can't be followed.
    pub fn failed(&self, reason: String) {
        self.lock().0 = Watch::Failed(reason);
    }

    /// All letters were read.
    pub fn set(&self, letters: OpenLetters) {
        *self.lock() = (Watch::Up, Some(letters));
    }

    /// Adds resolved letters of redrives, and letters of records that had failed before.
    pub fn add(&self, redriven: u64, failed_again: u64) {
        self.redriven.fetch_add(redriven, Ordering::Relaxed);
        self.failed_again.fetch_add(failed_again, Ordering::Relaxed);
    }

    /// Whether all letters were read and are followed; `None` if nothing follows them.
    pub fn is_up(&self) -> Option<bool> {
        match self.lock().0 {
            Watch::Off => None,
            Watch::Up => Some(true),
            Watch::Loading | Watch::Failed(_) => Some(false),
        }
    }

    /// Why the letters can't be followed.
    pub fn error(&self) -> Option<String> {
        if let Watch::Failed(reason) = &self.lock().0 { Some(reason.clone()) } else { None }
    }

    /// The last known letters; `None` until all were read once.
    pub fn letters(&self) -> Option<OpenLetters> {
        self.lock().1.clone()
    }

    /// Letters that a redrive has resolved.
    pub fn redriven(&self) -> u64 {
        self.redriven.load(Ordering::Relaxed)
    }

    /// Letters of records that had failed before.
    pub fn failed_again(&self) -> u64 {
        self.failed_again.load(Ordering::Relaxed)
    }

    /// The groups whose records the active version maps.
    pub fn redrivable(&self) -> Vec<RedriveHint> {
        self.redrivable.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_redrivable(&self, hints: Vec<RedriveHint>) {
        *self.redrivable.lock().unwrap_or_else(PoisonError::into_inner) = hints;
    }

    /// Keeps the hints of these groups.
    pub fn retain_redrivable(&self, keeps: impl Fn(&str) -> bool) {
        self.redrivable.lock().unwrap_or_else(PoisonError::into_inner).retain(|hint| keeps(&hint.fingerprint));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Watch, Option<OpenLetters>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
