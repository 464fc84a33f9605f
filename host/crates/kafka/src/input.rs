//! The input topics, shared by the workers, and the policy for recreated topics and for missing records.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::describe::TopicDescription;
use super::until::EndOffsets;
use crate::policy::{InputPolicy, OnGap, OnTopicRecreated};
use mapper_core::input_topics::InputTopics;
use mapper_core::shutdown::Halt;
use mapper_core::topic_table::{TopicNames, TopicTable};
use mapper_core::topics::TopicIdentity;
use mapper_state::in_flight::InFlightMarkers;

use crate::topic_events::TopicEvents;

/// What the source needs to know of the rest of the pipeline.
pub struct InputContext {
    pub table: Arc<TopicTable>,
    /// The end offsets of a run that ends at them.
    pub until: Option<Arc<EndOffsets>>,
    pub policy: InputPolicy,
    /// The topics that the pipeline writes to. It never reads them.
    pub written: Vec<String>,
    pub events: Arc<dyn TopicEvents>,
    pub markers: Arc<InFlightMarkers>,
}

/// The input topics of a pipeline.
pub struct Input {
    pub topics: InputTopics,
    /// The end offsets of a run that ends at them.
    pub until: Option<Arc<EndOffsets>>,
    /// Whether the brokers have topic ids. The embedded broker and brokers before Kafka 2.8 have none.
    pub(super) has_ids: bool,
    table: Arc<TopicTable>,
    policy: InputPolicy,
    written: Vec<String>,
    events: Arc<dyn TopicEvents>,
    markers: Arc<InFlightMarkers>,
    /// By the index of the topic.
    states: Mutex<BTreeMap<usize, TopicState>>,
}

#[derive(Debug, Clone)]
struct TopicState {
    /// Partitions from this one on were added after the start.
    partitions_at_start: i32,
    /// The identity in the last run, or at the start of this run.
    known: TopicIdentity,
    /// The identity of the topic that the workers read now.
    current: TopicIdentity,
}

impl Input {
    /// The topics at the start are described. There are no descriptions if the cluster has no topic ids.
    ///
    /// # Errors
    /// If a topic can't be registered.
    pub(super) fn new(
        topics: InputTopics,
        at_start: &[String],
        described: Option<&BTreeMap<String, TopicDescription>>,
        context: InputContext,
    ) -> Result<Self, Halt> {
        let InputContext { table, until, policy, written, events, markers } = context;
        let has_ids = described.is_some_and(|described| {
            described.is_empty() && at_start.is_empty() || described.values().any(|topic| topic.identity.id.is_some())
        });
        let states = Mutex::default();
        let input = Self { topics, until, has_ids, table, policy, written, events, markers, states };
        for topic in at_start {
            let described = described.and_then(|described| described.get(topic));
            let current = described.map(|described| described.identity.clone()).unwrap_or_default();
            let partitions = described.map_or(i32::MAX, |described| described.partitions);
            input.add(topic, current, partitions)?;
        }
        Ok(input)
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<usize, TopicState>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, topic: &str, current: TopicIdentity, partitions_at_start: i32) -> Result<usize, Halt> {
        let index = self.table.register(topic).map_err(Halt::configuration)?;
        self.states().entry(index).or_insert_with(|| TopicState {
            partitions_at_start,
            known: self.events.known(topic).unwrap_or_else(|| current.clone()),
            current,
        });
        Ok(index)
    }

    /// The topics so far.
    pub fn names(&self) -> TopicNames {
        self.table.names()
    }

    /// The index of a topic that the group assigns. One that was not there at the start is new.
    ///
    /// # Errors
    /// If the pipeline writes to the topic, or if there are too many topics.
    pub(super) fn register(&self, topic: &str) -> Result<usize, Halt> {
        if self.written.iter().any(|written| written == topic) {
            return Err(Halt::configuration(format!(
                "the input topics '{}' include '{topic}', which the pipeline writes to: its records would come in again without end. \
                 Give a narrower pattern, or another name to the topic",
                self.topics
            )));
        }
        self.add(topic, TopicIdentity::default(), 0)
    }

    /// The identity of the topic that the workers read now.
    pub(super) fn identity(&self, topic: usize) -> TopicIdentity {
        self.states().get(&topic).map(|state| state.current.clone()).unwrap_or_default()
    }

    /// The identity that a worker expects when it first reads the topic.
    pub(super) fn known(&self, topic: usize) -> TopicIdentity {
        self.states().get(&topic).map(|state| state.known.clone()).unwrap_or_default()
    }

    pub(super) fn is_added(&self, topic: usize, partition: i32) -> bool {
        self.states().get(&topic).is_some_and(|state| partition >= state.partitions_at_start)
    }

    /// Sets the identity of the topic that the workers read from now on.
    pub(super) fn set_identity(&self, topic: usize, identity: &TopicIdentity) {
        if let Some(state) = self.states().get_mut(&topic) {
            state.current = identity.clone();
        }
        self.events.keep(&self.name(topic), identity);
    }

    pub(super) fn name(&self, topic: usize) -> Arc<str> {
        self.names().all()[topic].clone()
    }

    /// Whether the input topics may contain dead letters.
    pub(super) fn allows_dead_letters(&self) -> bool {
        self.policy.input_is_dead_letters
    }

    /// Whether the host ends when a topic was recreated.
    pub(super) fn halts_on_recreation(&self) -> bool {
        self.policy.on_topic_recreated == OnTopicRecreated::Halt
    }

    /// Reports that a topic was deleted and recreated.
    ///
    /// # Errors
    /// If the policy ends the host.
    pub(super) fn report_recreated(&self, topic: usize, old: &TopicIdentity, new: &TopicIdentity) -> Result<(), Halt> {
        let (old, new) = (old.id.as_ref(), new.id.as_ref());
        let name = self.name(topic);
        if self.halts_on_recreation() {
            self.events.recreated(&name, old, new, "the host ends (--on-topic-recreated halt)");
            let id = |id: Option<&_>| id.map_or_else(|| "unknown".to_owned(), ToString::to_string);
            return Err(Halt::kafka(format!(
                "the input topic '{name}' was deleted and created again: its id was {} and is {}. The committed offsets do not \
                 belong to its records, so nothing of it was read. To read it from its beginning, start again with \
                 --on-topic-recreated restart",
                id(old),
                id(new)
            )));
        }
        self.markers.forget_records(&self.names().numbers(topic));
        self.events.recreated(&name, old, new, "the host reads it from its beginning (--on-topic-recreated restart)");
        Ok(())
    }

    /// Reports that a partition ends before the next offset, although the topic has the same id.
    ///
    /// # Errors
    /// If the policy ends the host.
    pub(super) fn report_truncated(&self, (topic, partition): (&str, i32), offset: i64, to: i64) -> Result<(), Halt> {
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
    pub(super) fn report_missed(&self, (topic, partition): (&str, i32), from: i64, to: i64) -> Result<(), Halt> {
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
    pub(super) fn report_deleted_unread(&self, (topic, partition): (&str, i32), from: i64, to: i64) {
        self.events.deleted_unread(topic, partition, from, to);
    }
}
