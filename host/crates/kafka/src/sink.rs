//! The sink of the pipeline on Kafka. Exactly once: outputs, dead letters and offsets in one transaction. At least once: offsets
//! after the outputs are acknowledged.

mod errors;
mod rejected;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::TopicPartitionList;

use self::errors::MissingTopic;
use super::client::KafkaSettings;
use super::deliveries::RejectedRecords;
use super::delivery_errors::create_rejection;
use super::error_class::ErrorClass;
use super::input::Input;
use super::limits::{COORDINATOR_LIMIT, INIT_LIMIT, INIT_LIMIT_AT_END, MAX_ABANDONED};
use super::member::Member;
use super::native::commit_within;
use super::producer::{BoundedProducer, CallError};
use mapper_core::decision::{RouteIndex, Routes, TopicLimits};
use mapper_core::record::{Header, Position, Positions};
use mapper_core::shutdown::{Cause, Halt, Shutdown};
use mapper_pipeline::contracts::{Outgoing, STEP, Sink, SinkError};

/// The pause before a retry while the producer queue is full.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(1);
/// A delivery report can follow the failure of its transaction within this time.
const REPORT_WAIT: Duration = Duration::from_millis(200);

/// The group that the sink commits offsets for.
struct OffsetCommitter {
    input: Arc<Input>,
    member: Member,
}

/// Produces and commits for one worker.
pub struct KafkaSink {
    settings: KafkaSettings,
    transactional_id: Option<String>,
    routes: Routes,
    /// `None` if the sink commits no offsets.
    offsets: Option<OffsetCommitter>,
    shutdown: Shutdown,
    /// `None` before the first transaction, and after an error that ends the producer.
    open: Option<BoundedProducer>,
    in_transaction: bool,
    /// The input and the route of each record of the transaction, by its number.
    sent: Vec<(Position, RouteIndex)>,
    /// Whether the limits have changed since the producer was created.
    is_outdated: bool,
    /// The limit of a request, after the broker rejected a larger request of several records.
    max_batch_bytes: Option<usize>,
    /// Whether the sink must replace the producer before the next transaction. Either a request to end the last transaction may be in
    /// flight. Or a topic was missing, and this producer does not look for it again.
    is_unusable: bool,
    missing: Option<MissingTopic>,
    fenced: VecDeque<Instant>,
}

impl KafkaSink {
    /// Commits as this member: exactly once with a transactional id, at least once without.
    pub fn new(
        settings: KafkaSettings,
        transactional_id: Option<String>,
        (input, routes): (Arc<Input>, Arc<Routes>),
        member: Member,
        shutdown: Shutdown,
    ) -> Self {
        Self::with_offsets(settings, transactional_id, &routes, Some(OffsetCommitter { input, member }), shutdown)
    }

    /// Commits transactions without offsets. Another sink with the same transactional id ends it.
    pub fn without_group(
        settings: KafkaSettings,
        transactional_id: String,
        routes: &Routes,
        shutdown: Shutdown,
    ) -> Self {
        Self::with_offsets(settings, Some(transactional_id), routes, None, shutdown)
    }

    fn with_offsets(
        settings: KafkaSettings,
        transactional_id: Option<String>,
        routes: &Routes,
        offsets: Option<OffsetCommitter>,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            settings,
            transactional_id,
            routes: routes.clone(),
            offsets,
            shutdown,
            open: None,
            in_transaction: false,
            sent: Vec::new(),
            is_outdated: false,
            max_batch_bytes: None,
            is_unusable: false,
            missing: None,
            fenced: VecDeque::new(),
        }
    }

    /// Initializes the producer before the first record.
    ///
    /// # Errors
    /// [`SinkError::Retriable`] only after a shutdown. [`SinkError::Fatal`] after the limit.
    pub fn connect_within(&mut self, limit: Duration) -> Result<(), SinkError> {
        let deadline = Instant::now() + limit;
        loop {
            let reason = match self.connect() {
                Err(SinkError::Retriable(reason)) if !self.shutdown.requested() => reason,
                connected => return connected,
            };
            if Instant::now() >= deadline {
                return Err(Halt::kafka(format!(
                    "failed to initialize the producer within {} (--connect-timeout): {reason:#}. Check the brokers, above \
                     all the transaction coordinator (the topic __transaction_state)",
                    humantime::format_duration(limit)
                ))
                .into());
            }
            tracing::warn!(target: "kafka", reason = format!("{reason:#}"), "the producer is not ready yet");
            self.shutdown.sleep(Duration::from_millis(500));
        }
    }

    /// Initializes the producer, with one attempt, if there is none.
    fn connect(&mut self) -> Result<(), SinkError> {
        if self.open.is_some() {
            return Ok(());
        }
        let id = self.transactional_id.as_deref();
        let producer = BoundedProducer::new(&self.settings, id, &self.routes, self.max_batch_bytes);
        let producer = producer
            .map_err(|error| Halt::new(Cause::Configuration, error.context("failed to create the producer")))?;
        (self.open, self.is_outdated) = (Some(producer), false);
        if self.transactional_id.is_none() {
            return Ok(());
        }
        let limit = if self.shutdown.requested() { INIT_LIMIT_AT_END } else { INIT_LIMIT };
        let topic = self.routes.get(0).topic.clone();
        let ready = self.call(|producer| producer.init_transactions(&topic, limit));
        if ready.is_err() {
            self.close_producer();
        }
        ready
    }

    /// Closes the producer; waits for a few seconds at most.
    pub fn close(mut self) {
        self.close_producer();
    }

    fn close_producer(&mut self) {
        if let Some(open) = self.open.take() {
            open.close();
        }
        self.in_transaction = false;
        self.is_unusable = false;
    }

    fn call(&mut self, call: impl FnOnce(&BoundedProducer) -> Result<(), CallError>) -> Result<(), SinkError> {
        let Some(open) = &self.open else { return Err(SinkError::Retriable(anyhow::anyhow!("there is no producer"))) };
        match call(open) {
            Ok(()) => Ok(()),
            Err(CallError::Refused(error)) => Err(self.classify(&error)),
            Err(CallError::TimedOut(reason)) => {
                self.is_unusable = true;
                Err(self
                    .missing_topic_timeout()
                    .map_or_else(|| SinkError::Retriable(anyhow::Error::msg(reason)), SinkError::Fatal))
            }
            Err(CallError::Stuck(reason)) => Err(self.abandon_producer(reason)),
        }
    }

    /// A new producer with the same transactional id fences this one. So the call of this one has no effect any more.
    fn abandon_producer(&mut self, reason: String) -> SinkError {
        let abandoned = self.open.take().map_or(0, BoundedProducer::abandon);
        self.close_producer();
        if abandoned > MAX_ABANDONED * self.settings.workers {
            return Halt::kafka(format!(
                "{abandoned} calls of the Kafka client library do not return, the last one: {reason}. Start the host again; nothing \
                 is lost"
            ))
            .into();
        }
        tracing::warn!(target: "kafka", reason, abandoned, "abandoned the producer");
        SinkError::Retriable(anyhow::Error::msg(reason))
    }

    fn offsets_to_commit(&self, next: &Positions) -> Result<Option<(&OffsetCommitter, TopicPartitionList)>, SinkError> {
        let Some(committer) = self.offsets.as_ref().filter(|_| !next.is_empty()) else { return Ok(None) };
        let offsets = committer.member.offsets(&committer.input.names(), next);
        offsets.map(|offsets| Some((committer, offsets))).map_err(|error| SinkError::Retriable(error.into()))
    }

    fn commit_exactly_once(&mut self, next: &Positions) -> Result<(), SinkError> {
        if let Some((committer, offsets)) = self.offsets_to_commit(next)? {
            let Some(member) = committer.member.group_metadata() else {
                return Err(SinkError::Retriable(anyhow::anyhow!("this worker is not in the group")));
            };
            self.call(|producer| producer.send_offsets(offsets, member))?;
        }
        tracing::trace!(target: STEP, id = self.transactional_id, "offsets sent");
        self.call(BoundedProducer::flush)?;
        self.call(BoundedProducer::commit_transaction)?;
        (self.in_transaction, self.missing) = (false, None);
        Ok(())
    }

    fn commit_at_least_once(&mut self, next: &Positions) -> Result<(), SinkError> {
        self.call(BoundedProducer::flush)?;
        if let Some(error) = self.take_failure(Duration::ZERO) {
            return Err(error);
        }
        if let Some((committer, offsets)) = self.offsets_to_commit(next)? {
            commit_within(&committer.member.consumer(), &offsets, COORDINATOR_LIMIT).map_err(|error| {
                SinkError::Retriable(anyhow::Error::new(error).context("failed to commit the offsets"))
            })?;
        }
        (self.in_transaction, self.missing) = (false, None);
        Ok(())
    }
}

impl Sink for KafkaSink {
    fn begin(&mut self) -> Result<(), SinkError> {
        if self.is_outdated {
            self.close_producer();
        }
        self.sent.clear();
        self.connect()?;
        if self.transactional_id.is_some() {
            self.call(BoundedProducer::begin_transaction)?;
        }
        self.in_transaction = true;
        Ok(())
    }

    fn send<'h>(
        &mut self,
        record: Outgoing<'_>,
        headers: &mut dyn Iterator<Item = Header<'h>>,
    ) -> Result<(), SinkError> {
        let Some(open) = &self.open else { return Err(SinkError::Retriable(anyhow::anyhow!("there is no producer"))) };
        let mut full_since: Option<Instant> = None;
        let wait_for_room = || {
            self.shutdown.sleep(QUEUE_FULL_PAUSE);
            let waited = full_since.get_or_insert_with(Instant::now).elapsed();
            !self.shutdown.requested() && waited < self.settings.transaction_timeout
        };
        let Outgoing { input, route, key, value, timestamp_ms } = record;
        let number = self.sent.len();
        self.sent.push((input, route));
        let produced = open.topic(route).produce(number, key, value, timestamp_ms, headers, wait_for_room);
        let Err(code) = produced else { return Ok(()) };
        let topic = self.routes.get(route).topic.clone();
        if let Some(cause) = ErrorClass::of(code).rejection_cause() {
            // librdkafka itself has rejected this record.
            let rejected = RejectedRecords { code, cause, numbers: vec![number] };
            return Err(self.reject(vec![create_rejection(&rejected, route, &topic, vec![input])]));
        }
        // Usually an earlier record has failed the transaction. A producer with a fatal error returns its cause only by
        // `fatal_error`.
        let fatal = open.fatal_error().map(|(fatal, _)| fatal);
        let wait = if code == RDKafkaErrorCode::State { REPORT_WAIT } else { Duration::ZERO };
        Err(self.take_failure(wait).unwrap_or_else(|| self.classify_delivery(fatal.unwrap_or(code), &topic)))
    }

    fn commit(&mut self, next: &Positions) -> Result<(), SinkError> {
        if self.transactional_id.is_some() {
            self.commit_exactly_once(next)?;
        } else {
            self.commit_at_least_once(next)?;
        }
        if let Some(committer) = &self.offsets {
            committer.member.record_committed(next);
        }
        Ok(())
    }

    fn abort(&mut self) -> Result<(), SinkError> {
        let transactional = self.transactional_id.is_some();
        if self.is_unusable {
            // A late request to end the old transaction must not end a new one (librdkafka#5423). A new producer has a new epoch
            // and aborts the old transaction.
            self.close_producer();
        }
        if self.in_transaction && transactional && self.open.is_some() {
            // If the abort fails, the initialization of a new producer aborts the transaction.
            match self.call(BoundedProducer::abort_transaction) {
                Ok(()) => {}
                Err(SinkError::Fatal(halt)) => return Err(halt.into()),
                Err(_) => self.close_producer(),
            }
        }
        let has_rejection = self.open.as_ref().is_some_and(|open| open.context().has_rejection());
        if self.in_transaction && !transactional || has_rejection {
            // Its queued records must not follow the records of the retry. And after a rejected request, librdkafka needs several aborts
            // until the broker accepts its sequence numbers again.
            self.close_producer();
        }
        if let Some(open) = &self.open {
            open.context().take();
        }
        self.in_transaction = false;
        self.connect()
    }

    fn topic_limits(&mut self) -> Vec<Option<TopicLimits>> {
        self.refresh_limits()
    }
}
