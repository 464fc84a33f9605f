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

/// A record, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peeked {
    /// Its topic.
    pub topic: String,
    /// Milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// Its value; what is not UTF-8 is replaced. `None` is Kafka's null.
    pub value: Option<String>,
}

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

    /// The next record, if there is one within the time.
    pub fn next(&self, wait: Duration) -> Option<Peeked> {
        let record = self.0.poll(wait)?.ok()?;
        let value = record.payload().map(|value| String::from_utf8_lossy(value).into_owned());
        Some(Peeked { topic: record.topic().to_owned(), timestamp_ms: record.timestamp().to_millis(), value })
    }
}
