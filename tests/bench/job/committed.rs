//! Reads what a job has committed.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// A reader of committed records.
pub(crate) struct Reader(BaseConsumer);

impl Reader {
    pub(crate) fn new(brokers: &str) -> Result<Self> {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "bench-outputs")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.queue.backoff.ms", "5")
            .create()?;
        Ok(Self(consumer))
    }

    /// Passes all records of a topic to `take`.
    pub(crate) fn read_all(
        &self,
        topic: &str,
        partitions: i32,
        mut take: impl FnMut(&BorrowedMessage<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut all = TopicPartitionList::new();
        for partition in 0..partitions {
            all.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        self.0.assign(&all)?;
        let (started, mut ended) = (Instant::now(), HashSet::new());
        while ended.len() < partitions as usize {
            ensure!(started.elapsed() < READ_TIMEOUT, "the outputs can't be read in {READ_TIMEOUT:?}");
            match self.0.poll(READ_TIMEOUT) {
                Some(Ok(record)) => take(&record)?,
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ended.insert(partition);
                }
                Some(Err(error)) => return Err(error.into()),
                None => {}
            }
        }
        Ok(())
    }
}
