//! A topic that keeps the last record of each key.

use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{REQUEST_TIMEOUT, Setup};
use crate::error_class::ErrorClass;
use crate::topic_limits;
use mapper_core::shutdown::Halt;

impl Setup {
    /// Whether a topic exists.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub fn has_topic(&self, topic: &str) -> Result<bool, Halt> {
        Ok(self.partition_count(topic)?.is_some())
    }

    /// Creates a compacted topic of one partition if it does not exist. Checks that an existing one is compacted, if the broker reports
    /// its configuration.
    ///
    /// # Errors
    /// If the topic can't be created, or is not compacted. The message has the command that corrects it.
    pub fn ensure_compacted(&self, topic: &str) -> Result<(), Halt> {
        if !self.has_topic(topic)? {
            return self.create_compacted(topic);
        }
        self.check_compacted(topic)
    }

    /// Checks that a topic is compacted, if it exists and the broker reports its configuration.
    ///
    /// # Errors
    /// If it is not. The message has the command that corrects it.
    pub fn check_compacted(&self, topic: &str) -> Result<(), Halt> {
        let limits = topic_limits::describe(&self.settings, &[topic], REQUEST_TIMEOUT).unwrap_or_default();
        let is_compacted = limits.into_iter().flatten().next().is_none_or(|limits| limits.needs_key);
        if is_compacted {
            return Ok(());
        }
        let brokers = &self.settings.brokers;
        Err(Halt::configuration(format!(
            "the state topic '{topic}' is not compacted (cleanup.policy), so Kafka would remove states after the retention time. Correct \
             it: kafka-configs.sh --bootstrap-server {brokers} --alter --entity-type topics --entity-name {topic} --add-config \
             cleanup.policy=compact"
        )))
    }

    fn create_compacted(&self, topic: &str) -> Result<(), Halt> {
        let admin = self.admin()?;
        let wanted = NewTopic::new(topic, 1, TopicReplication::Fixed(-1)).set("cleanup.policy", "compact");
        let options =
            AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT)).request_timeout(Some(2 * REQUEST_TIMEOUT));
        let brokers = &self.settings.brokers;
        let failed = |reason: String| {
            Halt::kafka(format!(
                "the state topic '{topic}' does not exist and could not be created: {reason}. Create it: kafka-topics.sh \
                 --bootstrap-server {brokers} --create --topic {topic} --partitions 1 --config cleanup.policy=compact"
            ))
        };
        let results =
            topic_limits::wait(admin.create_topics(&[wanted], &options)).map_err(|error| failed(error.to_string()))?;
        match results.into_iter().next() {
            None | Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {}
            Some(Err((_, code))) if ErrorClass::of(code).is_not_authorized() => {
                return Err(failed(format!("{code} (permission CREATE)")));
            }
            Some(Err((_, code))) => return Err(failed(code.to_string())),
        }
        tracing::info!(topic, "created the state topic");
        // The answer comes before all brokers have the new metadata.
        self.request(&format!("the metadata of the new topic '{topic}'"), |setup, _| {
            match setup.partition_count(topic) {
                Ok(Some(_)) => Ok(()),
                _ => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)),
            }
        })
    }
}
