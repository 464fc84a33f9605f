//! Reads topics from the beginning, without a group, to show their records.

use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::{ConnectionContext, KafkaSettings};

/// A reader that commits nothing.
pub struct Peek(BaseConsumer<ConnectionContext>);

/// A record for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peeked {
    pub topic: String,
    /// Milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// The value as text; invalid UTF-8 is replaced. `None` is a tombstone.
    pub value: Option<String>,
}

impl Peek {
    /// Reads this number of partitions of each topic.
    ///
    /// # Errors
    /// If librdkafka refuses a property.
    pub fn new(settings: &KafkaSettings, topics: &[&str], partitions: i32) -> KafkaResult<Self> {
        let consumer = BaseConsumer::from_config_and_context(&settings.query_client(), ConnectionContext::default())?;
        let mut list = TopicPartitionList::new();
        for topic in topics {
            for partition in 0..partitions {
                list.add_partition_offset(topic, partition, Offset::Beginning)?;
            }
        }
        consumer.assign(&list)?;
        Ok(Self(consumer))
    }

    /// Waits for the next record; returns `None` after the time.
    pub fn next(&self, wait: Duration) -> Option<Peeked> {
        let record = self.0.poll(wait)?.ok()?;
        let value = record.payload().map(|value| String::from_utf8_lossy(value).into_owned());
        Some(Peeked { topic: record.topic().to_owned(), timestamp_ms: record.timestamp().to_millis(), value })
    }
}
