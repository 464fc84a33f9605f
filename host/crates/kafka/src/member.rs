//! A member of the consumer group: its client, and the events of its callbacks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use super::client::{self, KafkaSettings};
use super::native::RecordQueue;
use super::native::membership::GroupMembership;
use mapper_core::input_topics::{INTERNAL_TOPICS, InputTopics};
use mapper_core::record::Positions;
use mapper_core::topic_table::TopicNames;
use mapper_core::topics::{TopicId, TopicIdentity};

pub type GroupConsumer = BaseConsumer<GroupContext>;

#[derive(Clone)]
pub(super) enum Rebalance {
    Assign(TopicPartitionList),
    Revoke { partitions: TopicPartitionList, lost: bool },
}

/// Queues rebalances until the pipeline applies them, and tracks the id of the topic that the client fetches.
pub struct GroupContext {
    rebalances: Mutex<VecDeque<Rebalance>>,
    closing: AtomicBool,
    /// Whether the group has answered with an assignment, even an empty one.
    has_joined: AtomicBool,
    /// The ids of the topics that the client fetches, as far as the client has reported a change.
    topic_ids: Mutex<BTreeMap<String, TopicId>>,
    /// The number of changes of `topic_ids`. The record path checks it without a lock.
    topic_id_changes: AtomicU64,
    /// Whether the user enabled the debug messages of librdkafka.
    shows_debug: bool,
    log_span: client::LogSpan,
}

impl GroupContext {
    pub(super) fn new(shows_debug: bool) -> Self {
        Self {
            rebalances: Mutex::default(),
            closing: AtomicBool::new(false),
            has_joined: AtomicBool::new(false),
            topic_ids: Mutex::default(),
            topic_id_changes: AtomicU64::new(0),
            shows_debug,
            log_span: client::LogSpan::default(),
        }
    }

    pub(super) fn rebalances(&self) -> MutexGuard<'_, VecDeque<Rebalance>> {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the group has given this client partitions, be it none.
    pub(super) fn has_joined(&self) -> bool {
        self.has_joined.load(Ordering::Relaxed)
    }

    /// The number of changes to a recreated topic. It changes before the client returns a record of the new topic.
    pub(super) fn topic_id_changes(&self) -> u64 {
        self.topic_id_changes.load(Ordering::Acquire)
    }

    /// The topics that the client fetches and whose id has changed, each with its id.
    pub(super) fn topic_ids(&self) -> BTreeMap<String, TopicId> {
        self.topic_ids.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "METADATA"
            && let Some((topic, id)) = parse_changed_topic_id(message)
        {
            self.topic_ids.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned(), id);
            self.topic_id_changes.fetch_add(1, Ordering::Release);
        }
        if self.shows_debug || !matches!(level, RDKafkaLogLevel::Debug) {
            self.log_span.log(level, facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log_span.log_error(&error, reason);
    }
}

/// Parses the topic and its new id in a debug message of librdkafka. librdkafka has no call for it, and continues at the old offset
/// (`rd_kafka_topic_metadata_update`). It logs the change before it fetches by the new id. So the message is in the event queue
/// before a record of the new topic is in a record queue.
fn parse_changed_topic_id(message: &str) -> Option<(&str, TopicId)> {
    // "[thrd:main]: Topic visits changed id from REm6l2J9TL+1OtDPaltrPQ to jz6OVoovQq6Zg1wsTJ434g"
    let (before, ids) = message.rsplit_once(" changed id from ")?;
    let (before, topic) = before.rsplit_once(' ')?;
    let (_, new) = ids.split_once(" to ")?;
    before.ends_with("Topic").then(|| (topic, TopicId(new.trim().into())))
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
        } else if let Err(error) = apply_rebalance(consumer, &rebalance) {
            // The consumer is closing. The group removes it after the session timeout.
            tracing::debug!(%error, "failed to apply a rebalance during the close");
        }
    }
}

/// Joins the group.
pub(super) fn join(
    settings: &KafkaSettings,
    topics: &InputTopics,
) -> KafkaResult<(RecordQueue<GroupContext>, Arc<GroupConsumer>)> {
    let context = GroupContext::new(settings.shows_debug());
    let mut config = settings.consumer();
    let subscription: Vec<&str> = match topics {
        InputTopics::Names(names) => names.iter().map(String::as_str).collect(),
        InputTopics::Pattern(pattern) => {
            exclude_internal_topics(&mut config);
            vec![pattern.as_str()]
        }
    };
    let consumer = Arc::new(GroupConsumer::from_config_and_context(&config, context)?);
    consumer.subscribe(&subscription)?;
    Ok((RecordQueue::new(consumer.clone()), consumer))
}

/// The pattern of librdkafka would match them.
fn exclude_internal_topics(config: &mut ClientConfig) {
    let internal = INTERNAL_TOPICS.iter().map(|topic| format!("^{topic}$"));
    let excluded: Vec<String> = config.get("topic.blacklist").map(str::to_owned).into_iter().chain(internal).collect();
    config.set("topic.blacklist", excluded.join(","));
}

pub(super) fn apply_rebalance(consumer: &GroupConsumer, rebalance: &Rebalance) -> KafkaResult<()> {
    match rebalance {
        Rebalance::Assign(partitions) if is_cooperative(consumer) => consumer.incremental_assign(partitions),
        Rebalance::Assign(partitions) => consumer.assign(partitions),
        Rebalance::Revoke { partitions, .. } if is_cooperative(consumer) => consumer.incremental_unassign(partitions),
        Rebalance::Revoke { .. } => consumer.unassign(),
    }
}

/// Whether a rebalance changes single partitions (cooperative protocol).
pub(super) fn is_cooperative(consumer: &GroupConsumer) -> bool {
    matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
}

/// Applies all rebalances at once from now on, because the pipeline has ended.
pub(super) fn close(consumer: &GroupConsumer) {
    consumer.context().closing.store(true, Ordering::Relaxed);
    // A pending rebalance blocks the consumer from leaving the group.
    for rebalance in consumer.context().rebalances().drain(..) {
        let _ = apply_rebalance(consumer, &rebalance);
    }
}

/// The group membership of a worker. The source reads with it, and the sink commits with it.
#[derive(Clone)]
pub struct Member(Arc<Mutex<State>>);

struct State {
    consumer: Arc<GroupConsumer>,
    /// The identity of the topic of the committed offsets, by the index of the topic.
    identities: BTreeMap<usize, TopicIdentity>,
    /// The offsets that this member committed.
    committed: Positions,
}

impl Member {
    pub(super) fn new(consumer: Arc<GroupConsumer>) -> Self {
        Self(Arc::new(Mutex::new(State { consumer, identities: BTreeMap::new(), committed: Positions::new() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current consumer. A recreated topic replaces it.
    pub fn consumer(&self) -> Arc<GroupConsumer> {
        self.state().consumer.clone()
    }

    /// The membership for a commit in a transaction, of this moment: it has the group generation, which fences a zombie. `None` without
    /// a member id or a generation. Kafka takes a commit that has neither without a check.
    pub(super) fn group_metadata(&self) -> Option<ConsumerGroupMetadata> {
        let consumer = self.consumer();
        let before = GroupMembership::of(&*consumer)?;
        let metadata = consumer.group_metadata()?;
        // A member that was lost in between has another generation if it joined again, so the metadata is that of the same membership.
        (GroupMembership::of(&*consumer)? == before).then_some(metadata)
    }

    /// Replaces the consumer and returns the old one.
    pub(super) fn replace_consumer(&self, consumer: Arc<GroupConsumer>) -> Arc<GroupConsumer> {
        let mut state = self.state();
        state.committed.clear();
        std::mem::replace(&mut state.consumer, consumer)
    }

    /// The identity of the topic of the committed offsets; `None` until a partition of the topic is assigned.
    pub(super) fn identity(&self, topic: usize) -> Option<TopicIdentity> {
        self.state().identities.get(&topic).cloned()
    }

    pub(super) fn set_identity(&self, topic: usize, identity: TopicIdentity) {
        self.state().identities.insert(topic, identity);
    }

    /// The offsets for a commit, with the topic identity as metadata.
    pub(super) fn offsets(&self, topics: &TopicNames, next: &Positions) -> KafkaResult<TopicPartitionList> {
        let state = self.state();
        let mut list = TopicPartitionList::new();
        for (number, offset) in next {
            let mut element = list.add_partition(topics.topic(*number), topics.partition(*number));
            element.set_offset(Offset::Offset(*offset))?;
            let identity = state.identities.get(&topics.index(*number));
            let metadata = identity.map(TopicIdentity::to_offset_metadata).unwrap_or_default();
            if !metadata.is_empty() {
                element.set_metadata(&metadata);
            }
        }
        Ok(list)
    }

    pub(super) fn record_committed(&self, next: &Positions) {
        self.state().committed.extend(next);
    }

    /// The last offset that this member committed for a partition.
    pub(super) fn committed(&self, partition: i32) -> Option<i64> {
        self.state().committed.get(&partition).copied()
    }

    pub(super) fn remove_committed(&self, partition: i32) {
        self.state().committed.remove(&partition);
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;

    use super::*;

    /// librdkafka hands out metadata of no member and no generation, with which Kafka takes a commit without a check.
    #[test]
    fn consumer_outside_of_the_group_has_no_metadata_for_a_commit() {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", "127.0.0.1:1").set("group.id", "g");
        let context = GroupContext::new(false);
        let consumer = Arc::new(GroupConsumer::from_config_and_context(&config, context).unwrap());
        assert!(consumer.group_metadata().is_some());
        assert!(Member::new(consumer).group_metadata().is_none());
    }

    #[test]
    fn changed_topic_id_is_read_from_the_message_of_librdkafka() {
        let message = "[thrd:main]: Topic visits changed id from AAAAAAAAAAAAAAAAAAAAAA to jz6OVoovQq6Zg1wsTJ434g";
        let id = TopicId("jz6OVoovQq6Zg1wsTJ434g".into());
        assert_eq!(parse_changed_topic_id(message), Some(("visits", id)));
        assert_eq!(parse_changed_topic_id("[thrd:main]: Topic visits [0] Leader 1 Epoch 0"), None);
        assert_eq!(parse_changed_topic_id("[thrd:main]: Broker b changed id from 1 to 2"), None);
    }
}
