//! Changes of topics under their readers: records removed, partitions added, the topic created again.

use std::sync::{Arc, Mutex};

use rdkafka::admin::NewPartitions;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::{Kafka, client_config};
use crate::topics::{self, Deliver, Deliveries, NewRecord, TIMEOUT, admin, block_on, consumer, options, unique};

/// Deletes a topic, and creates another one of that name. Panics if that fails.
#[track_caller]
pub fn recreate(kafka: &Kafka, topic: &str, partitions: i32) {
    topics::delete(kafka, topic);
    topics::create(kafka, topic, partitions, &[]);
}

/// Removes the records of a partition before this offset (DeleteRecords). Panics if that fails.
#[track_caller]
pub fn delete_records(kafka: &Kafka, topic: &str, partition: i32, before: i64) {
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(topic, partition, Offset::Offset(before)).expect("a valid offset");
    let done = block_on(admin(kafka).delete_records(&offsets, &options()));
    let done = done.unwrap_or_else(|error| panic!("records of {topic} not deleted: {error}"));
    assert!(done.elements().iter().all(|element| element.error().is_ok()), "records of {topic} not deleted: {done:?}");
}

/// Adds partitions up to this number. Panics if that fails.
#[track_caller]
pub fn add_partitions(kafka: &Kafka, topic: &str, partitions: usize) {
    let done = block_on(admin(kafka).create_partitions([&NewPartitions::new(topic, partitions)], &options()));
    let done = done.unwrap_or_else(|error| panic!("no partitions added to {topic}: {error}"));
    assert!(done.iter().all(Result::is_ok), "no partitions added to {topic}: {done:?}");
    topics::wait_for_leaders(kafka, topic, |leaders| leaders == partitions);
}

/// Produces the records in one transaction, which leaves a marker in each partition. Panics if that fails.
#[track_caller]
pub fn produce_in_transaction(kafka: &Kafka, topic: &str, records: impl IntoIterator<Item = NewRecord>) {
    let mut config = client_config(kafka.brokers());
    config.set("transactional.id", unique("harness"));
    let deliveries = Arc::new(Mutex::new(Deliveries::default()));
    let producer: BaseProducer<Deliver> =
        config.create_with_context(Deliver(deliveries.clone())).expect("the configuration is valid");
    producer.init_transactions(TIMEOUT).expect("transactions");
    producer.begin_transaction().expect("a transaction");
    records.into_iter().for_each(|record| topics::send(&producer, topic, &record));
    producer.commit_transaction(TIMEOUT).unwrap_or_else(|error| panic!("records for {topic} not committed: {error}"));
}

/// Commits an offset for a group without members, with this metadata, as other programs or a host that is gone would have.
#[track_caller]
pub fn commit(kafka: &Kafka, group: &str, topic: &str, (partition, offset): (i32, i64), metadata: &str) {
    let mut offsets = TopicPartitionList::new();
    let mut element = offsets.add_partition(topic, partition);
    element.set_offset(Offset::Offset(offset)).expect("a valid offset");
    element.set_metadata(metadata);
    let consumer = consumer(kafka, group, "read_committed");
    consumer.commit(&offsets, CommitMode::Sync).unwrap_or_else(|error| panic!("{group}: not committed: {error}"));
}

/// The metadata of the offset that a group has committed for a partition. Panics if it has committed none.
#[track_caller]
pub fn committed_metadata(kafka: &Kafka, group: &str, topic: &str, partition: i32) -> String {
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition(topic, partition);
    let committed = consumer(kafka, group, "read_committed").committed_offsets(wanted, TIMEOUT);
    let committed = committed.unwrap_or_else(|error| panic!("no committed offsets of {group}: {error}"));
    committed.elements()[0].metadata().to_owned()
}
