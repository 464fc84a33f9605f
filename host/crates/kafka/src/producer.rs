//! A producer whose blocking calls have a limit: after it, the answer is an error and the producer is to be replaced.

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
use super::permissions::{Operation, granted};
use super::reporting::ReportingProducer;
use mapper_core::decision::Routes;

/// Pause before a call that failed is made again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How often it is looked whether records are delivered.
const FLUSH_SLICE: Duration = Duration::from_millis(500);

/// Why a call did not succeed.
#[derive(Debug)]
pub(super) enum CallError {
    /// Kafka or librdkafka refused it.
    Refused(KafkaError),
    /// It was not finished within its limit, and may still be on its way: the producer must be replaced.
    TimedOut(String),
    /// It did not return within its limit: the producer must be abandoned.
    Stuck(String),
}

struct Client {
    // Before the producer, so that they are dropped first.
    topics: Vec<TopicHandle>,
    producer: Arc<ReportingProducer>,
}

/// A producer to the topics of some routes.
pub(super) struct BoundedProducer {
    calls: CallThread<Client>,
    transaction_timeout: Duration,
}

/// The largest request of a producer.
pub(super) fn batch_bytes(config: &ClientConfig) -> usize {
    config.get("batch.size").and_then(|bytes| bytes.parse().ok()).unwrap_or(DEFAULT_BATCH_BYTES)
}

impl BoundedProducer {
    /// A producer that is not connected yet, with requests of at most that many bytes.
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

    /// The error after which the producer is of no use any more.
    pub(super) fn fatal_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.producer().client().fatal_error()
    }

    /// The first of these topics to which the producer may not write, if Kafka tells.
    pub(super) fn not_writable<'t>(&self, topics: &[&'t str]) -> Option<&'t str> {
        let granted = granted(self.producer().client(), topics, COORDINATOR_LIMIT).ok()?;
        let is_refused =
            |topic: &&&str| granted.get(**topic).is_none_or(|granted| !granted.contains(&Operation::Write));
        topics.iter().find(is_refused).copied()
    }

    pub(super) fn topic(&self, route: usize) -> &TopicHandle {
        &self.calls.client().topics[route]
    }

    /// Gets the producer id of a transactional producer, which fences others of its transactional id and ends what they left
    /// open. Takes up to twice the limit.
    pub(super) fn init_transactions(&self, topic: &str, limit: Duration) -> Result<(), CallError> {
        let topic = topic.to_owned();
        let answer = self.calls.call(2 * limit + CALL_GRACE, move |client| {
            // Asked before any broker is known, the transaction coordinator is only looked for again after half a second.
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

    /// Waits until all records are delivered or have failed, as long as there is progress.
    pub(super) fn flush(&self) -> Result<(), CallError> {
        let (limit, stall) = (self.transaction_timeout, delivery_stall(self.transaction_timeout));
        let flush = move |client: &Client| flush(&client.producer, limit, stall);
        self.calls.call(limit + CALL_GRACE, flush).unwrap_or_else(|| Err(stuck("flush", limit)))
    }

    /// Commits the transaction, all of whose records are delivered.
    pub(super) fn commit_transaction(&self) -> Result<(), CallError> {
        self.call("commit_transaction", COORDINATOR_LIMIT, |client, left| client.producer.commit_transaction(left))
    }

    pub(super) fn abort_transaction(&self) -> Result<(), CallError> {
        self.call("abort_transaction", COORDINATOR_LIMIT, |client, left| client.producer.abort_transaction(left))
    }

    /// Makes the call, and makes it again as long as librdkafka says that this is the thing to do.
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
                if !is_called_again(native.code(), native.is_retriable(), native.txn_requires_abort()) {
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

    /// Destroys the producer. What it still holds is not sent any more, whether its destruction takes long or not.
    pub(super) fn close(self) {
        let purge = PurgeConfig::default().queue().inflight();
        self.calls.call(CLOSE_LIMIT, move |client| client.producer.purge(purge));
        if !self.calls.close(CLOSE_LIMIT) {
            tracing::warn!(target: "kafka", "a producer takes longer than {} s to close", CLOSE_LIMIT.as_secs());
        }
    }

    /// Leaves the producer to the call that does not return. Tells how many there are of its kind.
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

/// Whether the same call is to be made again after this error.
fn is_called_again(code: RDKafkaErrorCode, retriable: bool, requires_abort: bool) -> bool {
    // Another call is not finished, and only that same one can finish it: this one would be told so for ever.
    retriable && !requires_abort && code != RDKafkaErrorCode::Conflict
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_is_repeated_only_if_it_can_succeed_and_nothing_must_be_aborted() {
        use RDKafkaErrorCode::{Conflict, CoordinatorNotAvailable, OperationTimedOut};
        let cases = [
            (CoordinatorNotAvailable, true, false, true),
            (OperationTimedOut, true, false, true),
            (OperationTimedOut, true, true, false),
            (CoordinatorNotAvailable, false, false, false),
            (Conflict, true, false, false),
        ];
        for (code, retriable, requires_abort, again) in cases {
            assert_eq!(is_called_again(code, retriable, requires_abort), again, "{code:?}");
        }
    }
}
