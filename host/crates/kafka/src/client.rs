//! The properties of our clients: what delivery depends on is fixed, what memory and speed depend on is chosen, and the
//! rest is the user's.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::connection_errors::{Cause, ConnectionErrors, take_turn};
use super::fit;
use super::limits::delivery_stall;
use super::start::CommittedOffset;
use crate::properties;
use mapper_core::decision::Routes;
use mapper_core::delivery::Delivery;
use mapper_core::pairs::Pairs;
use mapper_core::record::Positions;
use mapper_core::topics::TopicIdentity;

/// How to reach Kafka, and as whom.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// A comma-separated list of `host:port`.
    pub brokers: String,
    /// The consumer group.
    pub group: String,
    /// See [`Delivery`].
    pub delivery: Delivery,
    /// The user's librdkafka properties, by their names without aliases; they were checked not to touch what delivery depends on.
    pub properties: Pairs,
    /// How long a transaction may stay open before the broker aborts it.
    pub transaction_timeout: Duration,
    /// How long a member of the group may be silent before its partitions are given to others.
    pub session_timeout: Duration,
    /// Workers of this process: they share the memory that is meant for buffers.
    pub workers: usize,
}

/// A member hears at its next heartbeat that another has joined, and a partition on its way to that one rests until then. At least
/// three must fit into the session timeout.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A shorter value is a part of many words, and hardly a secret.
const SHORTEST_SECRET: usize = 3;
/// How soon a client notices partitions that were added to a topic.
const METADATA_REFRESH: Duration = Duration::from_secs(30);
/// librdkafka's default.
pub(super) const DEFAULT_BATCH_BYTES: usize = 1_000_000;
/// All workers together buffer this much input at most, in KiB.
const CONSUMER_BUFFER_KIB: usize = 8 << 10;
/// All workers together buffer this much output at most, in KiB.
const PRODUCER_BUFFER_KIB: usize = 8 << 10;
/// The same in records, as librdkafka doesn't count what it needs itself for each, headers above all.
const PRODUCER_BUFFER_RECORDS: usize = 6_000;
/// A consumer fetches more when it has fewer records than this.
const CONSUMER_BUFFER_RECORDS: usize = 20_000;

/// What the consumer of each of so many workers buffers, in KiB.
fn consumer_buffer_kib(workers: usize) -> usize {
    (CONSUMER_BUFFER_KIB / workers).max(1024)
}

/// What the producer of each of so many workers buffers, in KiB.
fn producer_buffer_kib(workers: usize) -> usize {
    (PRODUCER_BUFFER_KIB / workers).max(1024)
}

/// The most bytes that the clients of one worker buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferLimits {
    /// Of input: a full buffer, and the fetch that overruns it.
    pub input: u64,
    /// Of output.
    pub output: u64,
}

impl KafkaSettings {
    /// What the clients of each of so many workers buffer, with these properties of the user.
    pub fn buffer_limits(properties: &Pairs, workers: usize) -> BufferLimits {
        let given = |name: &str| {
            let found = properties.iter().find(|(key, _)| key == name);
            found.and_then(|(_, value)| value.parse::<u64>().ok())
        };
        let default_input = consumer_buffer_kib(workers) as u64;
        let input_kib = given("queued.max.messages.kbytes").unwrap_or(default_input);
        let fetch = given("fetch.max.bytes").unwrap_or(default_input << 10);
        let output_kib = given("queue.buffering.max.kbytes").unwrap_or(producer_buffer_kib(workers) as u64);
        BufferLimits { input: (input_kib << 10) + fetch, output: output_kib << 10 }
    }

    /// What every client has.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "mapper-host")
            // Or a host that lost its broker for a moment is away for up to ten seconds.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("broker.address.family", "any")
            // Or partitions that are added to a topic are first read, and written, after up to five minutes.
            .set("topic.metadata.refresh.interval.ms", METADATA_REFRESH.as_millis().to_string())
            .set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    /// Adds the user's properties.
    fn with_own(&self, mut config: ClientConfig) -> ClientConfig {
        for (key, value) in self.properties.iter() {
            config.set(key, value);
        }
        fit::client(&mut config, |name| self.is_users(name));
        config
    }

    fn is_users(&self, name: &str) -> bool {
        self.property(name).is_some()
    }

    /// A property as the user gave it.
    pub(super) fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A message of librdkafka without the values that may be secret.
    pub(super) fn without_secrets(&self, message: &str) -> String {
        let hidden = self.properties.iter().filter(|(key, value)| {
            value.len() >= SHORTEST_SECRET && !properties::find(key).is_some_and(|property| property.shows(value))
        });
        hidden.fold(message.to_owned(), |message, (_, value)| message.replace(value, "…"))
    }

    /// The largest record that a producer takes, if the user says so.
    pub fn max_message_bytes(&self) -> Option<usize> {
        self.property("message.max.bytes")?.parse().ok()
    }

    /// A client that asks, but neither consumes nor produces.
    pub(super) fn asking(&self) -> ClientConfig {
        let mut config = self.client();
        if !self.group.is_empty() {
            config.set("group.id", &self.group);
            self.set_session(&mut config);
        }
        config.set("enable.auto.commit", "false").set("isolation.level", "read_committed");
        let mut config = self.with_own(config);
        fit::consumer(&mut config, |name| self.is_users(name));
        config
    }

    /// Sets when a member counts as gone, unless the broker decides that. Every consumer has it, even one that never joins:
    /// librdkafka compares it with the user's `max.poll.interval.ms`.
    fn set_session(&self, config: &mut ClientConfig) -> bool {
        let decided_by_broker = self.property("group.protocol") == Some("consumer");
        if !decided_by_broker {
            // With KIP-848 these two are the broker's, and librdkafka refuses to be told.
            config
                .set("heartbeat.interval.ms", (self.session_timeout / 3).min(HEARTBEAT).as_millis().to_string())
                .set("session.timeout.ms", self.session_timeout.as_millis().to_string());
        }
        !decided_by_broker
    }

    /// Whether the user asked for librdkafka's debug messages.
    pub(super) fn shows_debug(&self) -> bool {
        self.properties.iter().any(|(key, _)| key == "debug")
    }

    /// A worker's consumer.
    pub(super) fn consumer(&self) -> ClientConfig {
        let buffer_kib = consumer_buffer_kib(self.workers);
        let mut config = self.client();
        config
            .set("queued.min.messages", (CONSUMER_BUFFER_RECORDS / self.workers).max(1000).to_string())
            .set("queued.max.messages.kbytes", buffer_kib.to_string())
            .set("fetch.max.bytes", (buffer_kib << 10).to_string())
            .set("max.partition.fetch.bytes", "1048576")
            // How long a partition pauses when the buffer is full: by default a second, which is an age here.
            .set("fetch.queue.backoff.ms", "5");
        if self.set_session(&mut config) {
            config.set("partition.assignment.strategy", "cooperative-sticky");
        }
        let mut config = self.with_own(config);
        fit::consumer(&mut config, |name| self.is_users(name));
        config
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            // Where to go from an offset that a broker does not have is decided in `start`, so that nothing is skipped silently.
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true");
        // Of these messages the consumer needs one, see `GroupContext`.
        let debug = config.get("debug").map_or_else(|| "metadata".to_owned(), |asked| format!("{asked},metadata"));
        config.set("debug", debug).set_log_level(RDKafkaLogLevel::Debug);
        config
    }

    /// A producer to these topics; without a transactional id it only has its order and its retries.
    pub(super) fn producer(&self, transactional_id: Option<&str>, routes: Option<&Routes>) -> ClientConfig {
        let mut config = self.client();
        if let Some(routes) = routes {
            // The largest record of any topic must pass, and no batch may be larger than the smallest topic takes.
            let largest = routes.all().map(|route| route.limits.max_record_bytes).max().unwrap_or(DEFAULT_BATCH_BYTES);
            let smallest = routes.all().map(|route| route.limits.max_record_bytes).min().unwrap_or(DEFAULT_BATCH_BYTES);
            config
                .set("message.max.bytes", largest.max(1000).to_string())
                .set("batch.size", smallest.min(DEFAULT_BATCH_BYTES).to_string());
            // A topic that is missing fails its records before they count as stuck.
            let propagation = delivery_stall(self.transaction_timeout) / 2;
            config.set("topic.metadata.propagation.max.ms", propagation.as_millis().to_string());
        }
        config
            // Records of the same key go where the Java client sends them.
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "5")
            // A request to a coordinator that left the cluster is only looked at again when any connection opens or closes
            // (librdkafka#5511): one that is idle closes, so the call of an abandoned producer returns.
            .set("connections.max.idle.ms", "20000")
            // Dead letters are alike, their headers above all: less to send costs less than to compress it.
            .set("compression.type", "lz4")
            .set("batch.num.messages", "50000")
            .set("queue.buffering.max.kbytes", producer_buffer_kib(self.workers).to_string())
            .set("queue.buffering.max.messages", (PRODUCER_BUFFER_RECORDS / self.workers).max(1000).to_string());
        let mut config = self.with_own(config);
        fit::producer(&mut config, |name| self.is_users(name));
        config.set("enable.idempotence", "true").set("delivery.report.only.error", "true");
        if let Some(id) = transactional_id {
            config
                .set("transactional.id", id)
                .set("transaction.timeout.ms", self.transaction_timeout.as_millis().to_string());
        }
        config
    }
}

/// What librdkafka logs goes to our log.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    // Each client is given all of the user's properties, those for the other kind too; and a coordinator that is not
    // ready yet, as on a new Kafka, is asked again by librdkafka.
    let expected = match facility {
        "CONFWARN" => message.contains("will be ignored by this"),
        "GETPID" => message.ends_with("retrying"),
        _ => false,
    };
    if expected {
        return tracing::debug!(target: "kafka", facility, "{message}");
    }
    if let ("FAIL" | "ERROR" | "SSL", Some(cause)) = (facility, Cause::of(None, message)) {
        return log_connection(cause, message);
    }
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::warn!(target: "kafka", facility, "{message}");
        }
        RDKafkaLogLevel::Warning => tracing::warn!(target: "kafka", facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(target: "kafka", facility, "{message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(target: "kafka", facility, "{message}"),
    }
}

/// What librdkafka reports of its own accord: brokers that are away, mostly. It goes on by itself.
pub(super) fn report(error: &KafkaError, reason: &str) {
    match Cause::of(error.rdkafka_error_code(), reason) {
        Some(cause) => log_connection(cause, reason),
        // Each connection has told its cause.
        None if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) => {
            tracing::debug!(target: "kafka", error = %error, "{reason}");
        }
        None => tracing::warn!(target: "kafka", error = %error, "{reason}"),
    }
}

fn log_connection(cause: Cause, message: &str) {
    let (why, _) = cause.explain();
    match take_turn(cause, Instant::now()) {
        Some(0) => tracing::warn!(target: "kafka", cause = why, "{message}"),
        Some(left_out) => tracing::warn!(target: "kafka", cause = why, left_out, "{message}"),
        None => tracing::debug!(target: "kafka", cause = why, "{message}"),
    }
}

/// The offsets that the consumer's group has committed, with the topic that they were committed for; without those of
/// partitions for which it never did.
pub(super) fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partitions: impl IntoIterator<Item = i32>,
    timeout: Duration,
) -> KafkaResult<BTreeMap<i32, CommittedOffset>> {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(topic, partition);
    }
    let committed = consumer.committed_offsets(list, timeout)?;
    let elements = committed.elements();
    // An error of a single partition would read as "nothing was ever committed".
    elements.iter().try_for_each(|element| element.error())?;
    let offsets = elements.iter().filter_map(|element| {
        let Offset::Offset(offset) = element.offset() else { return None };
        let identity = TopicIdentity::from_offset_metadata(element.metadata());
        Some((element.partition(), CommittedOffset { offset, identity }))
    });
    Ok(offsets.collect())
}

/// The offsets that were not committed for another topic of the same name.
pub(super) fn of_topic(committed: BTreeMap<i32, CommittedOffset>, topic: &TopicIdentity) -> Positions {
    let of_topic = committed.into_iter().filter(|(_, committed)| !committed.identity.differs_from(topic));
    of_topic.map(|(partition, committed)| (partition, committed.offset)).collect()
}

/// The context of clients with nothing to say but why their connections fail.
#[derive(Default)]
pub(super) struct Quiet {
    pub(super) errors: ConnectionErrors,
}

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.errors.note(None, message);
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.note(error.rdkafka_error_code(), reason);
        report(&error, reason);
    }
}

impl ConsumerContext for Quiet {}
