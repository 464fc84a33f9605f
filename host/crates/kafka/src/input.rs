//! What the workers of a host know in common of the input topic, and what they do when it is another one or lacks records.

use std::sync::{Arc, Mutex, PoisonError};

use super::describe::Described;
use super::until::Until;
use crate::policy::{InputPolicy, OnGap, OnTopicRecreated};
use mapper_core::dead_letter::DeadLetterDetector;
use mapper_core::shutdown::Halt;
use mapper_core::topics::TopicIdentity;
use mapper_state::intents::Intents;

use crate::topic_events::TopicEvents;

/// The input topic of a run.
pub struct InputTopic {
    /// Its name.
    pub topic: Arc<str>,
    /// Where the run ends, if it ends by itself.
    pub until: Option<Arc<Until>>,
    policy: InputPolicy,
    events: Arc<dyn TopicEvents>,
    intents: Arc<Intents>,
    /// Partitions from this one on were added while the host ran.
    partitions_at_start: i32,
    /// The topic that the last run read, or this one at its start.
    known: TopicIdentity,
    /// The topic that is read now.
    current: Mutex<TopicIdentity>,
}

impl InputTopic {
    /// The topic as the cluster describes it at the start; `None` if it does not.
    pub(super) fn new(
        topic: &str,
        described: Option<&Described>,
        until: Option<Arc<Until>>,
        policy: InputPolicy,
        (events, intents): (Arc<dyn TopicEvents>, Arc<Intents>),
    ) -> Self {
        let current = described.map(|described| described.identity.clone()).unwrap_or_default();
        Self {
            topic: topic.into(),
            until,
            policy,
            partitions_at_start: described.map_or(i32::MAX, |described| described.partitions),
            known: events.known(topic).unwrap_or_else(|| current.clone()),
            events,
            intents,
            current: Mutex::new(current),
        }
    }

    /// The topic that offsets are committed for now.
    pub fn identity(&self) -> TopicIdentity {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The topic that a worker has to do with when it starts.
    pub(super) fn known(&self) -> &TopicIdentity {
        &self.known
    }

    /// Whether the brokers tell the ids of topics. The embedded broker and brokers before Kafka 2.8 do not.
    pub(super) fn has_id(&self) -> bool {
        self.identity().id.is_some()
    }

    pub(super) fn is_added(&self, partition: i32) -> bool {
        partition >= self.partitions_at_start
    }

    /// From now on this topic is read.
    pub(super) fn adopt(&self, identity: &TopicIdentity) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = identity.clone();
        self.events.keep(&self.topic, identity);
    }

    /// What finds dead letters among the first records; `None` if they are allowed.
    pub(super) fn detector(&self) -> Option<DeadLetterDetector> {
        (!self.policy.input_is_dead_letters).then(DeadLetterDetector::default)
    }

    /// Whether the host ends when the topic was created again.
    pub(super) fn halts_on_recreation(&self) -> bool {
        self.policy.on_topic_recreated == OnTopicRecreated::Halt
    }

    /// The topic was deleted and created again.
    ///
    /// # Errors
    /// If the host is to end then.
    pub(super) fn recreated(&self, old: &TopicIdentity, new: &TopicIdentity) -> Result<(), Halt> {
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
        self.intents.forget_records();
        self.events.recreated(
            &self.topic,
            old,
            new,
            "the host reads it from its beginning (--on-topic-recreated restart)",
        );
        Ok(())
    }

    /// A partition ends before the offset that is to be read next, though the topic is the same as far as anyone can tell.
    ///
    /// # Errors
    /// If the host is to end then.
    pub(super) fn shortened(&self, partition: i32, offset: i64, to: i64) -> Result<(), Halt> {
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

    /// Records were removed before they were read: the offsets from `from` up to, but without, `to`.
    ///
    /// # Errors
    /// If the host is to end then.
    pub(super) fn missed(&self, partition: i32, from: i64, to: i64) -> Result<(), Halt> {
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

    /// Records of a topic were not read before it was deleted.
    pub(super) fn deleted_unread(&self, partition: i32, from: i64, to: i64) {
        self.events.deleted_unread(&self.topic, partition, from, to);
    }
}
