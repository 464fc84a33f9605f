//! What an error of the producer means for the pipeline: again, a rejected record, or the end of the host.

use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::super::limits::topic_absence;
use super::super::permissions::{Missing, Operation, Resource, is_refused};
use super::super::undelivered::undelivered;
use super::{KafkaSink, REPORT_WAIT};
use mapper_core::shutdown::Halt;
use mapper_pipeline::contracts::SinkError;

/// A producer that is fenced this often within [`FENCED_WITHIN`] has a rival of the same transactional id.
const FENCED_MOST: usize = 3;
const FENCED_WITHIN: Duration = Duration::from_secs(60);

/// Whether a record was not delivered because its topic isn't there.
fn is_missing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition)
}

/// A topic that can't be written to because it isn't there.
pub(super) struct MissingTopic {
    pub(super) topic: String,
    code: RDKafkaErrorCode,
    since: Instant,
}

impl KafkaSink {
    /// What an error of a transactional call means. One that the producer does not survive takes it along.
    pub(super) fn classify(&mut self, error: &KafkaError) -> SinkError {
        use RDKafkaErrorCode as Code;
        let code = error.rdkafka_error_code();
        // librdkafka makes the transaction fail a moment before it reports why.
        let is_failed =
            code == Some(Code::State) || matches!(error, KafkaError::Transaction(error) if error.txn_requires_abort());
        if let Some(trouble) = self.failure(if is_failed { REPORT_WAIT } else { Duration::ZERO }) {
            return trouble;
        }
        match code {
            Some(Code::InvalidTransactionTimeout) => {
                return Halt::kafka(format!(
                    "Kafka refuses transactions to this host: --transaction-timeout {}: {error}. Give no more than the broker allows \
                     (its transaction.max.timeout.ms, 15 minutes by default), or raise that",
                    humantime::format_duration(self.settings.transaction_timeout)
                ))
                .into();
            }
            Some(code) if is_refused(code) => return self.refused(error, code),
            Some(Code::UnsupportedVersion | Code::UnsupportedFeature | Code::SaslAuthenticationFailed) => {
                return Halt::kafka(format!("Kafka refuses transactions to this host: {error}")).into();
            }
            Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch) => {
                if let Some(halt) = self.fenced_again() {
                    return halt.into();
                }
            }
            _ => {}
        }
        if matches!(error, KafkaError::Transaction(error) if error.is_fatal())
            || self.open.as_ref().is_some_and(|open| open.fatal_error().is_some())
        {
            self.forget_producer();
        }
        SinkError::Retriable(error.clone().into())
    }

    /// What a failed delivery means. A topic that is missing may be about to be created anew.
    pub(super) fn undelivered(&mut self, code: RDKafkaErrorCode, topic: &str) -> SinkError {
        if code == RDKafkaErrorCode::TransactionalIdAuthorizationFailed {
            return self.refused(&code, code);
        }
        if !is_missing(code) {
            return undelivered(code, topic);
        }
        self.is_spent = true;
        let known = self.missing.take_if(|missing| missing.topic == topic).map(|missing| missing.since);
        let since = known.unwrap_or_else(Instant::now);
        self.missing = Some(MissingTopic { topic: topic.to_owned(), code, since });
        match self.missing_for_good() {
            Some(halt) => halt.into(),
            None => SinkError::Retriable(
                anyhow::Error::new(code).context(format!("the topic '{topic}' does not exist at the moment")),
            ),
        }
    }

    /// The end of the host, if a topic has been missing for too long.
    pub(super) fn missing_for_good(&self) -> Option<Halt> {
        let missing = self.missing.as_ref()?;
        let limit = topic_absence(self.settings.transaction_timeout);
        let waited = missing.since.elapsed() >= limit;
        match undelivered(missing.code, &missing.topic) {
            SinkError::Fatal(halt) if waited => Some(halt),
            _ => None,
        }
    }

    fn refused(&self, error: &dyn fmt::Display, code: RDKafkaErrorCode) -> SinkError {
        let missing = self.missing_permission(code);
        Halt::kafka(format!("Kafka refuses transactions to this host: {error}: {missing}")).into()
    }

    /// The permission that Kafka misses, by its error. The error does not say of which topic.
    fn missing_permission(&self, code: RDKafkaErrorCode) -> String {
        let missing = match code {
            RDKafkaErrorCode::TransactionalIdAuthorizationFailed => {
                let id = self.transactional_id.as_deref().unwrap_or_default();
                Missing::new([Operation::Describe, Operation::Write], Resource::TransactionalId(id))
            }
            RDKafkaErrorCode::GroupAuthorizationFailed => {
                Missing::new([Operation::Read], Resource::Group(&self.settings.group))
            }
            RDKafkaErrorCode::ClusterAuthorizationFailed => {
                Missing::new([Operation::IdempotentWrite], Resource::Cluster)
            }
            _ => {
                let topics: Vec<&str> = self.routes.all().map(|route| &*route.topic).collect();
                match self.open.as_ref().and_then(|open| open.not_writable(&topics)) {
                    Some(topic) => return Missing::new([Operation::Write], Resource::Topic(topic)).to_string(),
                    None => Missing::new([Operation::Read], Resource::Topic(&self.topic)),
                }
            }
        };
        missing.to_string()
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
}
