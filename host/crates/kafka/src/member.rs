//! A member of the consumer group: its client, and what its callbacks leave for the source.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use super::client::{self, KafkaSettings};
use super::native::RecordQueue;
use mapper_core::record::Positions;
use mapper_core::topics::{TopicId, TopicIdentity};

/// A consumer in a group.
pub type GroupConsumer = BaseConsumer<GroupContext>;

#[derive(Clone)]
pub(super) enum Rebalance {
    Assign(TopicPartitionList),
    Revoke { partitions: TopicPartitionList, lost: bool },
}

/// Keeps rebalances until the pipeline has time for them, and which topic the client reads.
pub struct GroupContext {
    rebalances: Mutex<VecDeque<Rebalance>>,
    closing: AtomicBool,
    /// Whether the group has given this client partitions, be it none.
    has_joined: AtomicBool,
    topic: Arc<str>,
    /// The topic that the client fetches from now on; `None` until it knows.
    topic_id: Mutex<Option<TopicId>>,
    /// Counts the changes of `topic_id`, so that looking for one costs a load.
    topic_id_changes: AtomicU64,
    /// Commits without an answer to wait for that failed.
    failed_commits: AtomicU64,
    /// Whether the user asked for librdkafka's debug messages.
    shows_debug: bool,
}

impl GroupContext {
    /// For a client that reads this topic.
    pub(super) fn new(topic: Arc<str>, shows_debug: bool) -> Self {
        Self {
            rebalances: Mutex::default(),
            closing: AtomicBool::new(false),
            has_joined: AtomicBool::new(false),
            topic,
            topic_id: Mutex::default(),
            topic_id_changes: AtomicU64::new(0),
            failed_commits: AtomicU64::new(0),
            shows_debug,
        }
    }

    pub(super) fn rebalances(&self) -> MutexGuard<'_, VecDeque<Rebalance>> {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the group has given this client partitions, be it none.
    pub(super) fn has_joined(&self) -> bool {
        self.has_joined.load(Ordering::Relaxed)
    }

    /// How often the client began to fetch from another topic of the same name. No record of the new topic is handed on
    /// before this changes.
    pub(super) fn topic_id_changes(&self) -> u64 {
        self.topic_id_changes.load(Ordering::Acquire)
    }

    /// The topic that the client fetches from.
    pub(super) fn topic_id(&self) -> Option<TopicId> {
        self.topic_id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many commits failed of those that nobody waited for.
    pub(super) fn failed_commits(&self) -> u64 {
        self.failed_commits.load(Ordering::Relaxed)
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "METADATA"
            && let Some(id) = changed_topic_id(message, &self.topic)
        {
            *self.topic_id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
            self.topic_id_changes.fetch_add(1, Ordering::Release);
        }
        if self.shows_debug || !matches!(level, RDKafkaLogLevel::Debug) {
            client::log(level, facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::report(&error, reason);
    }
}

/// The id of a topic from librdkafka's debug message that the client fetches by another id from now on. librdkafka has no call
/// for it and goes on at the old offset (`rd_kafka_topic_metadata_update`). It logs the change before it fetches by the new id, so
/// the message waits among the events before any record of the new topic is in a queue.
fn changed_topic_id(message: &str, topic: &str) -> Option<TopicId> {
    // "[thrd:main]: Topic visits changed id from REm6l2J9TL+1OtDPaltrPQ to jz6OVoovQq6Zg1wsTJ434g"
    let (before, ids) = message.rsplit_once(" changed id from ")?;
    let is_ours = before.strip_suffix(topic).is_some_and(|before| before.ends_with("Topic "));
    let (_, new) = ids.split_once(" to ")?;
    is_ours.then(|| TopicId(new.trim().into()))
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        self.has_joined.store(true, Ordering::Relaxed);
        let partitions = partitions.clone();
        let rebalance = if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            Rebalance::Assign(partitions)
        } else {
            Rebalance::Revoke { partitions, lost: consumer.assignment_lost() }
        };
        if !self.closing.load(Ordering::Relaxed) {
            self.rebalances().push_back(rebalance);
        } else if let Err(error) = carry_out(consumer, &rebalance) {
            // The consumer is being dropped; the group notices by itself that it is gone.
            tracing::debug!(%error, "a rebalance at the end");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(target: "kafka", %error, "could not commit the end of a partition");
            self.failed_commits.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A new member of the group.
pub(super) fn join(
    settings: &KafkaSettings,
    topic: &Arc<str>,
) -> KafkaResult<(RecordQueue<GroupContext>, Arc<GroupConsumer>)> {
    let context = GroupContext::new(topic.clone(), settings.shows_debug());
    let consumer = Arc::new(GroupConsumer::from_config_and_context(&settings.consumer(), context)?);
    consumer.subscribe(&[topic])?;
    Ok((RecordQueue::new(consumer.clone()), consumer))
}

pub(super) fn carry_out(consumer: &GroupConsumer, rebalance: &Rebalance) -> KafkaResult<()> {
    match rebalance {
        Rebalance::Assign(partitions) if is_cooperative(consumer) => consumer.incremental_assign(partitions),
        Rebalance::Assign(partitions) => consumer.assign(partitions),
        Rebalance::Revoke { partitions, .. } if is_cooperative(consumer) => consumer.incremental_unassign(partitions),
        Rebalance::Revoke { .. } => consumer.unassign(),
    }
}

/// Whether partitions come and go one by one, not all at once.
pub(super) fn is_cooperative(consumer: &GroupConsumer) -> bool {
    matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
}

/// From here on rebalances are carried out at once: there is no pipeline to wait for.
pub(super) fn close(consumer: &GroupConsumer) {
    consumer.context().closing.store(true, Ordering::Relaxed);
    // One that is waiting would keep the consumer from leaving the group.
    for rebalance in consumer.context().rebalances().drain(..) {
        let _ = carry_out(consumer, &rebalance);
    }
}

/// The membership of a worker, which the source and the sink share: the source reads, the sink commits.
#[derive(Clone)]
pub struct Member(Arc<Mutex<State>>);

struct State {
    consumer: Arc<GroupConsumer>,
    /// The topic that offsets are committed for.
    identity: TopicIdentity,
    /// The offsets that this member has committed.
    committed: Positions,
}

impl Member {
    pub(super) fn new(consumer: Arc<GroupConsumer>, identity: TopicIdentity) -> Self {
        Self(Arc::new(Mutex::new(State { consumer, identity, committed: Positions::new() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The consumer, which may be another one later.
    pub fn consumer(&self) -> Arc<GroupConsumer> {
        self.state().consumer.clone()
    }

    /// Replaces the consumer. Returns the old one.
    pub(super) fn replace_consumer(&self, consumer: Arc<GroupConsumer>) -> Arc<GroupConsumer> {
        let mut state = self.state();
        state.committed.clear();
        std::mem::replace(&mut state.consumer, consumer)
    }

    /// The topic that offsets are committed for.
    pub(super) fn identity(&self) -> TopicIdentity {
        self.state().identity.clone()
    }

    pub(super) fn set_identity(&self, identity: TopicIdentity) {
        self.state().identity = identity;
    }

    /// These offsets as they are committed: with the topic that they belong to.
    pub(super) fn offsets(&self, topic: &str, next: &Positions) -> KafkaResult<TopicPartitionList> {
        let metadata = self.identity().to_offset_metadata();
        let mut list = TopicPartitionList::new();
        for (partition, offset) in next {
            let mut element = list.add_partition(topic, *partition);
            element.set_offset(Offset::Offset(*offset))?;
            if !metadata.is_empty() {
                element.set_metadata(&metadata);
            }
        }
        Ok(list)
    }

    /// Up to these offsets all is committed.
    pub(super) fn note_committed(&self, next: &Positions) {
        self.state().committed.extend(next);
    }

    /// The offset that was committed last of a partition, as far as this member knows.
    pub(super) fn committed(&self, partition: i32) -> Option<i64> {
        self.state().committed.get(&partition).copied()
    }

    pub(super) fn forget_committed(&self, partition: i32) {
        self.state().committed.remove(&partition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_topic_id_is_read_from_the_message_of_librdkafka() {
        let message = "[thrd:main]: Topic visits changed id from AAAAAAAAAAAAAAAAAAAAAA to jz6OVoovQq6Zg1wsTJ434g";
        let id = Some(TopicId("jz6OVoovQq6Zg1wsTJ434g".into()));
        assert_eq!(changed_topic_id(message, "visits"), id);
        assert_eq!(changed_topic_id(message, "sits"), None);
        assert_eq!(changed_topic_id(message, "visits2"), None);
        assert_eq!(changed_topic_id("[thrd:main]: Topic visits [0] Leader 1 Epoch 0", "visits"), None);
    }
}
