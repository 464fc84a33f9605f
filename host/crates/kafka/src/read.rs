//! Reads a topic from its beginning to its end offsets, without a group and without commits.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::{ConnectionContext, KafkaSettings};
use super::error_class::{Denied, ErrorClass};
use super::native::RecordQueue;
use super::permissions::{MissingPermission, Operation, Resource};
use super::setup::Setup;
use super::until::EndOffsets;
use mapper_core::record::{Batch, Positions};
use mapper_core::shutdown::{Cause, Halt, Shutdown};

/// The size of the buffer of fetched records.
const BUFFER_KIB: &str = "16384";
const NO_GROUP: &str = "mapper-host-reads-without-a-group";

/// A reader of one topic. It keeps the order within each partition.
pub struct TopicReader {
    // Before the consumer, so that Rust drops it first.
    queue: RecordQueue<ConnectionContext>,
    consumer: Arc<BaseConsumer<ConnectionContext>>,
    topic: Arc<str>,
    until: EndOffsets,
    firsts: Positions,
    ends: Positions,
}

impl TopicReader {
    /// Connects, and reads the end offsets of all partitions.
    ///
    /// # Errors
    /// If Kafka does not answer in time, or the topic does not exist.
    pub fn open(settings: &KafkaSettings, topic: &str, within: Duration, shutdown: &Shutdown) -> Result<Self, Halt> {
        Self::open_if_exists(&Setup::connect(settings, within, shutdown)?, topic)?.ok_or_else(|| {
            let brokers = &settings.brokers;
            Halt::configuration(format!("the topic '{topic}' doesn't exist at '{brokers}'; check the name"))
        })
    }

    /// Reads the end offsets of all partitions. `None` if the topic does not exist.
    ///
    /// # Errors
    /// If Kafka does not answer in time.
    pub fn open_if_exists(setup: &Setup, topic: &str) -> Result<Option<Self>, Halt> {
        let ranges = setup.offset_ranges(topic)?;
        if ranges.is_empty() {
            return Ok(None);
        }
        Self::open_ranges(setup.settings(), topic, &ranges).map(Some)
    }

    /// Reads these partitions, each from its first offset up to its end offset.
    ///
    /// # Errors
    /// If librdkafka refuses a property.
    pub fn open_ranges(settings: &KafkaSettings, topic: &str, ranges: &[(i32, i64, i64)]) -> Result<Self, Halt> {
        let until = ranges.iter().map(|(partition, first, end)| (*partition, if first >= end { 0 } else { *end }));
        let until = EndOffsets::new(until.collect());
        let failed = |error: KafkaError| {
            Halt::new(Cause::Kafka, anyhow::Error::new(error).context(format!("the topic '{topic}' can't be read")))
        };
        let mut config = settings.query_client();
        config
            .set("enable.partition.eof", "true")
            // Records may be removed before they are read.
            .set("auto.offset.reset", "earliest")
            .set("queued.max.messages.kbytes", BUFFER_KIB);
        if settings.group.is_empty() {
            // librdkafka requires a group for an assignment. It does not use the group here.
            config.set("group.id", NO_GROUP);
        }
        let consumer =
            Arc::new(BaseConsumer::from_config_and_context(&config, ConnectionContext::default()).map_err(failed)?);
        let queue = RecordQueue::new(consumer.clone());
        let mut list = TopicPartitionList::new();
        for (partition, first, _) in ranges {
            queue.route(topic, *partition).map_err(failed)?;
            list.add_partition_offset(topic, *partition, Offset::Offset(*first)).map_err(failed)?;
        }
        consumer.assign(&list).map_err(failed)?;
        let firsts = ranges.iter().map(|(partition, first, _)| (*partition, *first)).collect();
        let ends = ranges.iter().map(|(partition, _, end)| (*partition, *end)).collect();
        Ok(Self { queue, consumer, topic: topic.into(), until, firsts, ends })
    }

    /// The first offset of each partition when it was opened.
    pub fn firsts(&self) -> &Positions {
        &self.firsts
    }

    /// The end offset of each partition when it was opened.
    pub fn ends(&self) -> &Positions {
        &self.ends
    }

    /// Adds up to `max_records` records and about `max_bytes` to the batch. Waits only for the first one. Returns false at the end.
    ///
    /// # Errors
    /// If Kafka refuses a read.
    pub fn fetch(
        &mut self,
        batch: &mut Batch,
        max_records: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<bool, Halt> {
        let Self { queue, consumer, topic, until, .. } = self;
        // Events other than records, usually an unavailable broker. librdkafka retries by itself.
        while let Some(event) = consumer.poll(Duration::ZERO) {
            if let Err(error) = event {
                handle_error(topic, &error.to_string(), error.rdkafka_error_code())?;
            }
        }
        let mut refused = Ok(());
        queue.fetch(wait, |fetched| {
            let (partition, offset) = (fetched.partition(), fetched.offset());
            match fetched.error() {
                Some(RDKafkaErrorCode::PartitionEOF) => until.reach(partition, offset),
                Some(code) => refused = handle_error(topic, &format!("partition {partition}: {code}"), Some(code)),
                None if until.end(partition).is_none_or(|end| offset >= end) => until.reach(partition, offset),
                None => {
                    let headers = fetched.headers();
                    batch.push((partition, offset), fetched.timestamp_ms(), fetched.key(), fetched.value(), headers);
                    until.reach(partition, offset + 1);
                }
            }
            if refused.is_ok() && !until.all_reached() && batch.len() < max_records && batch.bytes() < max_bytes {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        refused?;
        Ok(!until.all_reached())
    }
}

fn handle_error(topic: &str, what: &str, code: Option<RDKafkaErrorCode>) -> Result<(), Halt> {
    match code.map_or(ErrorClass::Retriable, ErrorClass::of) {
        ErrorClass::NotAuthorized(Denied::Topic) => {
            let missing = MissingPermission::new([Operation::Read], Resource::Topic(topic));
            Err(Halt::kafka(format!("Kafka refuses to let the topic '{topic}' be read: {what}: {missing}")))
        }
        ErrorClass::NotAuthorized(Denied::Cluster)
        | ErrorClass::NotAuthenticated
        | ErrorClass::ConnectionNotAuthenticated
        | ErrorClass::ClientFailed
        | ErrorClass::TopicUnknown => {
            Err(Halt::kafka(format!("Kafka refuses to let the topic '{topic}' be read: {what}")))
        }
        _ => {
            tracing::warn!(target: "kafka", "the consumer reports: {what}");
            Ok(())
        }
    }
}
