//! The input topic, shared by the workers, and the policy for a recreated topic and for missing records.

use std::sync::{Arc, Mutex, PoisonError};

use super::describe::TopicDescription;
use super::until::EndOffsets;
use crate::policy::{InputPolicy, OnGap, OnTopicRecreated};
use mapper_core::dead_letter::DeadLetterDetector;
use mapper_core::shutdown::Halt;
use mapper_core::topics::TopicIdentity;
use mapper_state::in_flight::InFlightMarkers;

use crate::topic_events::TopicEvents;

pub struct InputTopic {
    pub topic: Arc<str>,
    /// The end offsets of a run that ends at them.
    pub until: Option<Arc<EndOffsets>>,
    policy: InputPolicy,
    events: Arc<dyn TopicEvents>,
    markers: Arc<InFlightMarkers>,
    /// Partitions from this number on were added after the start.
    partitions_at_start: i32,
    /// The identity in the last run, or at the start of this run.
    known: TopicIdentity,
    /// The identity of the topic that the workers read now.
    current: Mutex<TopicIdentity>,
}

impl InputTopic {
    /// `described` is `None` if the cluster has no topic ids.
    pub(super) fn new(
        topic: &str,
        described: Option<&TopicDescription>,
        until: Option<Arc<EndOffsets>>,
        policy: InputPolicy,
        (events, markers): (Arc<dyn TopicEvents>, Arc<InFlightMarkers>),
    ) -> Self {
        let current = described.map(|described| described.identity.clone()).unwrap_or_default();
        Self {
            topic: topic.into(),
            until,
            policy,
            partitions_at_start: described.map_or(i32::MAX, |described| described.partitions),
            known: events.known(topic).unwrap_or_else(|| current.clone()),
            events,
            markers,
            current: Mutex::new(current),
        }
    }

    /// The identity of the topic that the workers read now.
    pub fn identity(&self) -> TopicIdentity {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The identity that a worker expects at its start.
    pub(super) fn known(&self) -> &TopicIdentity {
        &self.known
    }

    /// Whether the brokers have topic ids. The embedded broker and brokers before Kafka 2.8 have none.
    pub(super) fn has_id(&self) -> bool {
        self.identity().id.is_some()
    }

    pub(super) fn is_added(&self, partition: i32) -> bool {
        partition >= self.partitions_at_start
    }

    /// Sets the identity of the topic that the workers read from now on.
    pub(super) fn set_identity(&self, identity: &TopicIdentity) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = identity.clone();
        self.events.keep(&self.topic, identity);
    }

    /// Creates a detector of dead letters; `None` if dead letters are allowed.
    pub(super) fn create_detector(&self) -> Option<DeadLetterDetector> {
        (!self.policy.input_is_dead_letters).then(DeadLetterDetector::default)
    }

    /// Whether the host ends when the topic was recreated.
    pub(super) fn halts_on_recreation(&self) -> bool {
        self.policy.on_topic_recreated == OnTopicRecreated::Halt
    }

    /// Reports that the topic was deleted and recreated.
    ///
    /// # Errors
    /// If the policy ends the host.
    pub(super) fn report_recreated(&self, old: &TopicIdentity, new: &TopicIdentity) -> Result<(), Halt> {
        let (old, new) = (old.id.as_ref(), new.id.as_ref());
        if self.halts_on_recreation() {
            self.events.recreated(&self.topic, old, new, "the host ends (--on-topic-recreated halt)");
            let id = |id: Option<&_>| id.map_or_else(|| "unknown".to_owned(), ToString::to_string);
            return Err(Halt::kafka(format!(
                "the input topic '{}' was deleted and created again: its id was {} and is {}. The committed offsets do not \
                 belong to its records, so nothing of it was read. To read it from its beginning, start again with \
                 --on-topic-recreated restart",
                self.topic,
                id(old),
                id(new)
            )));
        }
        self.markers.forget_records();
        self.events.recreated(
            &self.topic,
            old,
            new,
            "the host reads it from its beginning (--on-topic-recreated restart)",
        );
        Ok(())
    }

    /// Reports that a partition ends before the next offset, although the topic has the same id.
    ///
    /// # Errors
    /// If the policy ends the host.
    pub(super) fn report_truncated(&self, partition: i32, offset: i64, to: i64) -> Result<(), Halt> {
        let topic = &*self.topic;
        if self.halts_on_recreation() {
            return Err(Halt::kafka(format!(
                "the input topic '{topic}', partition {partition}, ends before offset {offset}, up to which it was read: the \
                 topic was deleted and created again, or a broker lost records. To read it from offset {to}, start again with \
                 --on-topic-recreated restart"
            )));
        }
        self.events.shortened(topic, partition, offset, to);
        Ok(())
    }

    /// Reports that the records from `from` up to, but without, `to` were removed before the host read them.
    ///
    /// # Errors
    /// If the policy ends the host.
    pub(super) fn report_missed(&self, partition: i32, from: i64, to: i64) -> Result<(), Halt> {
        let topic = &*self.topic;
        if self.policy.on_gap == OnGap::Halt {
            return Err(Halt::kafka(format!(
                "records of the input topic '{topic}', partition {partition}, were removed before the host read them: {} \
                 records, from offset {from} to {} (retention or DeleteRecords). Everything before them is committed. To go on \
                 at offset {to}, start again with --on-gap continue",
                to - from,
                to - 1
            )));
        }
        self.events.missed(topic, partition, from, to);
        Ok(())
    }

    /// Reports records that were deleted with their topic before the host read them.
    pub(super) fn report_deleted_unread(&self, partition: i32, from: i64, to: i64) {
        self.events.deleted_unread(&self.topic, partition, from, to);
    }
}
