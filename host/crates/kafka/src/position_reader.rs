//! Reads records at known positions of a topic, with one client for all of them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::{ConnectionContext, KafkaSettings};
use super::groupless;
use super::native::RecordQueue;
use mapper_core::record::Batch;
use mapper_core::shutdown::{Halt, Shutdown};

/// The client fetches more than the records. Values of the user come first.
const PROPERTIES: [(&str, &str); 5] = [
    ("queued.min.messages", "1000"),
    ("queued.max.messages.kbytes", "1024"),
    ("max.partition.fetch.bytes", "131072"),
    // A request at the end of a partition delays the next one to the same broker.
    ("fetch.wait.max.ms", "10"),
    // The pause of a partition if the buffer is full. It is longer than most reads by default.
    ("fetch.queue.backoff.ms", "2"),
];
/// Records between two positions are read, too, if there are at most so many. That takes less time than another request.
const MAX_GAP: i64 = 500;
const WAIT: Duration = Duration::from_millis(100);

/// A reader of records of a topic. It joins no group.
pub struct PositionReader {
    settings: KafkaSettings,
    topic: String,
    /// `None` before the first read, and after one that failed.
    consumer: Option<Arc<BaseConsumer<ConnectionContext>>>,
}

impl PositionReader {
    /// A reader that connects for its first record.
    pub fn new(settings: &KafkaSettings, topic: &str) -> Self {
        Self { settings: settings.clone(), topic: topic.to_owned(), consumer: None }
    }

    /// Adds the records at these partitions and offsets to the batch, in this order, until it has about `max_bytes`. The positions must be
    /// sorted, and before the ends of their partitions. A record that was removed is missing.
    ///
    /// # Errors
    /// If Kafka refuses a read or does not answer within this time, or `cancel` is requested.
    pub fn read(
        &mut self,
        positions: &[(i32, i64)],
        batch: &mut Batch,
        max_bytes: usize,
        (within, cancel): (Duration, &Shutdown),
    ) -> Result<(), Halt> {
        let deadline = Instant::now() + within;
        let consumer = match self.consumer.take() {
            Some(consumer) => consumer,
            None => self.connect()?,
        };
        for run in positions.chunk_by(|(one, before), (other, after)| one == other && after - before <= MAX_GAP) {
            if batch.bytes() >= max_bytes && !batch.is_empty() {
                break;
            }
            self.read_run(&consumer, run, batch, max_bytes, &|| Instant::now() >= deadline || cancel.requested())?;
        }
        consumer.unassign().map_err(|error| groupless::unreadable(&self.topic, error))?;
        self.consumer = Some(consumer);
        Ok(())
    }

    fn connect(&self) -> Result<Arc<BaseConsumer<ConnectionContext>>, Halt> {
        let mut config = self.settings.query_client();
        for (name, value) in PROPERTIES {
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        groupless::consumer(config).map_err(|error| groupless::unreadable(&self.topic, error))
    }

    /// Replaces the assignment. librdkafka drops the records of the one before.
    fn assign(&self, consumer: &BaseConsumer<ConnectionContext>, partition: i32, offset: i64) -> KafkaResult<()> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, Offset::Offset(offset))?;
        consumer.assign(&list)
    }

    /// Reads positions of a partition that are near to each other.
    fn read_run(
        &self,
        consumer: &Arc<BaseConsumer<ConnectionContext>>,
        run: &[(i32, i64)],
        batch: &mut Batch,
        max_bytes: usize,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), Halt> {
        let topic = self.topic.as_str();
        let (Some((partition, first)), Some((_, last))) = (run.first(), run.last()) else { return Ok(()) };
        let mut queue = RecordQueue::of_client(consumer).expect("a client with a group has a queue");
        self.assign(consumer, *partition, *first).map_err(|error| groupless::unreadable(topic, error))?;
        let mut is_read = false;
        while !is_read {
            if is_over() {
                return Err(Halt::kafka(format!(
                    "the record {topic}/{partition}@{first} could not be read in time. Try again"
                )));
            }
            let mut refused = Ok(());
            queue.fetch(WAIT, |fetched| {
                match fetched.error() {
                    Some(RDKafkaErrorCode::PartitionEOF) => is_read = true,
                    Some(code) => refused = groupless::handle_partition_error(topic, *partition, code),
                    None if fetched.partition() != *partition => {}
                    None => {
                        let offset = fetched.offset();
                        if run.binary_search(&(*partition, offset)).is_ok() {
                            let headers = fetched.headers();
                            let at = (*partition, offset);
                            batch.push(at, fetched.timestamp_ms(), fetched.key(), fetched.value(), headers);
                        }
                        is_read = offset >= *last || batch.bytes() >= max_bytes;
                    }
                }
                if is_read || refused.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            refused?;
        }
        Ok(())
    }
}
