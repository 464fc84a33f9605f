//! A producer without transactions.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::Producer;
use rdkafka::util::Timeout;

use super::client::KafkaSettings;
use super::error_class::{Denied, ErrorClass};
use super::native::TopicHandle;
use super::permissions::{MissingPermission, Operation, Resource};
use super::reporting::ReportingProducer;
use mapper_core::record::Header;
use mapper_core::shutdown::{Cause, Halt, Shutdown};

pub struct TopicProducer {
    name: String,
    topic: TopicHandle,
    producer: Arc<ReportingProducer>,
}

impl TopicProducer {
    /// # Errors
    /// If librdkafka refuses a property.
    pub fn new(settings: &KafkaSettings, topic: &str) -> KafkaResult<Self> {
        let producer = Arc::new(ReportingProducer::new(&settings.producer(None, None))?);
        Ok(Self { name: topic.to_owned(), topic: TopicHandle::new(producer.clone(), topic)?, producer })
    }

    /// Queues a record without headers; waits while the queue is full. Without a timestamp, the record gets the current time.
    ///
    /// # Errors
    /// If Kafka refuses the record, or if a shutdown interrupts the wait.
    pub fn send(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp_ms: Option<i64>,
        shutdown: &Shutdown,
    ) -> Result<(), Halt> {
        self.send_with_headers(key, value, timestamp_ms, &mut std::iter::empty(), shutdown)
    }

    /// The same with headers.
    ///
    /// # Errors
    /// If Kafka refuses the record, or if a shutdown interrupts the wait.
    pub fn send_with_headers<'h>(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp_ms: Option<i64>,
        headers: &mut dyn Iterator<Item = Header<'h>>,
        shutdown: &Shutdown,
    ) -> Result<(), Halt> {
        let wait = || {
            shutdown.sleep(Duration::from_millis(1));
            !shutdown.requested()
        };
        let produced = self.topic.produce(0, key, value, timestamp_ms, headers, wait);
        produced.map_err(|code| self.refused(code))
    }

    /// Waits until all records are acknowledged.
    ///
    /// # Errors
    /// If a record was not delivered.
    pub fn finish(&self) -> Result<(), Halt> {
        let flushed = self.producer.flush(Timeout::Never);
        flushed.map_err(|error| {
            let context = format!("failed to produce the last records to the topic '{}'", self.name);
            Halt::new(Cause::Kafka, anyhow::Error::new(error).context(context))
        })?;
        let Some(failures) = self.producer.context().take() else { return Ok(()) };
        let rejected = failures.rejected.first().map(|rejected| rejected.code);
        match rejected.or(failures.other.map(|(code, _)| code)) {
            Some(code) => Err(self.refused(code)),
            None => Err(Halt::kafka(format!("failed to produce to the topic '{}'", self.name))),
        }
    }

    fn refused(&self, code: RDKafkaErrorCode) -> Halt {
        let failed = format!("failed to produce to the topic '{}': {code}", self.name);
        if let ErrorClass::NotAuthorized(Denied::Topic) = ErrorClass::of(code) {
            let missing = MissingPermission::new([Operation::Write], Resource::Topic(&self.name));
            return Halt::kafka(format!("{failed}: {missing}"));
        }
        Halt::kafka(failed)
    }
}
