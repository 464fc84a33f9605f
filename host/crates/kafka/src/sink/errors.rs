//! Classifies the errors of the producer: retriable, rejected records, or fatal.

use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::super::delivery_errors::classify_delivery_error;
use super::super::error_class::{Denied, ErrorClass};
use super::super::limits::topic_absence;
use super::super::permissions::{MissingPermission, Operation, Resource};
use super::{KafkaSink, REPORT_WAIT};
use mapper_core::shutdown::{Cause, Halt};
use mapper_pipeline::contracts::SinkError;

/// A producer that is fenced this often within [`FENCED_WITHIN`] shares its transactional id with another host.
const MAX_FENCED: usize = 3;
const FENCED_WITHIN: Duration = Duration::from_secs(60);

/// An output topic that does not exist.
pub(super) struct MissingTopic {
    pub(super) topic: String,
    code: RDKafkaErrorCode,
    since: Instant,
}

impl KafkaSink {
    /// Classifies an error of a transactional call. A fatal error closes the producer.
    pub(super) fn classify(&mut self, error: &KafkaError) -> SinkError {
        let code = error.rdkafka_error_code();
        let class = code.map_or(ErrorClass::Retriable, ErrorClass::of);
        // librdkafka fails the transaction shortly before it reports the cause.
        let is_failed = class == ErrorClass::TransactionFailed
            || matches!(error, KafkaError::Transaction(error) if error.txn_requires_abort());
        if let Some(error) = self.take_failure(if is_failed { REPORT_WAIT } else { Duration::ZERO }) {
            return error;
        }
        match class {
            ErrorClass::TransactionTimeout => {
                return Halt::kafka(format!(
                    "Kafka refuses transactions to this host: --transaction-timeout {}: {error}. Give no more than the broker allows \
                     (its transaction.max.timeout.ms, 15 minutes by default), or raise that",
                    humantime::format_duration(self.settings.transaction_timeout)
                ))
                .into();
            }
            ErrorClass::NotAuthorized(denied) => return self.permission_error(error, denied),
            ErrorClass::Unsupported | ErrorClass::NotAuthenticated => {
                return Halt::new(
                    Cause::Kafka,
                    anyhow::Error::new(error.clone()).context("Kafka refuses transactions to this host"),
                )
                .into();
            }
            ErrorClass::ProducerFenced => {
                if let Some(halt) = self.record_fencing() {
                    return halt.into();
                }
            }
            _ => {}
        }
        if matches!(error, KafkaError::Transaction(error) if error.is_fatal())
            || self.open.as_ref().is_some_and(|open| open.fatal_error().is_some())
        {
            self.close_producer();
        }
        SinkError::Retriable(error.clone().into())
    }

    /// Classifies a failed delivery. A missing topic is retriable for some time, as someone may be recreating it.
    pub(super) fn classify_delivery(&mut self, code: RDKafkaErrorCode, topic: &str) -> SinkError {
        let class = ErrorClass::of(code);
        if class == ErrorClass::NotAuthorized(Denied::TransactionalId) {
            return self.permission_error(&code, Denied::TransactionalId);
        }
        if !class.is_topic_missing() {
            return classify_delivery_error(code, topic);
        }
        self.is_unusable = true;
        let known = self.missing.take_if(|missing| missing.topic == topic).map(|missing| missing.since);
        let since = known.unwrap_or_else(Instant::now);
        self.missing = Some(MissingTopic { topic: topic.to_owned(), code, since });
        match self.missing_topic_timeout() {
            Some(halt) => halt.into(),
            None => {
                SinkError::Retriable(anyhow::Error::new(code).context(format!("the topic '{topic}' does not exist")))
            }
        }
    }

    /// The fatal error, if a topic has been missing for too long.
    pub(super) fn missing_topic_timeout(&self) -> Option<Halt> {
        let missing = self.missing.as_ref()?;
        let limit = topic_absence(self.settings.transaction_timeout);
        let waited = missing.since.elapsed() >= limit;
        match classify_delivery_error(missing.code, &missing.topic) {
            SinkError::Fatal(halt) if waited => Some(halt),
            _ => None,
        }
    }

    fn permission_error(&self, error: &dyn fmt::Display, denied: Denied) -> SinkError {
        let missing = self.missing_permission(denied);
        Halt::kafka(format!("Kafka refuses transactions to this host: {error}: {missing}")).into()
    }

    /// The permission that is missing, from the error. The error does not contain the topic.
    fn missing_permission(&self, denied: Denied) -> String {
        let missing = match denied {
            Denied::TransactionalId => {
                let id = self.transactional_id.as_deref().unwrap_or_default();
                MissingPermission::new([Operation::Describe, Operation::Write], Resource::TransactionalId(id))
            }
            Denied::Group => MissingPermission::new([Operation::Read], Resource::Group(&self.settings.group)),
            Denied::Cluster => MissingPermission::new([Operation::IdempotentWrite], Resource::Cluster),
            Denied::Topic => {
                let topics: Vec<&str> = self.routes.all().map(|route| &*route.topic).collect();
                match self.open.as_ref().and_then(|open| open.find_not_writable(&topics)) {
                    Some(topic) => {
                        return MissingPermission::new([Operation::Write], Resource::Topic(topic)).to_string();
                    }
                    None => {
                        let topics = self.offsets.as_ref().map(|offsets| offsets.input.topics.to_string());
                        let topics = topics.unwrap_or_else(|| self.routes.get(0).topic.to_string());
                        return MissingPermission::new([Operation::Read], Resource::Topic(&topics)).to_string();
                    }
                }
            }
        };
        missing.to_string()
    }

    fn record_fencing(&mut self) -> Option<Halt> {
        let now = Instant::now();
        self.fenced.retain(|at| now - *at < FENCED_WITHIN);
        self.fenced.push_back(now);
        self.close_producer();
        let id = self.transactional_id.as_deref().unwrap_or_default();
        if self.offsets.is_none() {
            return Some(Halt::kafka(format!(
                "another producer took over the transactional id '{id}'. What this one has committed is done, and nothing else"
            )));
        }
        (self.fenced.len() >= MAX_FENCED).then(|| {
            Halt::kafka(format!(
                "the transactional id '{id}' was taken over by another producer {MAX_FENCED} times within \
                 {} s: another host uses it. Give each its own --transactional-id, or leave it out",
                FENCED_WITHIN.as_secs()
            ))
        })
    }
}
