//! A producer with a limit for each blocking call. After the limit, the caller must replace the producer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{Producer, PurgeConfig};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::call_thread::CallThread;
use super::client::{DEFAULT_BATCH_BYTES, KafkaSettings};
use super::deliveries::Deliveries;
use super::limits::{CALL_GRACE, CLOSE_LIMIT, COORDINATOR_LIMIT, delivery_stall};
use super::native::TopicHandle;
use super::permissions::{Operation, fetch_granted};
use super::reporting::ReportingProducer;
use mapper_core::decision::Routes;

/// The pause before a retry.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// The interval in which a flush checks its progress.
const FLUSH_SLICE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) enum CallError {
    /// Kafka or librdkafka returned an error.
    Refused(KafkaError),
    /// The result is unknown: a request may still be in flight. The caller must replace the producer.
    TimedOut(String),
    /// The call has not returned. The caller must abandon the producer.
    Stuck(String),
}

struct Client {
    // Before the producer, so that Rust drops them first.
    topics: Vec<TopicHandle>,
    producer: Arc<ReportingProducer>,
}

/// A producer to the topics of the routes.
pub(super) struct BoundedProducer {
    calls: CallThread<Client>,
    transaction_timeout: Duration,
}

pub(super) fn batch_bytes(config: &ClientConfig) -> usize {
    config.get("batch.size").and_then(|bytes| bytes.parse().ok()).unwrap_or(DEFAULT_BATCH_BYTES)
}

impl BoundedProducer {
    /// Creates the producer without a connection. `max_batch_bytes` limits its requests.
    pub(super) fn new(
        settings: &KafkaSettings,
        transactional_id: Option<&str>,
        routes: &Routes,
        max_batch_bytes: Option<usize>,
    ) -> anyhow::Result<Self> {
        let mut config = settings.producer(transactional_id, Some(routes));
        if let Some(bytes) = max_batch_bytes.filter(|bytes| *bytes < batch_bytes(&config)) {
            config.set("batch.size", bytes.to_string());
        }
        let producer = Arc::new(ReportingProducer::new(&config)?);
        let topics = routes.all().map(|route| TopicHandle::new(producer.clone(), &route.topic));
        let client = Client { topics: topics.collect::<Result<_, _>>()?, producer };
        Ok(Self {
            calls: CallThread::start("producer-calls", client)?,
            transaction_timeout: settings.transaction_timeout,
        })
    }

    fn producer(&self) -> &ReportingProducer {
        &self.calls.client().producer
    }

    pub(super) fn context(&self) -> &Deliveries {
        self.producer().context()
    }

    /// The error that makes the producer unusable.
    pub(super) fn fatal_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.producer().client().fatal_error()
    }

    /// The first topic without write permission, if Kafka reports permissions.
    pub(super) fn find_not_writable<'t>(&self, topics: &[&'t str]) -> Option<&'t str> {
        let granted = fetch_granted(self.producer().client(), topics, COORDINATOR_LIMIT).ok()?;
        let lacks_write =
            |topic: &&&str| granted.get(**topic).is_none_or(|granted| !granted.contains(&Operation::Write));
        topics.iter().find(lacks_write).copied()
    }

    pub(super) fn topic(&self, route: usize) -> &TopicHandle {
        &self.calls.client().topics[route]
    }

    /// Gets the producer id. This fences other producers with the transactional id and aborts their transactions. Takes up to
    /// twice the limit.
    pub(super) fn init_transactions(&self, topic: &str, limit: Duration) -> Result<(), CallError> {
        let topic = topic.to_owned();
        let answer = self.calls.call(2 * limit + CALL_GRACE, move |client| {
            // Without known brokers, librdkafka repeats the search for the coordinator only after half a second.
            client.producer.client().fetch_metadata(Some(&topic), limit)?;
            client.producer.init_transactions(limit)
        });
        match answer {
            Some(result) => result.map_err(CallError::Refused),
            None => Err(stuck("init_transactions", 2 * limit)),
        }
    }

    pub(super) fn begin_transaction(&self) -> Result<(), CallError> {
        self.call("begin_transaction", COORDINATOR_LIMIT, |client, _| client.producer.begin_transaction())
    }

    pub(super) fn send_offsets(
        &self,
        offsets: TopicPartitionList,
        member: ConsumerGroupMetadata,
    ) -> Result<(), CallError> {
        self.call("send_offsets_to_transaction", COORDINATOR_LIMIT, move |client, left| {
            client.producer.send_offsets_to_transaction(&offsets, &member, left)
        })
    }

    /// Waits until all records are delivered or have failed. Ends early if no record is delivered for some time.
    pub(super) fn flush(&self) -> Result<(), CallError> {
        let (limit, stall) = (self.transaction_timeout, delivery_stall(self.transaction_timeout));
        let flush = move |client: &Client| flush(&client.producer, limit, stall);
        self.calls.call(limit + CALL_GRACE, flush).unwrap_or_else(|| Err(stuck("flush", limit)))
    }

    /// Commits the transaction. All records must be delivered before.
    pub(super) fn commit_transaction(&self) -> Result<(), CallError> {
        self.call("commit_transaction", COORDINATOR_LIMIT, |client, left| client.producer.commit_transaction(left))
    }

    pub(super) fn abort_transaction(&self) -> Result<(), CallError> {
        self.call("abort_transaction", COORDINATOR_LIMIT, |client, left| client.producer.abort_transaction(left))
    }

    /// Makes a call, and repeats it while its error is retriable.
    fn call(
        &self,
        name: &'static str,
        limit: Duration,
        call: impl Fn(&Client, Duration) -> KafkaResult<()> + Send + 'static,
    ) -> Result<(), CallError> {
        let deadline = Instant::now() + limit;
        let answer = self.calls.call(limit + CALL_GRACE, move |client| {
            loop {
                let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
                let error = match call(client, left) {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                };
                let KafkaError::Transaction(native) = &error else { return Err(CallError::Refused(error)) };
                if !should_retry(native.code(), native.is_retriable(), native.txn_requires_abort()) {
                    return Err(CallError::Refused(error));
                }
                if Instant::now() >= deadline {
                    return Err(CallError::TimedOut(format!(
                        "{name} had no answer within {} s: {error}",
                        limit.as_secs()
                    )));
                }
                tracing::debug!(target: "kafka", %error, call = name, "retrying");
                std::thread::sleep(RETRY_PAUSE);
            }
        });
        answer.unwrap_or_else(|| Err(stuck(name, limit)))
    }

    /// Purges the queued records and destroys the producer.
    pub(super) fn close(self) {
        let purge = PurgeConfig::default().queue().inflight();
        self.calls.call(CLOSE_LIMIT, move |client| client.producer.purge(purge));
        if !self.calls.close(CLOSE_LIMIT) {
            tracing::warn!(target: "kafka", "a producer takes longer than {} s to close", CLOSE_LIMIT.as_secs());
        }
    }

    /// Leaves the producer to its call. Returns the number of abandoned producers.
    pub(super) fn abandon(self) -> usize {
        self.calls.abandon()
    }
}

fn stuck(call: &str, limit: Duration) -> CallError {
    CallError::Stuck(format!("{call} did not return within {} s", (limit + CALL_GRACE).as_secs()))
}

fn flush(producer: &ReportingProducer, limit: Duration, stall: Duration) -> Result<(), CallError> {
    let started = Instant::now();
    let mut progress = (producer.in_flight_count(), started);
    loop {
        match producer.flush(FLUSH_SLICE.min(stall)) {
            Ok(()) => return Ok(()),
            Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)) => {}
            Err(error) => return Err(CallError::Refused(error)),
        }
        let (left, now) = (producer.in_flight_count(), Instant::now());
        if left != progress.0 {
            progress = (left, now);
        }
        let waited = if now - progress.1 >= stall { stall } else { limit };
        if now - progress.1 >= stall || now - started >= limit {
            let waited = waited.as_secs();
            return Err(CallError::TimedOut(format!("{left} records were not delivered within {waited} s")));
        }
    }
}

/// Whether the same call can succeed after this error.
fn should_retry(code: RDKafkaErrorCode, retriable: bool, requires_abort: bool) -> bool {
    // `Conflict`: another call is in progress. Only a repetition of that call can finish it.
    retriable && !requires_abort && code != RDKafkaErrorCode::Conflict
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_is_retried_only_if_it_is_retriable_and_needs_no_abort() {
        use RDKafkaErrorCode::{Conflict, CoordinatorNotAvailable, OperationTimedOut};
        let cases = [
            (CoordinatorNotAvailable, true, false, true),
            (OperationTimedOut, true, false, true),
            (OperationTimedOut, true, true, false),
            (CoordinatorNotAvailable, false, false, false),
            (Conflict, true, false, false),
        ];
        for (code, retriable, requires_abort, expected) in cases {
            assert_eq!(should_retry(code, retriable, requires_abort), expected, "{code:?}");
        }
    }
}
