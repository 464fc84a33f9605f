//! What does not change while the host runs, and the plugin, which may.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use chrono::{DateTime, Utc};

use mapper_core::identity::Identity;

/// What a host works on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Work {
    /// `exactly-once` or `at-least-once`.
    pub delivery: String,
    /// The consumer group.
    pub group: String,
    /// Where records come from.
    pub input_topic: String,
    /// Where outputs may go.
    pub output_topics: Vec<String>,
    /// Where failed records go.
    pub dead_letter_topic: String,
}

impl Work {
    /// All topics.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        let all = [&self.input_topic].into_iter().chain(&self.output_topics).chain([&self.dead_letter_topic]);
        all.map(String::as_str).filter(|topic| !topic.is_empty())
    }
}

/// The plugin that maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Who it is.
    pub identity: Identity,
    /// The file it was read from.
    pub file: PathBuf,
    /// Since when it maps.
    pub since: DateTime<Utc>,
}

/// The host, its work and its plugin.
#[derive(Debug)]
pub struct About {
    /// When the host began.
    pub started: DateTime<Utc>,
    begun: Instant,
    work: Mutex<Work>,
    mapping: Mutex<Option<Mapping>>,
}

impl Default for About {
    fn default() -> Self {
        Self { started: Utc::now(), begun: Instant::now(), work: Mutex::default(), mapping: Mutex::default() }
    }
}

impl About {
    /// How long the host has run.
    pub fn uptime(&self) -> std::time::Duration {
        self.begun.elapsed()
    }

    /// This is its work.
    pub fn set_work(&self, work: Work) {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = work;
    }

    /// What it works on; nothing yet while it starts.
    pub fn work(&self) -> Work {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this plugin maps.
    pub fn set_plugin(&self, identity: Identity, file: PathBuf) {
        let mapping = Mapping { identity, file, since: Utc::now() };
        *self.mapping.lock().unwrap_or_else(PoisonError::into_inner) = Some(mapping);
    }

    /// The plugin that maps, once there is one.
    pub fn plugin(&self) -> Option<Mapping> {
        self.mapping.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
