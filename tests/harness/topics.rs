//! Topics of a test: creates them, produces records, and reads committed records.

mod records;

use std::collections::HashSet;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientContext, Message, Offset, TopicPartitionList};

use crate::kafka::{Kafka, client_config};
pub use records::{NewRecord, Record};

/// The timeout of a request or of a whole read of a topic.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);
/// The pause between two polls.
const POLL: Duration = Duration::from_millis(20);

/// A name for a topic, a group or a transactional id that no other test uses, in this process or another.
pub fn unique(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    format!("{prefix}-{now:x}-{pid:x}-{count}")
}

/// Creates a topic with the given settings ("retention.ms" and so on) and waits until every partition has a leader.
/// Panics if that fails or the topic already exists.
#[track_caller]
pub fn create(kafka: &Kafka, topic: &str, partitions: i32, config: &[(&str, &str)]) {
    // The replication of the broker's default: one, or every broker of a cluster.
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
    let new = config.iter().fold(new, |new, (key, value)| new.set(key, value));
    let done = block_on(admin(kafka).create_topics([&new], &options()));
    let done = done.unwrap_or_else(|error| panic!("topic {topic} not created: {error}"));
    assert!(done.iter().all(Result::is_ok), "topic {topic} not created: {done:?}");
    // The broker answers before it has applied the decision of its controller.
    let wanted = usize::try_from(partitions).expect("a topic has partitions");
    wait_for_leaders(kafka, topic, |leaders| leaders == wanted);
}

/// Changes settings of an existing topic. Panics if that fails.
#[track_caller]
pub fn alter(kafka: &Kafka, topic: &str, config: &[(&str, &str)]) {
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic));
    let change = config.iter().fold(change, |change, (key, value)| change.set(key, value));
    let done = block_on(admin(kafka).alter_configs([&change], &options()));
    let done = done.unwrap_or_else(|error| panic!("topic {topic} not altered: {error}"));
    assert!(done.iter().all(Result::is_ok), "topic {topic} not altered: {done:?}");
}

/// Deletes a topic and waits until the broker no longer lists it. Panics if that fails.
#[track_caller]
pub fn delete(kafka: &Kafka, topic: &str) {
    let done = block_on(admin(kafka).delete_topics(&[topic], &options()));
    let done = done.unwrap_or_else(|error| panic!("topic {topic} not deleted: {error}"));
    assert!(done.iter().all(Result::is_ok), "topic {topic} not deleted: {done:?}");
    wait_for_leaders(kafka, topic, |leaders| leaders == 0);
}

/// Produces the records in order and waits until the broker has all of them; panics if it refuses any. A broker that
/// is killed meanwhile may have duplicates.
#[track_caller]
pub fn produce(kafka: &Kafka, topic: &str, records: impl IntoIterator<Item = NewRecord>) {
    let mut config = client_config(kafka.brokers());
    // One request at a time keeps the order over retries. Idempotence would too, but costs half a second a call.
    config.set("max.in.flight.requests.per.connection", "1").set("partitioner", "murmur2_random");
    config.set("message.timeout.ms", TIMEOUT.as_millis().to_string());
    // The broker limits the size of a record, not the client.
    config.set("message.max.bytes", "100000000");
    let deliveries = Arc::new(Mutex::new(Deliveries::default()));
    let producer: BaseProducer<Deliver> =
        config.create_with_context(Deliver(deliveries.clone())).expect("the configuration is valid");
    let mut sent = 0;
    for record in records {
        send(&producer, topic, &record);
        sent += 1;
    }
    producer.flush(TIMEOUT).unwrap_or_else(|error| panic!("records for {topic} not delivered: {error}"));
    let deliveries = deliveries.lock().expect("no callback panics");
    assert_eq!(deliveries.failed, [], "records that {topic} did not take");
    assert_eq!(deliveries.succeeded, sent, "records that reached {topic}");
}

/// All committed records of the topic, ordered by partition and offset. Records of open or aborted transactions are
/// left out. Panics if that cannot be read in half a minute.
#[track_caller]
pub fn read_all(kafka: &Kafka, topic: &str) -> Vec<Record> {
    read(kafka, topic, 0, TIMEOUT)
}

/// Waits until the topic has at least `n` committed records, and returns all records at that time, so that surplus records show.
/// Panics with the records if the deadline passes before.
#[track_caller]
pub fn read_until(kafka: &Kafka, topic: &str, n: usize, deadline: Duration) -> Vec<Record> {
    read(kafka, topic, n, deadline)
}

/// The committed offset of the group for each partition of the topic, or None. While a
/// transaction with offsets of the group is open, this waits for its end, and panics after half a minute.
#[track_caller]
pub fn committed(kafka: &Kafka, group: &str, topic: &str) -> Vec<(i32, Option<i64>)> {
    let consumer = consumer(kafka, group, "read_committed");
    let mut wanted = TopicPartitionList::new();
    for partition in partitions(&consumer, topic) {
        wanted.add_partition(topic, partition);
    }
    let offsets = consumer
        .committed_offsets(wanted, TIMEOUT)
        .unwrap_or_else(|error| panic!("no committed offsets of {group} for {topic}: {error}"));
    let offset = |offset| if let Offset::Offset(next) = offset { Some(next) } else { None };
    offsets.elements().iter().map(|element| (element.partition(), offset(element.offset()))).collect()
}

/// The number of members of the consumer group.
#[track_caller]
pub fn members(kafka: &Kafka, group: &str) -> usize {
    let consumer = consumer(kafka, &unique("harness"), "read_committed");
    let groups = consumer.fetch_group_list(Some(group), TIMEOUT);
    let groups = groups.unwrap_or_else(|error| panic!("the group {group} can't be described: {error}"));
    groups.groups().iter().map(|group| group.members().len()).sum()
}

/// The end offset of each partition. Transaction markers have offsets too, so in a topic that was written
/// with transactions this is more than the number of records.
#[track_caller]
pub fn end_offsets(kafka: &Kafka, topic: &str) -> Vec<i64> {
    let consumer = consumer(kafka, &unique("harness"), "read_uncommitted");
    let deadline = Instant::now() + TIMEOUT;
    let end = |partition| loop {
        match consumer.fetch_watermarks(topic, partition, TIMEOUT) {
            Ok((_, end)) => return end,
            // A restarted broker answers before it leads its partitions again.
            Err(error) => assert!(Instant::now() < deadline, "no end offsets of {topic}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    partitions(&consumer, topic).map(end).collect()
}

/// Reads until at least `n` records are there and every partition has been read to its end since.
#[track_caller]
fn read(kafka: &Kafka, topic: &str, n: usize, timeout: Duration) -> Vec<Record> {
    let deadline = Instant::now() + timeout;
    // Assigned, never subscribed: librdkafka requires a group name, but the client joins no group.
    let consumer = consumer(kafka, &unique("harness"), "read_committed");
    let mut assignment = TopicPartitionList::new();
    for partition in partitions(&consumer, topic) {
        assignment.add_partition_offset(topic, partition, Offset::Beginning).expect("a valid offset");
    }
    consumer.assign(&assignment).expect("partitions of a topic can be assigned");
    let mut records = Vec::new();
    let mut at_end = HashSet::new();
    let mut trouble = None;
    while records.len() < n || at_end.len() < assignment.count() {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(
            !left.is_zero(),
            "{topic}: {} of at least {n} records after {timeout:?}, {} of {} partitions read to their end \
             (last error: {trouble:?}); the last ones: {:#?}",
            records.len(),
            at_end.len(),
            assignment.count(),
            &records[records.len().saturating_sub(20)..],
        );
        match consumer.poll(left) {
            None => {}
            // The end for read_committed: before the first open transaction, after any marker.
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                at_end.insert(partition);
            }
            // librdkafka continues after errors, for example during a restart of the broker.
            Some(Err(error)) => trouble = Some(error),
            Some(Ok(message)) => {
                // After the last wanted record the ends are fixed; otherwise the read of a busy topic would never end.
                if records.len() < n {
                    at_end.remove(&message.partition());
                }
                records.push(record(&message));
            }
        }
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

fn record(message: &impl Message) -> Record {
    let owned = |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: message.headers().map(|headers| headers.iter().map(owned).collect()).unwrap_or_default(),
        timestamp: message.timestamp().to_millis(),
    }
}

#[derive(Default)]
pub(crate) struct Deliveries {
    pub(crate) succeeded: usize,
    pub(crate) failed: Vec<KafkaError>,
}

pub(crate) struct Deliver(pub(crate) Arc<Mutex<Deliveries>>);

impl ClientContext for Deliver {}

impl ProducerContext for Deliver {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut deliveries = self.0.lock().expect("no callback panics");
        match result {
            Ok(_) => deliveries.succeeded += 1,
            Err((error, _)) => deliveries.failed.push(error.clone()),
        }
    }
}

#[track_caller]
pub(crate) fn send(producer: &BaseProducer<Deliver>, topic: &str, new: &NewRecord) {
    let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
    record.partition = new.partition;
    record.key = new.key.as_deref();
    record.payload = new.value.as_deref();
    record.timestamp = new.timestamp;
    if !new.headers.is_empty() {
        let none = OwnedHeaders::new_with_capacity(new.headers.len());
        let headers = new
            .headers
            .iter()
            .fold(none, |headers, (key, value)| headers.insert(Header { key, value: value.as_ref() }));
        record.headers = Some(headers);
    }
    while let Err((error, back)) = producer.send(record) {
        let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
        assert!(full, "a record for {topic} cannot be sent: {error}");
        producer.poll(POLL);
        record = back;
    }
}

pub(crate) fn consumer(kafka: &Kafka, group: &str, isolation: &str) -> BaseConsumer {
    let mut config = client_config(kafka.brokers());
    config.set("group.id", group).set("isolation.level", isolation);
    // The end of a partition is only reported once a fetch has waited its time for more.
    config.set("fetch.wait.max.ms", "10");
    config.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    config.create().expect("the configuration is valid")
}

/// Whether the topic exists.
pub fn exists(kafka: &Kafka, topic: &str) -> bool {
    let consumer = consumer(kafka, &unique("harness"), "read_committed");
    let metadata = consumer.fetch_metadata(None, TIMEOUT).unwrap_or_else(|error| panic!("no metadata: {error}"));
    metadata.topics().iter().any(|found| found.name() == topic)
}

/// The partitions of the topic, in order. Panics if there is no such topic.
#[track_caller]
fn partitions(consumer: &BaseConsumer, topic: &str) -> std::ops::Range<i32> {
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT);
    let metadata = metadata.unwrap_or_else(|error| panic!("no metadata of {topic}: {error}"));
    let count = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    assert!(count > 0, "there is no topic {topic}");
    0..i32::try_from(count).expect("Kafka counts partitions in 32 bits")
}

/// Waits until the number of partitions that have a leader is as wanted.
#[track_caller]
pub(crate) fn wait_for_leaders(kafka: &Kafka, topic: &str, wanted: impl Fn(usize) -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    let consumer = consumer(kafka, &unique("harness"), "read_committed");
    loop {
        let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT);
        let leaders = metadata.map(|metadata| {
            let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            partitions.filter(|partition| partition.leader() >= 0).count()
        });
        if leaders.as_ref().is_ok_and(|leaders| wanted(*leaders)) {
            return;
        }
        assert!(Instant::now() < deadline, "{topic}: partitions with a leader: {leaders:?} after {TIMEOUT:?}");
        thread::sleep(POLL);
    }
}

pub(crate) fn admin(kafka: &Kafka) -> AdminClient<DefaultClientContext> {
    client_config(kafka.brokers()).create().expect("the configuration is valid")
}

pub(crate) fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT))
}

/// Waits for one future; the admin client has a thread of its own that completes it.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}
