//! Detects output topics that were deleted and created again. Their records are lost, and the host writes to the new topic.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mapper_core::topics::TopicIdentity;
use mapper_kafka::TopicEvents;

use super::TopicReporter;
use mapper_core::shutdown::Shutdown;
use mapper_kafka::setup::Setup;

/// The interval of the checks.
const EVERY: Duration = Duration::from_secs(5);
/// The timeout of a request.
const PATIENCE: Duration = Duration::from_secs(5);

/// The output topics of a host.
pub struct TopicWatch {
    setup: Arc<Setup>,
    topics: Vec<String>,
    events: Arc<TopicReporter>,
    known: Mutex<BTreeMap<String, TopicIdentity>>,
}

impl TopicWatch {
    /// Starts with the identities of the last run.
    pub fn new(setup: Arc<Setup>, topics: &[&str], events: Arc<TopicReporter>) -> Self {
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        let known = topics.iter().filter_map(|topic| Some((topic.clone(), events.known(topic)?))).collect();
        Self { setup, topics, events, known: Mutex::new(known) }
    }

    /// Checks until the shutdown.
    pub fn follow(&self, shutdown: &Shutdown) {
        while !shutdown.requested() {
            shutdown.sleep(EVERY);
            self.look();
        }
    }

    /// Checks once. A deleted topic is reported after it is created again.
    pub fn look(&self) {
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let identities = match self.setup.read_identities(&topics, PATIENCE) {
            Ok(identities) => identities,
            Err(error) => return tracing::debug!(target: "kafka", %error, "request for the topics failed"),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, identity) in identities {
            let before = known.insert(topic.clone(), identity.clone());
            if let Some(before) = before.filter(|before| before.differs_from(&identity)) {
                let consequence = "its records are lost, and the host writes to the new topic";
                self.events.recreated(&topic, before.id.as_ref(), identity.id.as_ref(), consequence);
            }
            self.events.keep(&topic, &identity);
        }
    }
}
