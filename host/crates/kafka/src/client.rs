//! The librdkafka properties of the clients of the host. Properties for correct delivery are fixed. Properties for memory and
//! speed have defaults. The user sets all others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::buffers::{producer_buffer_kib, producer_buffer_records};
use super::connection_errors::{Cause, ConnectionErrors, throttle_log};
use super::fit;
use super::limits::delivery_stall;
use super::start::CommittedOffset;
use crate::properties;
use mapper_core::decision::Routes;
use mapper_core::delivery::Delivery;
use mapper_core::pairs::Pairs;
use mapper_core::record::Positions;
use mapper_core::topic_table::TopicNames;
use mapper_core::topics::TopicIdentity;

/// The connection and the consumer group.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// A comma-separated list of `host:port`.
    pub brokers: String,
    pub group: String,
    /// See [`Delivery`].
    pub delivery: Delivery,
    /// The librdkafka properties of the user, without aliases and without properties that the host owns.
    pub properties: Pairs,
    /// The broker aborts a transaction after this time.
    pub transaction_timeout: Duration,
    /// The coordinator removes a member from the group after this time without a heartbeat.
    pub session_timeout: Duration,
    /// The number of workers; they share the memory for buffers.
    pub workers: usize,
}

/// A member learns of a rebalance at its next heartbeat; until then, no member reads a partition that moves. At least three
/// heartbeats must fit into the session timeout.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A shorter value is part of many words and hardly a secret.
const MIN_SECRET_BYTES: usize = 3;
/// A client detects new partitions of a topic within this time.
const METADATA_REFRESH: Duration = Duration::from_secs(30);
/// librdkafka's default.
pub(super) const DEFAULT_BATCH_BYTES: usize = 1_000_000;

impl KafkaSettings {
    /// The properties of all clients.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "mapper-host")
            // The default delays a reconnect by up to ten seconds.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("broker.address.family", "any")
            // With the default, a client detects new partitions only after up to five minutes.
            .set("topic.metadata.refresh.interval.ms", METADATA_REFRESH.as_millis().to_string())
            .set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    fn with_user_properties(&self, mut config: ClientConfig) -> ClientConfig {
        for (key, value) in self.properties.iter() {
            config.set(key, value);
        }
        fit::adapt_client(&mut config, |name| self.is_set_by_user(name));
        config
    }

    fn is_set_by_user(&self, name: &str) -> bool {
        self.property(name).is_some()
    }

    /// The value that the user set.
    pub(super) fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A message of librdkafka without values that can be secret.
    pub(super) fn redact(&self, message: &str) -> String {
        let hidden = self.properties.iter().filter(|(key, value)| {
            value.len() >= MIN_SECRET_BYTES && !properties::find(key).is_some_and(|property| property.shows(value))
        });
        hidden.fold(message.to_owned(), |message, (_, value)| message.replace(value, "…"))
    }

    /// The limit of the user for the size of a record.
    pub fn max_message_bytes(&self) -> Option<usize> {
        self.property("message.max.bytes")?.parse().ok()
    }

    /// The properties of a client that only sends requests for metadata and offsets.
    pub(super) fn query_client(&self) -> ClientConfig {
        self.add_group(self.client())
    }

    /// The properties of a client that reads topics without a group.
    pub(super) fn scan_client(&self) -> ClientConfig {
        let mut config = self.client();
        self.set_buffers(&mut config);
        self.add_group(config)
    }

    /// Adds the group, without membership, and the properties of the user.
    fn add_group(&self, mut config: ClientConfig) -> ClientConfig {
        if !self.group.is_empty() {
            config.set("group.id", &self.group);
            self.set_session(&mut config);
        }
        config.set("enable.auto.commit", "false").set("isolation.level", "read_committed");
        let mut config = self.with_user_properties(config);
        fit::adapt_consumer(&mut config, |name| self.is_set_by_user(name));
        config
    }

    /// Sets the session timeout, unless the broker sets it. A consumer that never joins needs it, too: librdkafka compares it
    /// with `max.poll.interval.ms` of the user.
    fn set_session(&self, config: &mut ClientConfig) -> bool {
        let is_set_by_broker = self.property("group.protocol") == Some("consumer");
        if !is_set_by_broker {
            // With KIP-848 the broker sets these two, and librdkafka refuses them.
            config
                .set("heartbeat.interval.ms", (self.session_timeout / 3).min(HEARTBEAT).as_millis().to_string())
                .set("session.timeout.ms", self.session_timeout.as_millis().to_string());
        }
        !is_set_by_broker
    }

    /// Whether the user enabled the debug messages of librdkafka.
    pub(super) fn shows_debug(&self) -> bool {
        self.properties.iter().any(|(key, _)| key == "debug")
    }

    /// The properties of the consumer of a worker.
    pub(super) fn consumer(&self) -> ClientConfig {
        let mut config = self.client();
        self.set_buffers(&mut config);
        if self.set_session(&mut config) {
            config.set("partition.assignment.strategy", "cooperative-sticky");
        }
        let mut config = self.with_user_properties(config);
        fit::adapt_consumer(&mut config, |name| self.is_set_by_user(name));
        config
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            // `start` decides about an offset out of range, so that no record is skipped silently.
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true");
        // `GroupContext` reads one of these messages.
        let debug = config.get("debug").map_or_else(|| "metadata".to_owned(), |debug| format!("{debug},metadata"));
        config.set("debug", debug).set_log_level(RDKafkaLogLevel::Debug);
        config
    }

    /// The properties of a producer to these topics. It is idempotent, and transactional if it has an id.
    pub(super) fn producer(&self, transactional_id: Option<&str>, routes: Option<&Routes>) -> ClientConfig {
        let mut config = self.client();
        if let Some(routes) = routes {
            // The producer must accept the largest record of any topic. A batch must fit the smallest limit of all topics.
            let largest = routes.all().map(|route| route.limits.max_record_bytes).max().unwrap_or(DEFAULT_BATCH_BYTES);
            let smallest = routes.all().map(|route| route.limits.max_record_bytes).min().unwrap_or(DEFAULT_BATCH_BYTES);
            config
                .set("message.max.bytes", largest.max(1000).to_string())
                .set("batch.size", smallest.min(DEFAULT_BATCH_BYTES).to_string());
            // Records for a missing topic must fail before the producer counts as stuck.
            let propagation = delivery_stall(self.transaction_timeout) / 2;
            config.set("topic.metadata.propagation.max.ms", propagation.as_millis().to_string());
        }
        config
            // The same partitioner as in the Java client.
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "5")
            // librdkafka checks a request to a coordinator that left the cluster only when a connection opens or closes
            // (librdkafka#5511). An idle connection closes after this time, so that the call of an abandoned producer returns.
            .set("connections.max.idle.ms", "20000")
            // Dead letters have similar headers. Compression costs less than the bytes it saves.
            .set("compression.type", "lz4")
            .set("batch.num.messages", "50000")
            .set("queue.buffering.max.kbytes", producer_buffer_kib(self.workers).to_string())
            .set("queue.buffering.max.messages", producer_buffer_records(self.workers).to_string());
        let mut config = self.with_user_properties(config);
        fit::adapt_producer(&mut config, |name| self.is_set_by_user(name));
        config.set("enable.idempotence", "true").set("delivery.report.only.error", "true");
        if let Some(id) = transactional_id {
            config
                .set("transactional.id", id)
                .set("transaction.timeout.ms", self.transaction_timeout.as_millis().to_string());
        }
        config
    }
}

/// Writes a log line of librdkafka to the log of the host.
fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    // Each client gets all properties of the user, including those of the other kind of client. librdkafka repeats a request to a
    // coordinator that is not ready yet.
    let expected = match facility {
        "CONFWARN" => message.contains("will be ignored by this"),
        "GETPID" => message.ends_with("retrying"),
        _ => false,
    };
    if expected {
        return tracing::debug!(target: "kafka", facility, "{message}");
    }
    if let ("FAIL" | "ERROR" | "SSL", Some(cause)) = (facility, Cause::classify(None, message)) {
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

/// Logs an error that librdkafka reports outside of a call, usually an unavailable broker. librdkafka retries by itself.
fn log_error(error: &KafkaError, reason: &str) {
    match Cause::classify(error.rdkafka_error_code(), reason) {
        Some(cause) => log_connection(cause, reason),
        // Each connection has logged its cause.
        None if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) => {
            tracing::debug!(target: "kafka", error = %error, "{reason}");
        }
        None => tracing::warn!(target: "kafka", error = %error, "{reason}"),
    }
}

fn log_connection(cause: Cause, message: &str) {
    let (why, _) = cause.explain();
    match throttle_log(cause, Instant::now()) {
        Some(0) => tracing::warn!(target: "kafka", cause = why, "{message}"),
        Some(suppressed) => tracing::warn!(target: "kafka", cause = why, suppressed, "{message}"),
        None => tracing::debug!(target: "kafka", cause = why, "{message}"),
    }
}

/// Reads the committed offsets of the group, with the identity of their topic. Partitions without a commit are missing.
pub(super) fn read_committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topics: &TopicNames,
    numbers: impl IntoIterator<Item = i32>,
    timeout: Duration,
) -> KafkaResult<BTreeMap<i32, CommittedOffset>> {
    let mut list = TopicPartitionList::new();
    for number in numbers {
        list.add_partition(topics.topic(number), topics.partition(number));
    }
    let committed = consumer.committed_offsets(list, timeout)?;
    let elements = committed.elements();
    // Without this, an error of one partition looks like a partition without a commit.
    elements.iter().try_for_each(|element| element.error())?;
    let offsets = elements.iter().filter_map(|element| {
        let Offset::Offset(offset) = element.offset() else { return None };
        let identity = TopicIdentity::from_offset_metadata(element.metadata());
        let number = topics.number(topics.find(element.topic())?, element.partition())?;
        Some((number, CommittedOffset { offset, identity }))
    });
    Ok(offsets.collect())
}

/// Drops offsets of a deleted topic with the same name. `identity` returns the identity of the topic of a partition.
pub(super) fn filter_by_topic(
    committed: BTreeMap<i32, CommittedOffset>,
    identity: impl Fn(i32) -> TopicIdentity,
) -> Positions {
    let is_present =
        |(number, committed): &(i32, CommittedOffset)| !committed.identity.differs_from(&identity(*number));
    committed.into_iter().filter(is_present).map(|(number, committed)| (number, committed.offset)).collect()
}

/// The span in which a client was created. librdkafka reports log lines on its own threads; in the span they name their pipeline.
pub(super) struct LogSpan(tracing::Span);

impl Default for LogSpan {
    fn default() -> Self {
        Self(tracing::Span::current())
    }
}

impl LogSpan {
    pub(super) fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.in_scope(|| log(level, facility, message));
    }

    pub(super) fn log_error(&self, error: &KafkaError, reason: &str) {
        self.0.in_scope(|| log_error(error, reason));
    }
}

/// A client context that records why connections fail.
#[derive(Default)]
pub(super) struct ConnectionContext {
    log_span: LogSpan,
    pub(super) errors: ConnectionErrors,
}

impl ClientContext for ConnectionContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.errors.record(None, message);
        self.log_span.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.record(error.rdkafka_error_code(), reason);
        self.log_span.log_error(&error, reason);
    }
}

impl ConsumerContext for ConnectionContext {}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing::dispatcher::{Dispatch, with_default};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn log_line_from_another_thread_names_the_pipeline_of_its_client() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log =
            Dispatch::new(tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish());
        let context =
            with_default(&log, || tracing::error_span!("pipeline", name = "b").in_scope(ConnectionContext::default));
        let report = || with_default(&log, || context.log(RDKafkaLogLevel::Warning, "TERM", "the client is slow"));
        std::thread::scope(|scope| scope.spawn(report).join().unwrap());
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("pipeline{name=\"b\"}") && text.contains("the client is slow"), "{text}");
    }
}
