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
use mapper_core::record::Batch;
use mapper_core::shutdown::{Cause, Halt, Shutdown};
use mapper_core::topic_table::TopicNames;

const NO_GROUP: &str = "mapper-host-reads-without-a-group";

/// A reader of one topic. It keeps the order within each partition.
pub struct TopicReader {
    // Before the consumer, so that Rust drops it first.
    queue: RecordQueue<ConnectionContext>,
    consumer: Arc<BaseConsumer<ConnectionContext>>,
    topic: Arc<str>,
    until: EndOffsets,
}

impl TopicReader {
    /// Connects, and reads the end offsets of all partitions.
    ///
    /// # Errors
    /// If Kafka does not answer in time, or the topic does not exist.
    pub fn open(settings: &KafkaSettings, topic: &str, within: Duration, shutdown: &Shutdown) -> Result<Self, Halt> {
        let setup = Setup::connect(settings, within, shutdown)?;
        let until = setup.read_end_offsets(&TopicNames::one(topic), &[topic.to_owned()])?;
        if until.partitions().is_empty() {
            let brokers = &settings.brokers;
            return Err(Halt::configuration(format!(
                "the topic '{topic}' doesn't exist at '{brokers}'; check the name"
            )));
        }
        let failed = |error: KafkaError| {
            Halt::new(Cause::Kafka, anyhow::Error::new(error).context(format!("the topic '{topic}' can't be read")))
        };
        let mut config = settings.query_client();
        config.set("enable.partition.eof", "true");
        if settings.group.is_empty() {
            // librdkafka requires a group for an assignment. It does not use the group here.
            config.set("group.id", NO_GROUP);
        }
        let consumer =
            Arc::new(BaseConsumer::from_config_and_context(&config, ConnectionContext::default()).map_err(failed)?);
        let queue = RecordQueue::new(consumer.clone());
        let mut list = TopicPartitionList::new();
        for partition in until.partitions() {
            queue.route(topic, partition).map_err(failed)?;
            list.add_partition_offset(topic, partition, Offset::Beginning).map_err(failed)?;
        }
        consumer.assign(&list).map_err(failed)?;
        Ok(Self { queue, consumer, topic: topic.into(), until })
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
        let Self { queue, consumer, topic, until } = self;
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
