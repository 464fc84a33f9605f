//! The ends of the output topics, as a reader of committed records sees them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::Topics;

const ASK_TIMEOUT: Duration = Duration::from_secs(10);
const LEADER_PAUSE: Duration = Duration::from_millis(100);
/// What is stored as a timestamp stands for the end (`ListOffsets` of Kafka's protocol).
const LATEST: Offset = Offset::End;

/// The markers of transactions count, but these are few.
pub(crate) struct Ends {
    consumer: BaseConsumer,
    asked: TopicPartitionList,
}

impl Ends {
    pub(crate) fn new(brokers: &str, topics: &Topics) -> Result<Self> {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "bench-watch")
            .set("isolation.level", "read_committed")
            .create()?;
        let mut asked = TopicPartitionList::new();
        for topic in [&topics.output, &topics.dead_letters] {
            for partition in 0..topics.partitions {
                asked.add_partition_offset(topic, partition, LATEST)?;
            }
        }
        let ends = Self { consumer, asked };
        // A new partition has no leader for a moment.
        let deadline = Instant::now() + ASK_TIMEOUT;
        while let Err(error) = ends.sum() {
            ensure!(Instant::now() < deadline, "the outputs have no ends: {error:#}");
            std::thread::sleep(LEADER_PAUSE);
        }
        Ok(ends)
    }

    /// One request for all of them, where `fetch_watermarks` would take eight.
    pub(crate) fn sum(&self) -> Result<f64> {
        let ends = self.consumer.offsets_for_times(self.asked.clone(), ASK_TIMEOUT)?;
        let mut sum = 0;
        for element in ends.elements() {
            element.error()?;
            if let Offset::Offset(end) = element.offset() {
                sum += end;
            }
        }
        Ok(sum as f64)
    }
}
