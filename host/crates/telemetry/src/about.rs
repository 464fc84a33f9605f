//! What does not change while the host runs, and the plugin, which may.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use chrono::{DateTime, Utc};

use mapper_core::identity::Identity;
use mapper_core::input_topics::InputTopics;
use mapper_core::topic_table::{TopicNames, TopicTable};

/// What a host works on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Work {
    /// `exactly-once` or `at-least-once`.
    pub delivery: String,
    /// The consumer group.
    pub group: String,
    /// Where records come from: a topic, several with commas between them, or a pattern.
    pub input_topic: String,
    /// Where outputs may go.
    pub output_topics: Vec<String>,
    /// The topic of dead letters.
    pub dead_letter_topic: String,
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
    topics: Mutex<Option<(InputTopics, Arc<TopicTable>)>>,
    mapping: Mutex<Option<Mapping>>,
}

impl Default for About {
    fn default() -> Self {
        Self {
            started: Utc::now(),
            begun: Instant::now(),
            work: Mutex::default(),
            topics: Mutex::default(),
            mapping: Mutex::default(),
        }
    }
}

impl About {
    /// How long the host has run.
    pub fn uptime(&self) -> std::time::Duration {
        self.begun.elapsed()
    }

    /// The input topics of the pipeline, and the table of those that there are.
    pub fn set_topics(&self, topics: InputTopics, table: Arc<TopicTable>) {
        *self.topics.lock().unwrap_or_else(PoisonError::into_inner) = Some((topics, table));
    }

    /// The topics of partition numbers.
    pub fn topics(&self) -> TopicNames {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner).clone();
        topics.map_or_else(|| TopicNames::one(self.work().input_topic), |(_, table)| table.names())
    }

    /// The input topics that there are, and the topics that it writes to.
    pub fn all_topics(&self) -> Vec<String> {
        let work = self.work();
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let read = match topics {
            // The table can have topics of other pipelines of the group.
            Some((topics, table)) => {
                let names = table.names();
                names.all().iter().filter(|name| topics.contains(name)).map(ToString::to_string).collect()
            }
            None => vec![work.input_topic],
        };
        let all = read.into_iter().chain(work.output_topics).chain([work.dead_letter_topic]);
        all.filter(|topic| !topic.is_empty()).collect()
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
