//! Reads single records of a partition by their offsets, with one client for all of them.

use std::ops::ControlFlow;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::KafkaSettings;
use super::groupless::{self, AssignedConsumer};
use super::limits::OFFSETS_LIMIT;
use mapper_core::record::Batch;
use mapper_core::shutdown::{Halt, Shutdown};

/// The client fetches more than the record. A small buffer bounds that.
const BUFFER_KIB: &str = "1024";
const WAIT: Duration = Duration::from_millis(200);

/// A reader of single records of a partition. It joins no group.
pub struct RecordReader {
    settings: KafkaSettings,
    topic: String,
    partition: i32,
    /// `None` before the first read.
    assigned: Option<AssignedConsumer>,
}

impl RecordReader {
    /// A reader that connects for its first record.
    pub fn new(settings: &KafkaSettings, topic: &str, partition: i32) -> Self {
        Self { settings: settings.clone(), topic: topic.to_owned(), partition, assigned: None }
    }

    /// Adds the record at an offset to the batch, if there is one. The offset must be before the end of the partition.
    ///
    /// # Errors
    /// If Kafka refuses the read, or `cancel` is requested.
    pub fn read(&mut self, offset: i64, batch: &mut Batch, cancel: &Shutdown) -> Result<(), Halt> {
        let (topic, partition) = (self.topic.clone(), self.partition);
        let (consumer, queue) = self.start_at(offset).map_err(|error| groupless::unreadable(&topic, error))?;
        let mut is_read = false;
        while !is_read {
            if cancel.requested() {
                return Err(Halt::kafka(format!(
                    "the read of the record {topic}/{partition}@{offset} was interrupted"
                )));
            }
            groupless::handle_events(consumer, &topic)?;
            let mut refused = Ok(());
            queue.fetch(WAIT, |fetched| {
                match fetched.error() {
                    Some(RDKafkaErrorCode::PartitionEOF) => is_read = true,
                    Some(code) => refused = groupless::handle_partition_error(&topic, partition, code),
                    // A transaction marker, or compaction removed the record: the next one is later.
                    None if fetched.offset() != offset => is_read = fetched.offset() > offset,
                    None => {
                        let headers = fetched.headers();
                        let at = (partition, offset);
                        batch.push(at, fetched.timestamp_ms(), fetched.key(), fetched.value(), headers);
                        is_read = true;
                    }
                }
                if is_read || refused.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            refused?;
        }
        Ok(())
    }

    /// The client, whose next record is the one at the offset.
    fn start_at(&mut self, offset: i64) -> KafkaResult<&mut AssignedConsumer> {
        let start = Offset::Offset(offset);
        let assigned = match self.assigned.take() {
            Some(assigned) => {
                let mut list = TopicPartitionList::new();
                list.add_partition_offset(&self.topic, self.partition, start)?;
                let sought = assigned.0.seek_partitions(list, OFFSETS_LIMIT)?;
                sought.elements().iter().try_for_each(|element| element.error())?;
                assigned
            }
            None => {
                let mut config = self.settings.query_client();
                config.set("queued.max.messages.kbytes", BUFFER_KIB);
                groupless::assign(config, &self.topic, std::iter::once((self.partition, start)))?
            }
        };
        Ok(self.assigned.insert(assigned))
    }
}
