//! A plain producer to one topic, for the generator of visits.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaResult;
use rdkafka::producer::{Producer, ThreadedProducer};
use rdkafka::util::Timeout;

use super::client::KafkaSettings;
use super::native::TopicHandle;
use super::sink::Deliveries;
use crate::shutdown::{Halt, Shutdown};

/// Produces keyed values to a topic.
pub struct TopicProducer {
    topic: TopicHandle<Deliveries>,
    producer: Arc<ThreadedProducer<Deliveries>>,
}

impl TopicProducer {
    /// A producer to this topic.
    ///
    /// # Errors
    /// When librdkafka refuses a property.
    pub fn new(settings: &KafkaSettings, topic: &str) -> KafkaResult<Self> {
        let producer =
            ThreadedProducer::from_config_and_context(&settings.producer(None, None), Deliveries::default())?;
        let producer = Arc::new(producer);
        Ok(Self { topic: TopicHandle::new(producer.clone(), topic)?, producer })
    }

    /// Queues a record, with this timestamp or else the present time; waits while the queue is full.
    ///
    /// # Errors
    /// When Kafka refuses it, or there is a shutdown while it waits.
    pub fn send(
        &self,
        key: Option<&[u8]>,
        value: &[u8],
        timestamp_ms: Option<i64>,
        shutdown: &Shutdown,
    ) -> Result<(), Halt> {
        let wait = || {
            shutdown.sleep(Duration::from_millis(1));
            !shutdown.requested()
        };
        self.topic
            .produce(key, Some(value), timestamp_ms, &mut std::iter::empty(), wait)
            .map_err(|code| Halt::kafka(format!("a visit could not be produced: {code}")))
    }

    /// Waits until all records are acknowledged.
    ///
    /// # Errors
    /// When one of them was refused.
    pub fn finish(&self) -> Result<(), Halt> {
        let flushed = self.producer.flush(Timeout::Never);
        flushed.map_err(|error| Halt::kafka(format!("the last visits could not be produced: {error}")))?;
        match self.producer.context().take() {
            None => Ok(()),
            Some((code, _)) => Err(Halt::kafka(format!("a visit could not be produced: {code}"))),
        }
    }
}
