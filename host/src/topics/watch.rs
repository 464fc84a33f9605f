//! Notices when a topic that the host writes to was deleted and created again: its records are gone, and the host writes on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mapper_core::topics::TopicIdentity;
use mapper_kafka::TopicEvents;

use super::TopicReporter;
use mapper_core::shutdown::Shutdown;
use mapper_kafka::setup::Setup;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(5);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The topics that a host writes to.
pub struct TopicWatch {
    setup: Arc<Setup>,
    topics: Vec<String>,
    events: Arc<TopicReporter>,
    known: Mutex<BTreeMap<String, TopicIdentity>>,
}

impl TopicWatch {
    /// Begins with what the last run knew.
    pub fn new(setup: Arc<Setup>, topics: &[&str], events: Arc<TopicReporter>) -> Self {
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        let known = topics.iter().filter_map(|topic| Some((topic.clone(), events.known(topic)?))).collect();
        Self { setup, topics, events, known: Mutex::new(known) }
    }

    /// Looks until the shutdown.
    pub fn follow(&self, shutdown: &Shutdown) {
        while !shutdown.requested() {
            shutdown.sleep(EVERY);
            self.look();
        }
    }

    /// Looks once. A topic that is deleted at this moment shows when it is created again.
    pub fn look(&self) {
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let identities = match self.setup.identities(&topics, PATIENCE) {
            Ok(identities) => identities,
            Err(error) => return tracing::debug!(target: "kafka", %error, "no answer which topics there are"),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, identity) in identities {
            let before = known.insert(topic.clone(), identity.clone());
            if let Some(before) = before.filter(|before| before.differs_from(&identity)) {
                let consequence = "the records in it are gone, and the host writes on to the new topic";
                self.events.recreated(&topic, before.id.as_ref(), identity.id.as_ref(), consequence);
            }
            self.events.keep(&topic, &identity);
        }
    }
}
