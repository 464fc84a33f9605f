//! Consumers that read partitions without a group.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::ConnectionContext;
use super::error_class::{Denied, ErrorClass};
use super::native::RecordQueue;
use super::permissions::{MissingPermission, Operation, Resource};
use mapper_core::shutdown::{Cause, Halt};

const NO_GROUP: &str = "mapper-host-reads-without-a-group";

/// A consumer, and the queue of its records. In this order, Rust drops the queue first.
pub(super) type AssignedConsumer = (Arc<BaseConsumer<ConnectionContext>>, RecordQueue<ConnectionContext>);

/// Assigns partitions to a new consumer, each from an offset on. An offset that is removed before it is read is the first one that is left.
pub(super) fn assign(
    config: ClientConfig,
    topic: &str,
    starts: impl Iterator<Item = (i32, Offset)>,
) -> KafkaResult<AssignedConsumer> {
    let consumer = consumer(config)?;
    let queue = RecordQueue::new(consumer.clone());
    let mut list = TopicPartitionList::new();
    for (partition, start) in starts {
        queue.route(topic, partition)?;
        list.add_partition_offset(topic, partition, start)?;
    }
    consumer.assign(&list)?;
    Ok((consumer, queue))
}

/// A consumer without partitions.
pub(super) fn consumer(mut config: ClientConfig) -> KafkaResult<Arc<BaseConsumer<ConnectionContext>>> {
    config.set("enable.partition.eof", "true").set("auto.offset.reset", "earliest");
    if config.get("group.id").is_none() {
        // librdkafka requires a group for an assignment. It does not use the group here.
        config.set("group.id", NO_GROUP);
    }
    BaseConsumer::from_config_and_context(&config, ConnectionContext::default()).map(Arc::new)
}

/// The first and the end offset of each partition, in order; empty if the topic does not exist.
pub(super) fn offset_ranges(
    client: &BaseConsumer<ConnectionContext>,
    topic: &str,
    timeout: Duration,
) -> KafkaResult<Vec<(i64, i64)>> {
    let metadata = client.fetch_metadata(Some(topic), timeout)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    if let Some(code) = found.and_then(|found| found.error()).map(RDKafkaErrorCode::from)
        && !matches!(ErrorClass::of(code), ErrorClass::TopicMissing | ErrorClass::TopicUnknown)
    {
        return Err(KafkaError::MetadataFetch(code));
    }
    let partitions = found.map_or(0, |found| found.partitions().len());
    (0..partitions).map(|partition| client.fetch_watermarks(topic, partition as i32, timeout)).collect()
}

/// Handles the events other than records, usually an unavailable broker. librdkafka retries by itself.
pub(super) fn handle_events(consumer: &BaseConsumer<ConnectionContext>, topic: &str) -> Result<(), Halt> {
    while let Some(event) = consumer.poll(Duration::ZERO) {
        if let Err(error) = event {
            handle_error(topic, &error.to_string(), error.rdkafka_error_code())?;
        }
    }
    Ok(())
}

/// Handles an event in the place of a record of a partition.
pub(super) fn handle_partition_error(topic: &str, partition: i32, code: RDKafkaErrorCode) -> Result<(), Halt> {
    handle_error(topic, &format!("partition {partition}: {code}"), Some(code))
}

pub(super) fn unreadable(topic: &str, error: KafkaError) -> Halt {
    if let Some(code) =
        error.rdkafka_error_code().filter(|code| ErrorClass::of(*code) == ErrorClass::NotAuthorized(Denied::Topic))
    {
        let missing = MissingPermission::new([Operation::Read], Resource::Topic(topic));
        return Halt::kafka(format!("the topic '{topic}' can't be read: {code}: {missing}"));
    }
    Halt::new(Cause::Kafka, anyhow::Error::new(error).context(format!("the topic '{topic}' can't be read")))
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
