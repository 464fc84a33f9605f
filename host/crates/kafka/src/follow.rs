//! Follows a topic from its beginning, without a group and without commits.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;

use super::client::{ConnectionContext, KafkaSettings};
use super::groupless;
use super::native::{QueueWaker, RecordQueue};
use mapper_core::record::{Batch, Positions};
use mapper_core::shutdown::{Cause, Halt};

/// The buffers are those of one of so many workers: 1 MiB, and one more fetch.
const SHARE_OF_BUFFERS: usize = 8;
/// The timeout of a request. The end of the process may wait for it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that reads the offsets of topics, as a reader of committed records sees them.
pub struct TopicOffsets {
    client: BaseConsumer<ConnectionContext>,
    settings: KafkaSettings,
}

/// The offsets of a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicRange {
    pub firsts: Positions,
    /// Before the first open transaction.
    pub ends: Positions,
}

impl TopicOffsets {
    /// Creates the client. It connects later.
    ///
    /// # Errors
    /// If librdkafka refuses a property.
    pub fn new(settings: &KafkaSettings) -> Result<Self, Halt> {
        let client = BaseConsumer::from_config_and_context(&settings.query_client(), ConnectionContext::default());
        let client = client.map_err(|error| Halt::new(Cause::Configuration, error))?;
        Ok(Self { client, settings: KafkaSettings { workers: SHARE_OF_BUFFERS, ..settings.clone() } })
    }

    /// The offsets of all partitions; `None` if the topic does not exist.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub fn read(&self, topic: &str) -> Result<Option<TopicRange>, Halt> {
        let ranges = groupless::offset_ranges(&self.client, topic, REQUEST_TIMEOUT);
        let ranges = ranges.map_err(|error| groupless::unreadable(topic, error))?;
        let mut range = TopicRange::default();
        for (partition, first, end) in (0..).zip(ranges).map(|(partition, (first, end))| (partition, first, end)) {
            range.firsts.insert(partition, first);
            range.ends.insert(partition, end);
        }
        Ok(Some(range).filter(|range| !range.ends.is_empty()))
    }

    /// Follows a topic from these offsets.
    ///
    /// # Errors
    /// If librdkafka refuses a property.
    pub fn follow(&self, topic: &str, firsts: &Positions) -> Result<TopicFollower, Halt> {
        let starts = firsts.iter().map(|(partition, first)| (*partition, Offset::Offset(*first)));
        let assigned = groupless::assign(self.settings.scan_client(), topic, starts);
        let (consumer, queue) = assigned.map_err(|error| groupless::unreadable(topic, error))?;
        Ok(TopicFollower { queue, consumer, topic: topic.into(), next: firsts.clone(), has_gone_back: false })
    }
}

/// A reader of the committed records of a topic, without an end. It keeps the order within each partition.
pub struct TopicFollower {
    // Before the consumer, so that Rust drops it first.
    queue: RecordQueue<ConnectionContext>,
    consumer: Arc<BaseConsumer<ConnectionContext>>,
    topic: Arc<str>,
    next: Positions,
    has_gone_back: bool,
}

/// Ends a wait of a [`TopicFollower`], from any thread.
pub struct FollowerWaker(QueueWaker<ConnectionContext>);

impl FollowerWaker {
    /// Ends the present wait, or else the next one.
    pub fn wake(&self) {
        self.0.wake();
    }
}

impl TopicFollower {
    pub fn waker(&self) -> FollowerWaker {
        FollowerWaker(self.queue.waker())
    }

    /// The offset after the last record, or the end of the partition that was reached.
    pub fn next(&self) -> &Positions {
        &self.next
    }

    /// Whether a partition has begun again at an earlier offset. Its records are others: the topic was created again, or lost its end.
    pub fn has_gone_back(&self) -> bool {
        self.has_gone_back
    }

    /// Whether all records before these offsets were read.
    pub fn has_reached(&self, ends: &Positions) -> bool {
        ends.iter().all(|(partition, end)| self.next.get(partition).is_some_and(|next| next >= end))
    }

    /// Adds up to `max_records` records and about `max_bytes` to the batch. Waits only for the first event.
    ///
    /// # Errors
    /// If Kafka refuses a read.
    pub fn fetch(
        &mut self,
        batch: &mut Batch,
        max_records: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<(), Halt> {
        let Self { queue, consumer, topic, next, has_gone_back } = self;
        groupless::handle_events(consumer, topic)?;
        let mut refused = Ok(());
        queue.fetch(wait, |fetched| {
            let (partition, offset) = (fetched.partition(), fetched.offset());
            let is_before = |end: Option<i64>| end.is_some_and(|end| offset < end);
            match fetched.error() {
                Some(RDKafkaErrorCode::PartitionEOF) => *has_gone_back |= is_before(next.insert(partition, offset)),
                Some(code) => refused = groupless::handle_partition_error(topic, partition, code),
                None => {
                    let headers = fetched.headers();
                    batch.push((partition, offset), fetched.timestamp_ms(), fetched.key(), fetched.value(), headers);
                    *has_gone_back |= is_before(next.insert(partition, offset + 1));
                }
            }
            if refused.is_ok() && batch.len() < max_records && batch.bytes() < max_bytes {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        refused
    }
}
