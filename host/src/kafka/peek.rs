//! Reads a topic from its beginning without a group, to show what is in it.

use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::{KafkaSettings, Quiet};

/// A reader of some topics that leaves no trace.
pub struct Peek(BaseConsumer<Quiet>);

impl Peek {
    /// Reads that many partitions of each topic from the beginning.
    ///
    /// # Errors
    /// When librdkafka refuses a property.
    pub fn new(settings: &KafkaSettings, topics: &[&str], partitions: i32) -> KafkaResult<Self> {
        let consumer = BaseConsumer::from_config_and_context(&settings.asking(), Quiet::default())?;
        let mut list = TopicPartitionList::new();
        for topic in topics {
            for partition in 0..partitions {
                list.add_partition_offset(topic, partition, Offset::Beginning)?;
            }
        }
        consumer.assign(&list)?;
        Ok(Self(consumer))
    }

    /// The next record as topic and value, if there is one within the time.
    pub fn next(&self, wait: Duration) -> Option<(String, String)> {
        let record = self.0.poll(wait)?.ok()?;
        Some((record.topic().to_owned(), String::from_utf8_lossy(record.payload().unwrap_or_default()).into_owned()))
    }
}
