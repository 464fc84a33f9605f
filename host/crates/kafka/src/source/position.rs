//! The offsets to read partitions from: after a rebalance, after the topic was recreated, and for an offset out of range.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::KafkaSource;
use super::state::{Assigned, Gap, NewTopic, OutOfRangeOffset};
use crate::call_thread::destroy_within;
use crate::client;
use crate::describe::{TopicDescription, describe_topics};
use crate::limits::{COORDINATOR_LIMIT, OFFSETS_LIMIT};
use crate::member::{Rebalance, apply_rebalance, close, is_cooperative, join};
use crate::native::commit_within;
use crate::start::{CommittedOffset, OutOfRange, Start, choose_start, classify_out_of_range};
use mapper_core::record::Positions;
use mapper_core::shutdown::Halt;
use mapper_core::topics::{TopicId, TopicIdentity};
use mapper_pipeline::contracts::{CommittedRange, SourceError};

/// The timeout of the request for the partition count of a new topic. Without an answer, the count is unknown.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

impl KafkaSource {
    /// Whether the client reads a recreated topic since the last assignment.
    pub(super) fn check_new_topic(&mut self) -> bool {
        let changes = self.consumer.context().topic_id_changes();
        if changes != self.topic_id_changes && !self.assigned.is_empty() {
            self.topic_id_changes = changes;
            let changed = self.consumer.context().topic_ids().into_iter();
            self.new_topic = changed.filter_map(|(name, id)| self.find_recreated(&name, id)).next();
        }
        self.new_topic.is_some()
    }

    /// The new topic of this name, if it has another id than the one that this worker reads.
    fn find_recreated(&self, name: &str, id: TopicId) -> Option<NewTopic> {
        let topic = self.topics.find(name)?;
        let is_assigned = self.assigned.range(self.topics.numbers(topic)).next().is_some();
        let is_new = self.identity(topic).id.is_some_and(|known| known != id) && !self.retired.contains(&id);
        (is_assigned && is_new).then(|| {
            let described = self.describe(&[name], DESCRIBE_TIMEOUT).ok().and_then(|mut all| all.remove(name));
            NewTopic { topic, id, partitions: described.map(|described| described.partitions) }
        })
    }

    /// Describes topics; a topic that does not exist is missing, and so are all if the brokers have no topic ids.
    fn describe(&self, topics: &[&str], timeout: Duration) -> KafkaResult<BTreeMap<String, TopicDescription>> {
        if !self.input.has_ids {
            return Ok(BTreeMap::new());
        }
        describe_topics(self.consumer.client(), topics, timeout)
    }

    pub(super) fn settle_rebalance(&mut self) -> Result<(), SourceError> {
        let Some(rebalance) = self.consumer.context().rebalances().front().cloned() else { return Ok(()) };
        let failed = |error: KafkaError| {
            SourceError::Retriable(anyhow::Error::new(error).context("failed to apply a rebalance"))
        };
        let rebalance = match rebalance {
            Rebalance::Assign(partitions) => Rebalance::Assign(self.prepare(&partitions)?),
            revoke @ Rebalance::Revoke { .. } => revoke,
        };
        apply_rebalance(&self.consumer, &rebalance).map_err(failed)?;
        self.consumer.context().rebalances().pop_front();
        // A member that lost its partitions is not in the group any more.
        let is_member = !matches!(rebalance, Rebalance::Revoke { lost: true, .. });
        match &rebalance {
            Rebalance::Assign(partitions) => {
                for element in partitions.elements() {
                    if let Some(number) = self.number(element.topic(), element.partition()) {
                        self.assigned.insert(number, Assigned::new(element.offset()));
                    }
                }
                // The client can have the new topic id although the cluster still described the old one.
                self.topic_id_changes = u64::MAX;
            }
            Rebalance::Revoke { partitions, .. } => {
                let elements = partitions.elements();
                let numbers = elements.iter().filter_map(|at| self.number(at.topic(), at.partition()));
                for partition in numbers.collect::<Vec<_>>() {
                    self.assigned.remove(&partition);
                    self.out_of_range.remove(&partition);
                    self.gaps.remove(&partition);
                    self.member.remove_committed(partition);
                    // The next owner of the partition reads the uncommitted records again, and then reaches its end.
                    if let Some(until) = &self.input.until {
                        until.reopen(partition);
                    }
                }
            }
        }
        let kind = if matches!(rebalance, Rebalance::Assign(_)) { "assigned" } else { "revoked" };
        let assigned = self.assigned.keys().map(|number| self.topic_partition(*number));
        tracing::debug!(target: "kafka", partitions = ?assigned.collect::<Vec<_>>(), "{kind}");
        self.observer.set_member(is_member);
        self.report_positions(true);
        Ok(())
    }

    /// Adds the start offsets to assigned partitions.
    fn prepare(&mut self, partitions: &TopicPartitionList) -> Result<TopicPartitionList, SourceError> {
        let failed = |error: KafkaError| {
            SourceError::Retriable(anyhow::Error::new(error).context("failed to read the start offsets of partitions"))
        };
        let numbers = self.register(partitions)?;
        self.route(numbers.iter().copied()).map_err(failed)?;
        if numbers.is_empty() {
            return Ok(partitions.clone());
        }
        let topics: BTreeSet<usize> = numbers.iter().map(|number| self.topics.index(*number)).collect();
        let names: Vec<&str> = topics.iter().map(|topic| &*self.topics.all()[*topic]).collect();
        let described = self.describe(&names, OFFSETS_LIMIT).map_err(failed)?;
        let committed = client::read_committed(&self.consumer, &self.topics, numbers.iter().copied(), OFFSETS_LIMIT)
            .map_err(failed)?;
        let mut starts = Vec::new();
        for topic in topics {
            let of_topic = self.topics.numbers(topic);
            let numbers: Vec<i32> = numbers.iter().copied().filter(|number| of_topic.contains(number)).collect();
            let described = described.get(&*self.topics.all()[topic]);
            starts.extend(self.prepare_topic(topic, &numbers, described, &committed)?);
        }
        let list = self.partition_list(starts.iter().copied()).map_err(failed)?;
        for (partition, offset) in starts {
            if let Offset::Offset(offset) = offset {
                self.member.record_committed(&Positions::from([(partition, offset)]));
            }
        }
        Ok(list)
    }

    /// The start offsets of assigned partitions of one topic.
    fn prepare_topic(
        &mut self,
        topic: usize,
        numbers: &[i32],
        described: Option<&TopicDescription>,
        committed: &BTreeMap<i32, CommittedOffset>,
    ) -> Result<Vec<(i32, Offset)>, SourceError> {
        let before = self.identity(topic);
        // The topic can be deleted just now. A later event reports its successor.
        let identity = described.map_or_else(|| before.clone(), |described| described.identity.clone());
        let is_new = before.differs_from(&identity);
        let (mut starts, mut recreated) = (Vec::new(), None);
        for number in numbers.iter().copied() {
            let is_new = is_new || self.input.is_added(topic, self.topics.partition(number));
            let offset = match choose_start(committed.get(&number), &identity, is_new) {
                Start::Committed(offset) => Offset::Offset(offset),
                Start::Reset => self.reset.offset().ok_or_else(|| self.nothing_committed(number))?,
                Start::New => {
                    recreated = recreated.or_else(|| before.differs_from(&identity).then(|| before.clone()));
                    Offset::Beginning
                }
                Start::Recreated(old) => {
                    recreated = Some(old);
                    Offset::Beginning
                }
            };
            starts.push((number, offset));
        }
        if let Some(old) = recreated {
            if self.input.halts_on_recreation() {
                let nothing = starts.iter().filter(|(partition, _)| !committed.contains_key(partition));
                self.commit_offsets_of_deleted_topic(&nothing.map(|(partition, _)| (*partition, 0)).collect());
            }
            self.input.report_recreated(topic, &old, &identity)?;
            self.restart_until(topic, &identity, described.map_or(0, |described| described.partitions)).map_err(
                |error| {
                    let error =
                        anyhow::Error::new(error).context("failed to read the end offsets of the recreated topic");
                    SourceError::Retriable(error)
                },
            )?;
            self.retired.extend(old.id);
        }
        if is_new {
            self.retired.extend(before.id);
        }
        self.input.set_identity(topic, &identity);
        self.member.set_identity(topic, identity);
        Ok(starts)
    }

    fn nothing_committed(&self, number: i32) -> Halt {
        let (topic, partition) = self.topic_partition(number);
        Halt::kafka(format!(
            "the group '{}' has committed nothing for the topic '{topic}', partition {partition}, and the property \
             auto.offset.reset=error does not say where to begin. Give earliest or latest, or commit an offset",
            self.settings.group
        ))
    }

    /// Replaces the end offsets of the run by those of the recreated topic.
    fn restart_until(&self, topic: usize, identity: &TopicIdentity, partitions: i32) -> KafkaResult<()> {
        let (Some(until), Some(id)) = (&self.input.until, &identity.id) else { return Ok(()) };
        if until.is_of_recreated(id) {
            return Ok(());
        }
        let mut ends = Positions::new();
        for number in (0..partitions).filter_map(|partition| self.topics.number(topic, partition)) {
            let (first, end) = self.fetch_range(number)?;
            ends.insert(number, if first == end { 0 } else { end });
        }
        until.restart(id, &self.topics.numbers(topic), ends);
        Ok(())
    }

    /// Joins the group with a new client after the topic was recreated. The old client would compare the leader epochs of both topics
    /// and block for ever if the new epoch is lower. [`Self::prepare`] decides the start offsets.
    pub(super) fn restart(&mut self) -> Result<(), SourceError> {
        let Some(new) = self.new_topic.clone() else { return Ok(()) };
        let old = self.identity(new.topic);
        let identity = TopicIdentity { cluster: old.cluster.clone(), id: Some(new.id) };
        let numbers = self.topics.numbers(new.topic);
        if self.input.halts_on_recreation() {
            let missing = self.missing_partitions();
            let assigned = self.assigned.range(numbers.clone()).filter(|(number, _)| !missing.contains(number));
            let mut next: Positions =
                assigned.filter_map(|(partition, at)| Some((*partition, at.position()?))).collect();
            let others = (0..new.partitions.unwrap_or(0)).filter_map(|p| self.topics.number(new.topic, p));
            next.extend(self.find_uncommitted(others.filter(|number| !next.contains_key(number)).collect()));
            self.commit_offsets_of_deleted_topic(&next);
        }
        self.input.report_recreated(new.topic, &old, &identity)?;
        for (number, assigned) in self.assigned.range(numbers) {
            if let (Some(from), Some(to)) = (assigned.position(), self.cached_end(*number))
                && from < to
            {
                self.input.report_deleted_unread(self.topic_partition(*number), from, to);
            }
        }
        let failed = |error: KafkaError| {
            SourceError::Retriable(anyhow::Error::new(error).context("failed to join the group again"))
        };
        let (queue, consumer) = join(&self.settings, &self.input.topics).map_err(failed)?;
        // The old queue is dropped first: it must not outlive its client.
        self.queue = queue;
        let old = std::mem::replace(&mut self.consumer, consumer.clone());
        drop(self.member.replace_consumer(consumer));
        close(&old);
        // In the background, because leaving the group can take some time.
        destroy_within("consumer-close", old, Duration::ZERO);
        self.assigned.clear();
        self.out_of_range.clear();
        self.gaps.clear();
        self.events.clear();
        (self.new_topic, self.topic_id_changes) = (None, 0);
        self.observer.set_member(false);
        self.report_positions(true);
        Ok(())
    }

    /// The partitions without a committed offset, with offset 0. Their workers can end with this one before they detect the new topic.
    /// The next host would treat such a partition as never read.
    fn find_uncommitted(&self, partitions: Vec<i32>) -> Positions {
        match client::read_committed(&self.consumer, &self.topics, partitions.iter().copied(), OFFSETS_LIMIT) {
            Ok(committed) => partitions.into_iter().filter(|p| !committed.contains_key(p)).map(|p| (p, 0)).collect(),
            Err(error) => {
                tracing::warn!(target: "kafka", %error, "failed to read the committed offsets of the other partitions");
                Positions::new()
            }
        }
    }

    /// Commits offsets for the deleted topic, because the broker has deleted them with the topic. So each later start of a host detects
    /// that its offsets belong to a deleted topic.
    fn commit_offsets_of_deleted_topic(&self, next: &Positions) {
        let offsets = self.member.offsets(&self.topics, next);
        if let Err(error) = offsets.and_then(|offsets| commit_within(&self.consumer, &offsets, COORDINATOR_LIMIT)) {
            tracing::warn!(target: "kafka", %error, "failed to commit the offsets of the deleted topic");
        }
    }

    /// Reads the offset range of each partition whose next offset is out of range, and continues within it.
    pub(super) fn settle_out_of_range(&mut self) -> Result<(), SourceError> {
        let failed = |error: KafkaError| {
            SourceError::Retriable(anyhow::Error::new(error).context("failed to continue from an offset out of range"))
        };
        for (partition, OutOfRangeOffset { offset, truncated_to }) in self.out_of_range.clone() {
            let range = self.fetch_range(partition).map_err(failed)?;
            let to = match classify_out_of_range(offset, range, truncated_to) {
                OutOfRange::InRange => offset,
                OutOfRange::Gap(first) => {
                    self.input.report_missed(self.topic_partition(partition), offset, first)?;
                    self.gaps.insert(partition, Gap { missed: offset..first, truncated_to: None });
                    first
                }
                OutOfRange::Truncated(to) => {
                    self.input.report_truncated(self.topic_partition(partition), offset, to)?;
                    if let Some(until) = &self.input.until {
                        until.shorten(partition, range.1);
                    }
                    // Otherwise a rewind after a failure returns to the offset that is out of range.
                    let offsets = self.member.offsets(&self.topics, &Positions::from([(partition, to)]));
                    offsets
                        .and_then(|offsets| commit_within(&self.consumer, &offsets, COORDINATOR_LIMIT))
                        .map_err(failed)?;
                    self.member.record_committed(&Positions::from([(partition, to)]));
                    self.gaps.insert(partition, Gap { missed: 0..0, truncated_to: Some(to) });
                    to
                }
            };
            self.resume_at(partition, to).map_err(failed)?;
            self.out_of_range.remove(&partition);
            self.assigned.insert(partition, Assigned::new(Offset::Offset(to)));
        }
        Ok(())
    }

    /// What is committed of a partition, and the offsets that were not read.
    pub(super) fn describe_committed(&self, partition: i32) -> CommittedRange {
        let committed = self.member.committed(partition);
        let Gap { missed, truncated_to } = self.gaps.get(&partition).cloned().unwrap_or_default();
        CommittedRange {
            committed,
            is_truncated: committed.is_some() && committed == truncated_to,
            missed,
            topic_id: self.member.identity(self.topics.index(partition)).and_then(|identity| identity.id),
        }
    }

    /// Routes partitions to the record queue. librdkafka removes the route when it stops to fetch a partition, at the latest with the
    /// next assignment. Records that arrive in between stay in the queue of their partition.
    fn route(&self, partitions: impl IntoIterator<Item = i32>) -> KafkaResult<()> {
        partitions.into_iter().try_for_each(|number| {
            let (topic, partition) = self.topic_partition(number);
            self.queue.route(topic, partition)
        })
    }

    /// The first and the end offset of a partition.
    fn fetch_range(&self, number: i32) -> KafkaResult<(i64, i64)> {
        let (topic, partition) = self.topic_partition(number);
        self.consumer.fetch_watermarks(topic, partition, OFFSETS_LIMIT)
    }

    /// Assigns a partition again. librdkafka cannot seek in a partition whose offset is out of range.
    fn resume_at(&self, partition: i32, offset: i64) -> KafkaResult<()> {
        let at = self.partition_list([(partition, Offset::Offset(offset))].into_iter())?;
        if is_cooperative(&self.consumer) {
            self.consumer.incremental_unassign(&at)?;
            self.consumer.incremental_assign(&at)?;
            return self.route([partition]);
        }
        let all = self.assigned.iter().map(|(number, assigned)| match assigned.position() {
            _ if *number == partition => (*number, Offset::Offset(offset)),
            Some(position) => (*number, Offset::Offset(position)),
            None => (*number, assigned.start),
        });
        let all = self.partition_list(all)?;
        self.consumer.unassign()?;
        self.consumer.assign(&all)?;
        self.route(self.assigned.keys().copied())
    }
}
