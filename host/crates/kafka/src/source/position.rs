//! Where the source reads its partitions from: after a rebalance, when the topic was created again, and when an offset is out of
//! range.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::KafkaSource;
use super::state::{Assigned, Displaced, NewTopic};
use crate::call_thread::destroy_within;
use crate::client;
use crate::describe::{Described, describe_topics};
use crate::limits::{COORDINATOR_LIMIT, OFFSETS_LIMIT};
use crate::member::{Rebalance, carry_out, close, is_cooperative, join};
use crate::native::{commit_within, end_heard_of};
use crate::start::{OutOfRange, Start, out_of_range, start};
use mapper_core::record::Positions;
use mapper_core::shutdown::Halt;
use mapper_core::topics::TopicIdentity;
use mapper_pipeline::contracts::SourceError;

/// How long the question may take how many partitions a new topic has; without an answer, all are tried.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

impl KafkaSource {
    /// Whether the client reads another topic of the same name since the last assignment.
    pub(super) fn is_new_topic(&mut self) -> bool {
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

    /// The topic as the cluster describes it; `None` if there is no such topic, or it has no id.
    fn describe(&self, timeout: Duration) -> KafkaResult<Option<Described>> {
        if !self.input.has_id() {
            return Ok(None);
        }
        let mut described = describe_topics(self.consumer.client(), &[&self.input.topic], timeout)?;
        Ok(described.remove(&*self.input.topic))
    }

    pub(super) fn settle_rebalance(&mut self) -> Result<(), SourceError> {
        let Some(rebalance) = self.consumer.context().rebalances().front().cloned() else { return Ok(()) };
        let failed = |error: KafkaError| {
            SourceError::Retriable(anyhow::Error::new(error).context("a rebalance could not be carried out"))
        };
        let rebalance = match rebalance {
            Rebalance::Assign(partitions) => Rebalance::Assign(self.prepare(&partitions)?),
            revoke @ Rebalance::Revoke { .. } => revoke,
        };
        carry_out(&self.consumer, &rebalance).map_err(failed)?;
        self.consumer.context().rebalances().pop_front();
        // Who loses its partitions was put out of the group.
        let is_member = !matches!(rebalance, Rebalance::Revoke { lost: true, .. });
        match &rebalance {
            Rebalance::Assign(partitions) => {
                for element in partitions.elements() {
                    self.assigned.insert(element.partition(), Assigned::new(element.offset()));
                }
                // The client may have heard of a new topic while the cluster still described the old one.
                self.topic_id_changes = u64::MAX;
            }
            Rebalance::Revoke { partitions, .. } => {
                for partition in partitions.elements().iter().map(|element| element.partition()) {
                    self.assigned.remove(&partition);
                    self.out_of_range.remove(&partition);
                    self.member.forget_committed(partition);
                    // What of it was given up is done again by whoever has it next, and who then sees its end.
                    if let Some(until) = &self.input.until {
                        until.unreach(partition);
                    }
                }
            }
        }
        let kind = if matches!(rebalance, Rebalance::Assign(_)) { "assigned" } else { "revoked" };
        tracing::debug!(target: "kafka", partitions = ?self.assigned.keys(), "{kind}");
        self.observer.set_member(is_member);
        self.tell(true);
        Ok(())
    }

    /// These partitions with the offsets to begin at.
    fn prepare(&mut self, partitions: &TopicPartitionList) -> Result<TopicPartitionList, SourceError> {
        let failed = |error: KafkaError| {
            SourceError::Retriable(anyhow::Error::new(error).context("it is not known where to read partitions from"))
        };
        let numbers: Vec<i32> = partitions.elements().iter().map(|element| element.partition()).collect();
        self.route(numbers.iter().copied()).map_err(failed)?;
        if numbers.is_empty() {
            return Ok(partitions.clone());
        }
        let before = self.member.identity();
        let described = self.describe(OFFSETS_LIMIT).map_err(failed)?;
        // A topic that is deleted at this moment is none; what becomes of it shows later.
        let identity = described.as_ref().map_or_else(|| before.clone(), |described| described.identity.clone());
        let committed = client::committed(&self.consumer, &self.input.topic, numbers.iter().copied(), OFFSETS_LIMIT)
            .map_err(failed)?;
        let is_new = before.differs_from(&identity);
        let (mut starts, mut recreated) = (Vec::new(), None);
        for partition in numbers {
            let is_new = is_new || self.input.is_added(partition);
            let offset = match start(committed.get(&partition), &identity, is_new) {
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
                self.leave_offsets(&nothing.map(|(partition, _)| (*partition, 0)).collect());
            }
            self.input.recreated(&old, &identity)?;
            self.restart_until(&identity, described.map_or(0, |described| described.partitions)).map_err(failed)?;
            self.retired.extend(old.id);
        }
        if is_new {
            self.retired.extend(before.id);
        }
        let list = self.partitions(starts.iter().copied()).map_err(failed)?;
        for (partition, offset) in starts {
            if let Offset::Offset(offset) = offset {
                self.member.note_committed(&Positions::from([(partition, offset)]));
            }
        }
        self.input.adopt(&identity);
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

    /// A run that ends by itself ends where the new topic ends now.
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

    /// The topic was created again: joins the group anew, with a client that knows nothing of the old topic. (The old one would
    /// compare the leader epochs of the two, and wait for ever if that of the new topic is lower.) Where it then reads from is
    /// decided when partitions are assigned.
    pub(super) fn restart(&mut self) -> Result<(), SourceError> {
        let Some(new) = self.new_topic.clone() else { return Ok(()) };
        let old = self.member.identity();
        let identity = TopicIdentity { cluster: old.cluster.clone(), id: Some(new.id) };
        if self.input.halts_on_recreation() {
            let exists = |partition: &i32| new.partitions.is_none_or(|count| *partition < count);
            let own = self.assigned.iter().filter(|(partition, _)| exists(partition));
            let mut next: Positions = own.filter_map(|(partition, at)| Some((*partition, at.position()?))).collect();
            next.extend(self.uncommitted((0..new.partitions.unwrap_or(0)).filter(|p| !next.contains_key(p)).collect()));
            self.leave_offsets(&next);
        }
        self.input.recreated(&old, &identity)?;
        for (partition, assigned) in &self.assigned {
            let end = end_heard_of(&self.consumer, &self.native_topic, *partition);
            if let (Some(from), Some(to)) = (assigned.position(), end)
                && from < to
            {
                self.input.deleted_unread(*partition, from, to);
            }
        }
        let failed = |error: KafkaError| {
            SourceError::Retriable(anyhow::Error::new(error).context("could not join the group anew"))
        };
        let (queue, consumer) = join(&self.settings, &self.input.topic).map_err(failed)?;
        // In this order: a queue must not outlive its client.
        self.queue = queue;
        let old = std::mem::replace(&mut self.consumer, consumer.clone());
        drop(self.member.replace_consumer(consumer));
        close(&old);
        // Leaving the group may take a while: nobody waits for it.
        destroy_within("consumer-close", old, Duration::ZERO);
        self.assigned.clear();
        self.out_of_range.clear();
        self.events.clear();
        (self.new_topic, self.topic_id_changes) = (None, 0);
        self.committed_ends = (Positions::new(), 0);
        self.observer.set_member(false);
        self.tell(true);
        Ok(())
    }

    /// Those of these partitions without a committed offset, from their beginning. Their workers may end, because this one does,
    /// before they see that the topic is another one; the next host would take such a partition for one that was never read.
    fn uncommitted(&self, partitions: Vec<i32>) -> Positions {
        match client::committed(&self.consumer, &self.input.topic, partitions.iter().copied(), OFFSETS_LIMIT) {
            Ok(committed) => partitions.into_iter().filter(|p| !committed.contains_key(p)).map(|p| (p, 0)).collect(),
            Err(error) => {
                tracing::warn!(target: "kafka", %error, "could not ask for the offsets of the other partitions");
                Positions::new()
            }
        }
    }

    /// Commits offsets of the deleted topic, so that every host of the group finds that its offsets belong to a
    /// deleted topic, however often it is started. The broker has forgotten them with the topic.
    fn leave_offsets(&self, next: &Positions) {
        let offsets = self.member.offsets(&self.input.topic, next);
        if let Err(error) = offsets.and_then(|offsets| commit_within(&self.consumer, &offsets, COORDINATOR_LIMIT)) {
            tracing::warn!(target: "kafka", %error, "the offsets of the deleted topic could not be committed");
        }
    }

    /// Looks where the partitions begin and end that do not have the next offset, and goes on where there are records.
    pub(super) fn settle_out_of_range(&mut self) -> Result<(), SourceError> {
        let failed = |error: KafkaError| {
            SourceError::Retriable(anyhow::Error::new(error).context("could not go on from an offset out of range"))
        };
        for (partition, Displaced { offset, truncated_to }) in self.out_of_range.clone() {
            let range = self.consumer.fetch_watermarks(&self.input.topic, partition, OFFSETS_LIMIT).map_err(failed)?;
            let to = match out_of_range(offset, range, truncated_to) {
                OutOfRange::InRange => offset,
                OutOfRange::Gap(first) => {
                    self.input.missed(partition, offset, first)?;
                    first
                }
                OutOfRange::Shorter(to) => {
                    self.input.shortened(partition, offset, to)?;
                    if let Some(until) = &self.input.until {
                        until.shorten(partition, range.1);
                    }
                    // Or going back after a failure would lead to the offset that is out of range.
                    let offsets = self.member.offsets(&self.input.topic, &Positions::from([(partition, to)]));
                    offsets
                        .and_then(|offsets| commit_within(&self.consumer, &offsets, COORDINATOR_LIMIT))
                        .map_err(failed)?;
                    to
                }
            };
            self.go_on_at(partition, to).map_err(failed)?;
            self.out_of_range.remove(&partition);
            self.assigned.insert(partition, Assigned::new(Offset::Offset(to)));
            self.member.forget_committed(partition);
        }
        Ok(())
    }

    /// Sends the records of partitions to our queue. librdkafka undoes that when it stops to fetch them, which it has done when the
    /// answer to the next assignment is there; records that came meanwhile wait in the queue of their partition.
    fn route(&self, partitions: impl IntoIterator<Item = i32>) -> KafkaResult<()> {
        partitions.into_iter().try_for_each(|partition| self.queue.route(&self.input.topic, partition))
    }

    /// Assigns a partition again: librdkafka cannot seek in one whose offset is out of range.
    fn go_on_at(&self, partition: i32, offset: i64) -> KafkaResult<()> {
        let at = self.partitions([(partition, Offset::Offset(offset))].into_iter())?;
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
        let all = self.partitions(all)?;
        self.consumer.unassign()?;
        self.consumer.assign(&all)?;
        self.route(self.assigned.keys().copied())
    }
}
