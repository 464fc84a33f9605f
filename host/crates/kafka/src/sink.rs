//! The sink of the pipeline on Kafka: outputs, dead letters and offsets in one transaction; or, at least once, offsets
//! after the outputs are acknowledged.

mod errors;
mod rejected;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;

use self::errors::MissingTopic;
use super::client::KafkaSettings;
use super::deliveries::{RejectedRecords, rejection_cause};
use super::limits::{COORDINATOR_LIMIT, INIT_LIMIT, INIT_LIMIT_AT_END, MOST_ABANDONED};
use super::member::Member;
use super::native::commit_within;
use super::producer::{BoundedProducer, CallError};
use super::undelivered::rejection;
use mapper_core::decision::{RouteIndex, Routes, TopicLimits};
use mapper_core::record::{Header, Position, Positions};
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_pipeline::contracts::{Outgoing, STEP, Sink, SinkError};

/// How long a full buffer is waited for at a time.
const FULL_WAIT: Duration = Duration::from_millis(1);
/// How long a record's failure may come after that of its transaction.
const REPORT_WAIT: Duration = Duration::from_millis(200);

/// Produces and commits for one worker.
pub struct KafkaSink {
    settings: KafkaSettings,
    transactional_id: Option<String>,
    routes: Routes,
    topic: Arc<str>,
    member: Member,
    shutdown: Shutdown,
    /// None before the first transaction, and after an error that the producer does not survive.
    open: Option<BoundedProducer>,
    in_transaction: bool,
    /// What each record of the transaction was made of, and where it goes, by its number.
    sent: Vec<(Position, RouteIndex)>,
    /// The producer was made for larger or smaller records, or for larger requests.
    is_outdated: bool,
    /// The largest request, once the broker rejected a larger one of several records.
    max_batch_bytes: Option<usize>,
    /// The producer must be replaced before the next transaction: a request to end the last one had no answer in time, and may still
    /// be on its way; or a topic is missing, which a producer that has noticed it does not look for any more.
    is_spent: bool,
    missing: Option<MissingTopic>,
    fenced: VecDeque<Instant>,
}

impl KafkaSink {
    /// A sink that commits in the name of this member. With a transactional id it does so exactly once.
    pub fn new(
        settings: KafkaSettings,
        transactional_id: Option<String>,
        (topic, routes): (Arc<str>, Arc<Routes>),
        member: Member,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            settings,
            transactional_id,
            routes: Routes::clone(&routes),
            topic,
            member,
            shutdown,
            open: None,
            in_transaction: false,
            sent: Vec::new(),
            is_outdated: false,
            max_batch_bytes: None,
            is_spent: false,
            missing: None,
            fenced: VecDeque::new(),
        }
    }

    /// Makes the producer ready before the first record needs it.
    ///
    /// # Errors
    /// [`SinkError::Retriable`] only after a shutdown; when it is not ready within the time, the host must end.
    pub fn connect_within(&mut self, limit: Duration) -> Result<(), SinkError> {
        let deadline = Instant::now() + limit;
        loop {
            let reason = match self.connect() {
                Err(SinkError::Retriable(reason)) if !self.shutdown.requested() => reason,
                connected => return connected,
            };
            if Instant::now() >= deadline {
                return Err(Halt::kafka(format!(
                    "the producer could not be made ready within {} (--connect-timeout): {reason:#}. Check the brokers, above \
                     all the transaction coordinator (the topic __transaction_state)",
                    humantime::format_duration(limit)
                ))
                .into());
            }
            tracing::warn!(target: "kafka", reason = format!("{reason:#}"), "the producer is not ready yet");
            self.shutdown.sleep(Duration::from_millis(500));
        }
    }

    /// Makes the producer ready if it is not, by one attempt.
    fn connect(&mut self) -> Result<(), SinkError> {
        if self.open.is_some() {
            return Ok(());
        }
        let id = self.transactional_id.as_deref();
        let producer = BoundedProducer::new(&self.settings, id, &self.routes, self.max_batch_bytes);
        let producer = producer.map_err(|error| Halt::configuration(format!("the producer can't be made: {error}")))?;
        (self.open, self.is_outdated) = (Some(producer), false);
        if self.transactional_id.is_none() {
            return Ok(());
        }
        let limit = if self.shutdown.requested() { INIT_LIMIT_AT_END } else { INIT_LIMIT };
        let topic = self.routes.get(0).topic.clone();
        let ready = self.call(|producer| producer.init_transactions(&topic, limit));
        if ready.is_err() {
            self.forget_producer();
        }
        ready
    }

    /// Closes the producer; waits no longer than a few seconds.
    pub fn close(mut self) {
        self.forget_producer();
    }

    fn forget_producer(&mut self) {
        if let Some(open) = self.open.take() {
            open.close();
        }
        self.in_transaction = false;
        self.is_spent = false;
    }

    fn offsets(&self, next: &Positions) -> Result<TopicPartitionList, KafkaError> {
        self.member.offsets(&self.topic, next)
    }

    fn call(&mut self, call: impl FnOnce(&BoundedProducer) -> Result<(), CallError>) -> Result<(), SinkError> {
        let Some(open) = &self.open else { return Err(SinkError::Retriable(anyhow::anyhow!("the producer is gone"))) };
        match call(open) {
            Ok(()) => Ok(()),
            Err(CallError::Refused(error)) => Err(self.classify(&error)),
            Err(CallError::TimedOut(reason)) => {
                self.is_spent = true;
                Err(self
                    .missing_for_good()
                    .map_or_else(|| SinkError::Retriable(anyhow::Error::msg(reason)), SinkError::Fatal))
            }
            Err(CallError::Stuck(reason)) => Err(self.abandon_producer(reason)),
        }
    }

    /// A new producer of the same transactional id fences this one, so whatever its call still does has no effect.
    fn abandon_producer(&mut self, reason: String) -> SinkError {
        let abandoned = self.open.take().map_or(0, BoundedProducer::abandon);
        self.forget_producer();
        if abandoned > MOST_ABANDONED * self.settings.workers {
            return Halt::kafka(format!(
                "{abandoned} calls of the Kafka client library do not return, the last one: {reason}. Start the host again; nothing \
                 is lost"
            ))
            .into();
        }
        tracing::warn!(target: "kafka", reason, abandoned, "abandoned the producer");
        SinkError::Retriable(anyhow::Error::msg(reason))
    }

    fn commit_exactly_once(&mut self, next: &Positions) -> Result<(), SinkError> {
        if !next.is_empty() {
            let offsets = self.offsets(next).map_err(|error| SinkError::Retriable(error.into()))?;
            // Of this very moment: it has the generation of the group, which is what fences a zombie.
            let Some(member) = self.member.consumer().group_metadata() else {
                return Err(SinkError::Retriable(anyhow::anyhow!("this worker is in no group at the moment")));
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
        if let Some(trouble) = self.failure(Duration::ZERO) {
            return Err(trouble);
        }
        if !next.is_empty() {
            let offsets = self.offsets(next).map_err(|error| SinkError::Retriable(error.into()))?;
            commit_within(&self.member.consumer(), &offsets, COORDINATOR_LIMIT).map_err(|error| {
                SinkError::Retriable(anyhow::Error::new(error).context("the offsets could not be committed"))
            })?;
        }
        (self.in_transaction, self.missing) = (false, None);
        Ok(())
    }
}

impl Sink for KafkaSink {
    fn begin(&mut self) -> Result<(), SinkError> {
        if self.is_outdated {
            self.forget_producer();
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
        let Some(open) = &self.open else { return Err(SinkError::Retriable(anyhow::anyhow!("the producer is gone"))) };
        let mut full_since: Option<Instant> = None;
        let wait_for_room = || {
            self.shutdown.sleep(FULL_WAIT);
            let waited = full_since.get_or_insert_with(Instant::now).elapsed();
            !self.shutdown.requested() && waited < self.settings.transaction_timeout
        };
        let Outgoing { input, route, key, value, timestamp_ms } = record;
        let number = self.sent.len();
        self.sent.push((input, route));
        let produced = open.topic(route).produce(number, key, value, timestamp_ms, headers, wait_for_room);
        let Err(code) = produced else { return Ok(()) };
        let topic = self.routes.get(route).topic.clone();
        if let Some(cause) = rejection_cause(code) {
            // librdkafka's own check of this very record.
            let rejected = RejectedRecords { code, cause, numbers: vec![number] };
            return Err(self.rejected(vec![rejection(&rejected, route, &topic, vec![input])]));
        }
        // Usually this is not about this record, but about one before it, which has made the transaction fail. A producer that
        // failed for good says why only when it is asked.
        let fatal = open.fatal_error().map(|(fatal, _)| fatal);
        let wait = if code == RDKafkaErrorCode::State { REPORT_WAIT } else { Duration::ZERO };
        Err(self.failure(wait).unwrap_or_else(|| self.undelivered(fatal.unwrap_or(code), &topic)))
    }

    fn commit(&mut self, next: &Positions) -> Result<(), SinkError> {
        if self.transactional_id.is_some() {
            self.commit_exactly_once(next)?;
        } else {
            self.commit_at_least_once(next)?;
        }
        self.member.note_committed(next);
        Ok(())
    }

    fn abort(&mut self) -> Result<(), SinkError> {
        let transactional = self.transactional_id.is_some();
        if self.is_spent {
            // An end of the old transaction that arrives late must not end a new one (librdkafka#5423): a new producer has a
            // new epoch, and leaves nothing open.
            self.forget_producer();
        }
        if self.in_transaction && transactional && self.open.is_some() {
            // If it can't be aborted, a new producer does it: initialising it ends what the old one left open.
            match self.call(BoundedProducer::abort_transaction) {
                Ok(()) => {}
                Err(SinkError::Fatal(halt)) => return Err(halt.into()),
                Err(_) => self.forget_producer(),
            }
        }
        let has_rejection = self.open.as_ref().is_some_and(|open| open.context().has_rejection());
        if self.in_transaction && !transactional || has_rejection {
            // Whatever it still holds must not come out after what is produced again; and after a request that was rejected, librdkafka
            // needs several aborts until it has a sequence again that the broker takes.
            self.forget_producer();
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
