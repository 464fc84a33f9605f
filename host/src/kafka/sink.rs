//! The sink of the pipeline on Kafka: outputs, dead letters and offsets in one transaction; or, at least once, offsets
//! after the outputs are acknowledged.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::util::Timeout;

use super::client::{self, KafkaSettings};
use super::native::TopicHandle;
use super::source::GroupConsumer;
use crate::decision::Routes;
use crate::pipeline::{Outgoing, STEP, Sink, Trouble};
use crate::record::{Header, Positions};
use crate::shutdown::{Halt, Shutdown};

/// How long one attempt to reach the transaction coordinator takes, before it is looked whether to go on.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a full buffer is waited for at a time.
const FULL_WAIT: Duration = Duration::from_millis(1);
/// A producer that is fenced this often within [`FENCED_WITHIN`] has a rival of the same transactional id.
const FENCED_MOST: usize = 3;
const FENCED_WITHIN: Duration = Duration::from_secs(60);

/// Keeps the first record that could not be delivered.
#[derive(Default)]
pub(super) struct Deliveries {
    failed: AtomicBool,
    first: Mutex<Option<(RDKafkaErrorCode, String)>>,
}

impl Deliveries {
    fn note(&self, code: RDKafkaErrorCode, record: &BorrowedMessage<'_>) {
        // What is purged is purged because of what failed before.
        if matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) {
            return;
        }
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| (code, record.topic().to_owned()));
        self.failed.store(true, Ordering::Release);
    }

    /// The first failure since the last call, as what must be done about it.
    pub(super) fn take(&self) -> Option<Trouble> {
        if !self.failed.swap(false, Ordering::Acquire) {
            return None;
        }
        let (code, topic) = self.first.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(undelivered(code, &topic))
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::report(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, record)) = result {
            self.note(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown), record);
        }
    }
}

/// What a failed delivery means. The codes are those of Kafka's protocol.
fn undelivered(code: RDKafkaErrorCode, topic: &str) -> Trouble {
    use RDKafkaErrorCode as Code;
    match code {
        Code::MessageSizeTooLarge
        | Code::InvalidMessage
        | Code::InvalidMessageSize
        | Code::InvalidTimestamp
        | Code::InvalidRecord
        | Code::PolicyViolation => Trouble::RecordRefused(format!("the topic '{topic}' refuses a record: {code}")),
        Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition
        | Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::InvalidTopic
        | Code::InvalidRequiredAcks => Trouble::Halt(Halt::kafka(format!(
            "the topic '{topic}' can't be written to: {code}. Nothing was committed since then, so nothing is lost; make the \
             topic writable and start again"
        ))),
        _ => Trouble::Again(format!("a record could not be delivered to the topic '{topic}': {code}")),
    }
}

/// Whether the same call is to be made again after this error.
fn is_called_again(code: RDKafkaErrorCode, retriable: bool, requires_abort: bool) -> bool {
    // Another call is not finished, and only that same one can finish it: this one would be told so for ever.
    retriable && !requires_abort && code != RDKafkaErrorCode::Conflict
}

struct Open {
    topics: Vec<TopicHandle<Deliveries>>,
    producer: Arc<ThreadedProducer<Deliveries>>,
}

/// Produces and commits for one worker.
pub struct KafkaSink {
    settings: KafkaSettings,
    transactional_id: Option<String>,
    routes: Arc<Routes>,
    topic: Arc<str>,
    consumer: Arc<GroupConsumer>,
    shutdown: Shutdown,
    /// None before the first transaction, and after an error that the producer does not survive.
    open: Option<Open>,
    in_transaction: bool,
    /// A request to end the transaction had no answer in time, and may still be on its way.
    unanswered: bool,
    fenced: VecDeque<Instant>,
}

impl KafkaSink {
    /// A sink that commits in the name of this consumer. With a transactional id it does so exactly once.
    pub fn new(
        settings: KafkaSettings,
        transactional_id: Option<String>,
        (topic, routes): (Arc<str>, Arc<Routes>),
        consumer: Arc<GroupConsumer>,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            settings,
            transactional_id,
            routes,
            topic,
            consumer,
            shutdown,
            open: None,
            in_transaction: false,
            unanswered: false,
            fenced: VecDeque::new(),
        }
    }

    /// Makes the producer ready before the first record needs it; it can then only fail for good.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn connect(&mut self) -> Result<(), Trouble> {
        while self.open.is_none() {
            match self.try_connect() {
                Ok(open) => self.open = Some(open),
                Err(Trouble::Again(reason)) if !self.shutdown.requested() => {
                    tracing::warn!(target: "kafka", reason, "the producer is not ready yet");
                    self.shutdown.sleep(Duration::from_millis(500));
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(())
    }

    fn try_connect(&mut self) -> Result<Open, Trouble> {
        let config = self.settings.producer(self.transactional_id.as_deref(), Some(&self.routes));
        let producer: ThreadedProducer<Deliveries> =
            ThreadedProducer::from_config_and_context(&config, Deliveries::default())
                .map_err(|error| Halt::configuration(format!("the producer can't be made: {error}")))?;
        let producer = Arc::new(producer);
        let topics = self.routes.all().map(|route| TopicHandle::new(producer.clone(), &route.topic));
        let topics = topics.collect::<Result<Vec<_>, _>>().map_err(|error| Halt::kafka(error.to_string()))?;
        if self.transactional_id.is_some() {
            // Asked before any broker is known, the transaction coordinator is only looked for again after half a second.
            producer
                .client()
                .fetch_metadata(Some(&self.routes.get(0).topic), INIT_TIMEOUT)
                .map_err(|error| Trouble::Again(format!("no answer about the output topic: {error}")))?;
            producer.init_transactions(INIT_TIMEOUT).map_err(|error| self.classify(&error))?;
        }
        Ok(Open { topics, producer })
    }

    /// What an error of a transactional call means. One that the producer does not survive takes it along.
    fn classify(&mut self, error: &KafkaError) -> Trouble {
        use RDKafkaErrorCode as Code;
        let code = error.rdkafka_error_code();
        if let Some(trouble) = self.open.as_ref().and_then(|open| open.producer.context().take()) {
            return trouble;
        }
        match code {
            Some(
                Code::TransactionalIdAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::TopicAuthorizationFailed
                | Code::UnsupportedVersion
                | Code::UnsupportedFeature
                | Code::SaslAuthenticationFailed
                | Code::InvalidTransactionTimeout,
            ) => return Halt::kafka(format!("Kafka refuses transactions to this host: {error}")).into(),
            Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch) => {
                if let Some(halt) = self.fenced_again() {
                    return halt.into();
                }
            }
            _ => {}
        }
        if matches!(error, KafkaError::Transaction(error) if error.is_fatal())
            || self.open.as_ref().is_some_and(|open| open.producer.client().fatal_error().is_some())
        {
            self.forget_producer();
        }
        Trouble::Again(error.to_string())
    }

    fn fenced_again(&mut self) -> Option<Halt> {
        let now = Instant::now();
        self.fenced.retain(|at| now - *at < FENCED_WITHIN);
        self.fenced.push_back(now);
        self.forget_producer();
        let id = self.transactional_id.as_deref().unwrap_or_default();
        (self.fenced.len() >= FENCED_MOST).then(|| {
            Halt::kafka(format!(
                "the transactional id '{id}' was taken over by another producer {FENCED_MOST} times within \
                 {} s: another host uses it. Give each its own --transactional-id, or leave it out",
                FENCED_WITHIN.as_secs()
            ))
        })
    }

    fn forget_producer(&mut self) {
        self.open = None;
        self.in_transaction = false;
        self.unanswered = false;
    }

    fn offsets(&self, next: &Positions) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in next {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))?;
        }
        Ok(list)
    }

    /// Calls again as long as librdkafka says that this is the thing to do.
    fn insist(
        &mut self,
        call: impl Fn(&ThreadedProducer<Deliveries>) -> Result<(), KafkaError>,
    ) -> Result<(), Trouble> {
        loop {
            let Some(open) = &self.open else { return Err(Trouble::Again("the producer is gone".to_owned())) };
            match call(&open.producer) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error))
                    if is_called_again(error.code(), error.is_retriable(), error.txn_requires_abort()) =>
                {
                    self.unanswered |= error.code() == RDKafkaErrorCode::OperationTimedOut;
                    tracing::debug!(target: "kafka", %error, "trying again");
                    self.shutdown.sleep(Duration::from_millis(50));
                }
                Err(error) => return Err(self.classify(&error)),
            }
        }
    }

    fn commit_exactly_once(&mut self, next: &Positions) -> Result<(), Trouble> {
        let offsets = self.offsets(next).map_err(|error| Trouble::Again(error.to_string()))?;
        // Of this very moment: it has the generation of the group, which is what fences a zombie.
        let Some(member) = self.consumer.group_metadata() else {
            return Err(Trouble::Again("this worker is in no group at the moment".to_owned()));
        };
        self.insist(|producer| producer.send_offsets_to_transaction(&offsets, &member, Timeout::Never))?;
        tracing::trace!(target: STEP, id = self.transactional_id, "offsets sent");
        self.insist(|producer| producer.commit_transaction(Timeout::Never))?;
        (self.in_transaction, self.unanswered) = (false, false);
        Ok(())
    }

    fn commit_at_least_once(&mut self, next: &Positions) -> Result<(), Trouble> {
        let Some(open) = &self.open else { return Err(Trouble::Again("the producer is gone".to_owned())) };
        open.producer.flush(Timeout::Never).map_err(|error| Trouble::Again(error.to_string()))?;
        if let Some(trouble) = open.producer.context().take() {
            return Err(trouble);
        }
        let offsets = self.offsets(next).map_err(|error| Trouble::Again(error.to_string()))?;
        self.consumer
            .commit(&offsets, CommitMode::Sync)
            .map_err(|error| Trouble::Again(format!("the offsets could not be committed: {error}")))?;
        self.in_transaction = false;
        Ok(())
    }
}

impl Sink for KafkaSink {
    fn begin(&mut self) -> Result<(), Trouble> {
        self.connect()?;
        if self.transactional_id.is_some() {
            self.insist(Producer::begin_transaction)?;
        }
        self.in_transaction = true;
        Ok(())
    }

    fn send<'h>(&mut self, record: Outgoing<'_>, headers: &mut dyn Iterator<Item = Header<'h>>) -> Result<(), Trouble> {
        let Some(open) = &self.open else { return Err(Trouble::Again("the producer is gone".to_owned())) };
        let wait_for_room = || {
            self.shutdown.sleep(FULL_WAIT);
            !self.shutdown.requested()
        };
        let Outgoing { route, key, value, timestamp_ms } = record;
        open.topics[route].produce(key, value, timestamp_ms, headers, wait_for_room).map_err(|code| {
            // Usually this is not about this record, but about one before it, which has made the transaction fail.
            let before = open.producer.context().take();
            before.unwrap_or_else(|| undelivered(code, &self.routes.get(route).topic))
        })
    }

    fn commit(&mut self, next: &Positions) -> Result<(), Trouble> {
        if self.transactional_id.is_some() { self.commit_exactly_once(next) } else { self.commit_at_least_once(next) }
    }

    fn abort(&mut self) -> Result<(), Trouble> {
        let transactional = self.transactional_id.is_some();
        if self.unanswered {
            // An end of the old transaction that arrives late must not end a new one (librdkafka#5423): a new producer has a
            // new epoch, and leaves nothing open.
            self.forget_producer();
        }
        if self.in_transaction && transactional && self.open.is_some() {
            // If it can't be aborted, a new producer does it: initialising it ends what the old one left open.
            match self.insist(|producer| producer.abort_transaction(Timeout::Never)) {
                Ok(()) => {}
                Err(Trouble::Halt(halt)) => return Err(halt.into()),
                Err(_) => self.forget_producer(),
            }
        }
        if self.in_transaction && !transactional {
            // Whatever it still holds must not come out after what is produced again.
            self.forget_producer();
        }
        if let Some(open) = &self.open {
            open.producer.context().take();
        }
        self.in_transaction = false;
        self.connect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_was_not_delivered_is_refused_or_waited_for_or_ends_the_host() {
        use RDKafkaErrorCode as Code;
        let means = |code| match undelivered(code, "visits_dlq") {
            Trouble::RecordRefused(why) => ("refused", why),
            Trouble::Again(why) => ("again", why),
            Trouble::Halt(halt) => ("halt", halt.to_string()),
        };
        for (code, expected) in [
            (Code::MessageSizeTooLarge, "refused"),
            (Code::InvalidTimestamp, "refused"),
            (Code::PolicyViolation, "refused"),
            (Code::UnknownTopic, "halt"),
            (Code::UnknownTopicOrPartition, "halt"),
            (Code::TopicAuthorizationFailed, "halt"),
            (Code::MessageTimedOut, "again"),
            (Code::AllBrokersDown, "again"),
            (Code::NotEnoughReplicas, "again"),
        ] {
            let (meaning, why) = means(code);
            assert_eq!(meaning, expected, "{code:?}");
            assert!(why.contains("'visits_dlq'"), "{why}");
        }
    }

    #[test]
    fn what_can_only_be_ended_by_another_call_is_not_tried_for_ever() {
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
