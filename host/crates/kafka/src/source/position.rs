//! The offsets to read partitions from: after a rebalance, after the topic was recreated, and for an offset out of range.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::KafkaSource;
use super::state::{Assigned, NewTopic, OutOfRangeOffset};
use crate::call_thread::destroy_within;
use crate::client;
use crate::describe::{TopicDescription, describe_topics};
use crate::limits::{COORDINATOR_LIMIT, OFFSETS_LIMIT};
use crate::member::{Rebalance, apply_rebalance, close, is_cooperative, join};
use crate::native::{cached_end_offset, commit_within};
use crate::start::{OutOfRange, Start, choose_start, classify_out_of_range};
use mapper_core::record::Positions;
use mapper_core::shutdown::Halt;
use mapper_core::topics::TopicIdentity;
use mapper_pipeline::contracts::SourceError;

/// The timeout of the request for the partition count of a new topic. Without an answer, the count is unknown.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

impl KafkaSource {
    /// Whether the client reads a recreated topic since the last assignment.
    pub(super) fn check_new_topic(&mut self) -> bool {
        let changes = self.consumer.context().topic_id_changes();
        if changes != self.topic_id_changes && !self.assigned.is_empty() {
            self.topic_id_changes = changes;
            let id = self.consumer.context().topic_id();
            let known = self.member.identity().id;
            self.new_topic =
                id.filter(|id| known.is_some_and(|known| known != *id) && !self.retired.contains(id)).map(|id| {
                    let described = self.describe(DESCRIBE_TIMEOUT).ok().flatten();
                    NewTopic { id, partitions: described.map(|described| described.partitions) }
                });
        }
        self.new_topic.is_some()
    }

    /// Describes the topic; `None` if it does not exist or has no id.
    fn describe(&self, timeout: Duration) -> KafkaResult<Option<TopicDescription>> {
        if !self.input.has_id() {
            return Ok(None);
        }
        let mut described = describe_topics(self.consumer.client(), &[&self.input.topic], timeout)?;
        Ok(described.remove(&*self.input.topic))
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
                    self.assigned.insert(element.partition(), Assigned::new(element.offset()));
                }
                // The client can have the new topic id although the cluster still described the old one.
                self.topic_id_changes = u64::MAX;
            }
            Rebalance::Revoke { partitions, .. } => {
                for partition in partitions.elements().iter().map(|element| element.partition()) {
                    self.assigned.remove(&partition);
                    self.out_of_range.remove(&partition);
                    self.member.remove_committed(partition);
                    // The next owner of the partition reads the uncommitted records again, and then reaches its end.
                    if let Some(until) = &self.input.until {
                        until.reopen(partition);
                    }
                }
            }
        }
        let kind = if matches!(rebalance, Rebalance::Assign(_)) { "assigned" } else { "revoked" };
        tracing::debug!(target: "kafka", partitions = ?self.assigned.keys(), "{kind}");
        self.observer.set_member(is_member);
        self.report_positions(true);
        Ok(())
    }

    /// Adds the start offsets to assigned partitions.
    fn prepare(&mut self, partitions: &TopicPartitionList) -> Result<TopicPartitionList, SourceError> {
        let failed = |error: KafkaError| {
            SourceError::Retriable(anyhow::Error::new(error).context("failed to read the start offsets of partitions"))
        };
        let numbers: Vec<i32> = partitions.elements().iter().map(|element| element.partition()).collect();
        self.route(numbers.iter().copied()).map_err(failed)?;
        if numbers.is_empty() {
            return Ok(partitions.clone());
        }
        let before = self.member.identity();
        let described = self.describe(OFFSETS_LIMIT).map_err(failed)?;
        // The topic can be deleted just now. A later event reports its successor.
        let identity = described.as_ref().map_or_else(|| before.clone(), |described| described.identity.clone());
        let committed =
            client::read_committed(&self.consumer, &self.input.topic, numbers.iter().copied(), OFFSETS_LIMIT)
                .map_err(failed)?;
        let is_new = before.differs_from(&identity);
        let (mut starts, mut recreated) = (Vec::new(), None);
        for partition in numbers {
            let is_new = is_new || self.input.is_added(partition);
            let offset = match choose_start(committed.get(&partition), &identity, is_new) {
                Start::Committed(offset) => Offset::Offset(offset),
                Start::Reset => self.reset.offset().ok_or_else(|| self.nothing_committed(partition))?,
                Start::New => {
                    recreated = recreated.or_else(|| before.differs_from(&identity).then(|| before.clone()));
                    Offset::Beginning
                }
                Start::Recreated(old) => {
                    recreated = Some(old);
                    Offset::Beginning
                }
            };
            starts.push((partition, offset));
        }
        if let Some(old) = recreated {
            if self.input.halts_on_recreation() {
                let nothing = starts.iter().filter(|(partition, _)| !committed.contains_key(partition));
                self.commit_offsets_of_deleted_topic(&nothing.map(|(partition, _)| (*partition, 0)).collect());
            }
            self.input.report_recreated(&old, &identity)?;
            self.restart_until(&identity, described.map_or(0, |described| described.partitions)).map_err(failed)?;
            self.retired.extend(old.id);
        }
        if is_new {
            self.retired.extend(before.id);
        }
        let list = self.partition_list(starts.iter().copied()).map_err(failed)?;
        for (partition, offset) in starts {
            if let Offset::Offset(offset) = offset {
                self.member.record_committed(&Positions::from([(partition, offset)]));
            }
        }
        self.input.set_identity(&identity);
        self.member.set_identity(identity);
        Ok(list)
    }

    fn nothing_committed(&self, partition: i32) -> Halt {
        Halt::kafka(format!(
            "the group '{}' has committed nothing for the topic '{}', partition {partition}, and the property \
             auto.offset.reset=error does not say where to begin. Give earliest or latest, or commit an offset",
            self.settings.group, self.input.topic
        ))
    }

    /// Replaces the end offsets of the run by those of the recreated topic.
    fn restart_until(&self, identity: &TopicIdentity, partitions: i32) -> KafkaResult<()> {
        let (Some(until), Some(id)) = (&self.input.until, &identity.id) else { return Ok(()) };
        if until.is_of_recreated(id) {
            return Ok(());
        }
        let mut ends = Positions::new();
        for partition in 0..partitions {
            let (first, end) = self.consumer.fetch_watermarks(&self.input.topic, partition, OFFSETS_LIMIT)?;
            ends.insert(partition, if first == end { 0 } else { end });
        }
        until.restart(id, ends);
        Ok(())
    }

    /// Joins the group with a new client after the topic was recreated. The old client would compare the leader epochs of both topics
    /// and block for ever if the new epoch is lower. [`Self::prepare`] decides the start offsets.
    pub(super) fn restart(&mut self) -> Result<(), SourceError> {
        let Some(new) = self.new_topic.clone() else { return Ok(()) };
        let old = self.member.identity();
        let identity = TopicIdentity { cluster: old.cluster.clone(), id: Some(new.id) };
        if self.input.halts_on_recreation() {
            let exists = |partition: &i32| new.partitions.is_none_or(|count| *partition < count);
            let assigned = self.assigned.iter().filter(|(partition, _)| exists(partition));
            let mut next: Positions =
                assigned.filter_map(|(partition, at)| Some((*partition, at.position()?))).collect();
            next.extend(
                self.find_uncommitted((0..new.partitions.unwrap_or(0)).filter(|p| !next.contains_key(p)).collect()),
            );
            self.commit_offsets_of_deleted_topic(&next);
        }
        self.input.report_recreated(&old, &identity)?;
        for (partition, assigned) in &self.assigned {
            let end = cached_end_offset(&self.consumer, &self.native_topic, *partition);
            if let (Some(from), Some(to)) = (assigned.position(), end)
                && from < to
            {
                self.input.report_deleted_unread(*partition, from, to);
            }
        }
        let failed = |error: KafkaError| {
            SourceError::Retriable(anyhow::Error::new(error).context("failed to join the group again"))
        };
        let (queue, consumer) = join(&self.settings, &self.input.topic).map_err(failed)?;
        // The old queue is dropped first: it must not outlive its client.
        self.queue = queue;
        let old = std::mem::replace(&mut self.consumer, consumer.clone());
        drop(self.member.replace_consumer(consumer));
        close(&old);
        // In the background, because leaving the group can take some time.
        destroy_within("consumer-close", old, Duration::ZERO);
        self.assigned.clear();
        self.out_of_range.clear();
        self.events.clear();
        (self.new_topic, self.topic_id_changes) = (None, 0);
        self.committed_ends = (Positions::new(), 0);
        self.observer.set_member(false);
        self.report_positions(true);
        Ok(())
    }

    /// The partitions without a committed offset, with offset 0. Their workers can end with this one before they detect the new topic.
    /// The next host would treat such a partition as never read.
    fn find_uncommitted(&self, partitions: Vec<i32>) -> Positions {
        match client::read_committed(&self.consumer, &self.input.topic, partitions.iter().copied(), OFFSETS_LIMIT) {
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
        let offsets = self.member.offsets(&self.input.topic, next);
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
            let range = self.consumer.fetch_watermarks(&self.input.topic, partition, OFFSETS_LIMIT).map_err(failed)?;
            let to = match classify_out_of_range(offset, range, truncated_to) {
                OutOfRange::InRange => offset,
                OutOfRange::Gap(first) => {
                    self.input.report_missed(partition, offset, first)?;
                    first
                }
                OutOfRange::Truncated(to) => {
                    self.input.report_truncated(partition, offset, to)?;
                    if let Some(until) = &self.input.until {
                        until.shorten(partition, range.1);
                    }
                    // Otherwise a rewind after a failure returns to the offset that is out of range.
                    let offsets = self.member.offsets(&self.input.topic, &Positions::from([(partition, to)]));
                    offsets
                        .and_then(|offsets| commit_within(&self.consumer, &offsets, COORDINATOR_LIMIT))
                        .map_err(failed)?;
                    to
                }
            };
            self.resume_at(partition, to).map_err(failed)?;
            self.out_of_range.remove(&partition);
            self.assigned.insert(partition, Assigned::new(Offset::Offset(to)));
            self.member.remove_committed(partition);
        }
        Ok(())
    }

    /// Routes partitions to the record queue. librdkafka removes the route when it stops to fetch a partition, at the latest with the
    /// next assignment. Records that arrive in between stay in the queue of their partition.
    fn route(&self, partitions: impl IntoIterator<Item = i32>) -> KafkaResult<()> {
        partitions.into_iter().try_for_each(|partition| self.queue.route(&self.input.topic, partition))
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
