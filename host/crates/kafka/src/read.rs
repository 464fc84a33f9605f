//! Reads a topic from its beginning to its end offsets, without a group and without commits.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;

use super::client::{ConnectionContext, KafkaSettings};
use super::groupless;
use super::native::RecordQueue;
use super::setup::Setup;
use super::until::EndOffsets;
use mapper_core::record::{Batch, Positions};
use mapper_core::shutdown::{Halt, Shutdown};

/// Bound the memory of a reader of many records: compressed records of a fetch take many times its size. Values of the user come first.
const BUFFERS: [(&str, &str); 4] = [
    ("queued.min.messages", "2000"),
    ("queued.max.messages.kbytes", "2048"),
    ("max.partition.fetch.bytes", "131072"),
    // The pause of a partition if the buffer is full. The default of one second stalls the reader.
    ("fetch.queue.backoff.ms", "2"),
];

/// A reader of one topic. It keeps the order within each partition.
pub struct TopicReader {
    // Before the consumer, so that Rust drops it first.
    queue: RecordQueue<ConnectionContext>,
    consumer: Arc<BaseConsumer<ConnectionContext>>,
    topic: Arc<str>,
    until: EndOffsets,
    firsts: Positions,
    ends: Positions,
}

impl TopicReader {
    /// Connects, and reads the end offsets of all partitions.
    ///
    /// # Errors
    /// If Kafka does not answer in time, or the topic does not exist.
    pub fn open(settings: &KafkaSettings, topic: &str, within: Duration, shutdown: &Shutdown) -> Result<Self, Halt> {
        Self::open_if_exists(&Setup::connect(settings, within, shutdown)?, topic)?.ok_or_else(|| {
            let brokers = &settings.brokers;
            Halt::configuration(format!("the topic '{topic}' doesn't exist at '{brokers}'; check the name"))
        })
    }

    /// Reads the end offsets of all partitions. `None` if the topic does not exist.
    ///
    /// # Errors
    /// If Kafka does not answer in time.
    pub fn open_if_exists(setup: &Setup, topic: &str) -> Result<Option<Self>, Halt> {
        let ranges = setup.offset_ranges(topic)?;
        if ranges.is_empty() {
            return Ok(None);
        }
        Self::open_ranges(setup.settings(), topic, &ranges).map(Some)
    }

    /// Reads these partitions, each from its first offset up to its end offset.
    ///
    /// # Errors
    /// If librdkafka refuses a property.
    pub fn open_ranges(settings: &KafkaSettings, topic: &str, ranges: &[(i32, i64, i64)]) -> Result<Self, Halt> {
        let until = ranges.iter().map(|(partition, first, end)| (*partition, if first >= end { 0 } else { *end }));
        let until = EndOffsets::new(until.collect());
        let mut config = settings.query_client();
        for (name, value) in BUFFERS {
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        let starts = ranges.iter().map(|(partition, first, _)| (*partition, Offset::Offset(*first)));
        let assigned = groupless::assign(config, topic, starts);
        let (consumer, queue) = assigned.map_err(|error| groupless::unreadable(topic, error))?;
        let firsts = ranges.iter().map(|(partition, first, _)| (*partition, *first)).collect();
        let ends = ranges.iter().map(|(partition, _, end)| (*partition, *end)).collect();
        Ok(Self { queue, consumer, topic: topic.into(), until, firsts, ends })
    }

    /// The first offset of each partition when it was opened.
    pub fn firsts(&self) -> &Positions {
        &self.firsts
    }

    /// The end offset of each partition when it was opened.
    pub fn ends(&self) -> &Positions {
        &self.ends
    }

    /// Adds up to `max_records` records and about `max_bytes` to the batch. Waits only for the first one. Returns false at the end.
    ///
    /// # Errors
    /// If Kafka refuses a read.
    pub fn fetch(
        &mut self,
        batch: &mut Batch,
        max_records: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<bool, Halt> {
        let Self { queue, consumer, topic, until, .. } = self;
        groupless::handle_events(consumer, topic)?;
        let mut refused = Ok(());
        queue.fetch(wait, |fetched| {
            let (partition, offset) = (fetched.partition(), fetched.offset());
            match fetched.error() {
                Some(RDKafkaErrorCode::PartitionEOF) => until.reach(partition, offset),
                Some(code) => refused = groupless::handle_partition_error(topic, partition, code),
                None if until.end(partition).is_none_or(|end| offset >= end) => until.reach(partition, offset),
                None => {
                    let headers = fetched.headers();
                    batch.push((partition, offset), fetched.timestamp_ms(), fetched.key(), fetched.value(), headers);
                    until.reach(partition, offset + 1);
                }
            }
            if refused.is_ok() && !until.all_reached() && batch.len() < max_records && batch.bytes() < max_bytes {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        refused?;
        Ok(!until.all_reached())
    }
}
