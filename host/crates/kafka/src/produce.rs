//! A producer without transactions for the generator of visits.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaResult;
use rdkafka::producer::Producer;
use rdkafka::util::Timeout;

use super::client::KafkaSettings;
use super::native::TopicHandle;
use super::reporting::ReportingProducer;
use mapper_core::shutdown::{Cause, Halt, Shutdown};

pub struct TopicProducer {
    topic: TopicHandle,
    producer: Arc<ReportingProducer>,
}

impl TopicProducer {
    /// # Errors
    /// If librdkafka refuses a property.
    pub fn new(settings: &KafkaSettings, topic: &str) -> KafkaResult<Self> {
        let producer = Arc::new(ReportingProducer::new(&settings.producer(None, None))?);
        Ok(Self { topic: TopicHandle::new(producer.clone(), topic)?, producer })
    }

    /// Queues a record; waits while the queue is full. Without a timestamp, the record gets the current time.
    ///
    /// # Errors
    /// If Kafka refuses the record, or if a shutdown interrupts the wait.
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
            .produce(0, key, Some(value), timestamp_ms, &mut std::iter::empty(), wait)
            .map_err(|code| Halt::kafka(format!("failed to produce a visit: {code}")))
    }

    /// Waits until all records are acknowledged.
    ///
    /// # Errors
    /// If a record was not delivered.
    pub fn finish(&self) -> Result<(), Halt> {
        let flushed = self.producer.flush(Timeout::Never);
        flushed.map_err(|error| {
            Halt::new(Cause::Kafka, anyhow::Error::new(error).context("failed to produce the last visits"))
        })?;
        let Some(failures) = self.producer.context().take() else { return Ok(()) };
        let rejected = failures.rejected.first().map(|rejected| rejected.code);
        let code = rejected.or(failures.other.map(|(code, _)| code));
        Err(Halt::kafka(format!(
            "failed to produce a visit: {}",
            code.map_or_else(String::new, |code| code.to_string())
        )))
    }
}
