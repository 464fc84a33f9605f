//! The partition numbers of the source, see `topic_table`.

use std::ffi::{CString, c_void};
use std::ops::Range;
use std::ptr;

use rdkafka::topic_partition_list::TopicPartitionList;

use super::KafkaSource;
use crate::native::{Fetched, cached_end_offset};
use mapper_core::shutdown::Halt;
use mapper_core::topic_table::TopicNames;
use mapper_core::topics::TopicIdentity;

/// Finds the numbers of the partitions of one fetch. It looks up a topic only when the topic changes.
pub(super) struct Numbers<'a> {
    topics: &'a TopicNames,
    /// The topic of the last record.
    handle: *const c_void,
    index: usize,
    mistake: Option<anyhow::Error>,
}

impl<'a> Numbers<'a> {
    pub(super) fn new(topics: &'a TopicNames) -> Self {
        Self { topics, handle: ptr::null(), index: 0, mistake: None }
    }

    /// The number of the partition of a record or an event.
    pub(super) fn find(&mut self, fetched: &Fetched<'_>) -> Option<i32> {
        let partition = fetched.partition();
        if self.topics.is_single() {
            return Some(partition);
        }
        if fetched.topic_handle() != self.handle {
            let Some(index) = self.topics.find(fetched.topic()) else { return self.refuse(fetched) };
            (self.handle, self.index) = (fetched.topic_handle(), index);
        }
        self.topics.number(self.index, partition).or_else(|| self.refuse(fetched))
    }

    fn refuse(&mut self, fetched: &Fetched<'_>) -> Option<i32> {
        let (topic, partition) = (fetched.topic(), fetched.partition());
        self.mistake = Some(anyhow::anyhow!("{topic}, partition {partition} is not assigned"));
        None
    }

    /// Why a number was not found.
    pub(super) fn mistake(self) -> Option<anyhow::Error> {
        self.mistake
    }
}

impl KafkaSource {
    /// The numbers of assigned partitions. Registers topics that are new.
    ///
    /// # Errors
    /// If the pipeline may not read a topic, or if there are too many.
    pub(super) fn register(&mut self, partitions: &TopicPartitionList) -> Result<Vec<i32>, Halt> {
        let elements = partitions.elements();
        let mut last = None;
        for topic in elements.iter().map(|element| element.topic()) {
            if last != Some(topic) {
                self.input.register(topic)?;
                last = Some(topic);
            }
        }
        let topics = self.input.names();
        if !topics.is_same(&self.topics) {
            let native = |topic: &std::sync::Arc<str>| CString::new(&**topic).unwrap_or_default();
            self.native_topics = topics.all().iter().map(native).collect();
            self.topics = topics;
        }
        let numbers = elements.iter().map(|element| {
            let (topic, partition) = (element.topic(), element.partition());
            self.number(topic, partition).ok_or_else(|| {
                Halt::configuration(format!(
                    "the input topic '{topic}' has too many partitions to be read together with others: partition {partition}. \
                     Read it in a pipeline of its own"
                ))
            })
        });
        numbers.collect()
    }

    /// The number of a partition of a known topic.
    pub(super) fn number(&self, topic: &str, partition: i32) -> Option<i32> {
        self.topics.number(self.topics.find(topic)?, partition)
    }

    /// The topic and the partition of a number.
    pub(super) fn topic_partition(&self, number: i32) -> (&str, i32) {
        (self.topics.topic(number), self.topics.partition(number))
    }

    /// The identity of the topic of the committed offsets.
    pub(super) fn identity(&self, topic: usize) -> TopicIdentity {
        self.member.identity(topic).unwrap_or_else(|| self.input.known(topic))
    }

    pub(super) fn cached_end(&self, number: i32) -> Option<i64> {
        let topic = self.native_topics.get(self.topics.index(number))?;
        cached_end_offset(&self.consumer, topic, self.topics.partition(number))
    }

    /// The numbers of partitions that the recreated topic does not have, as far as it is known.
    pub(super) fn missing_partitions(&self) -> Range<i32> {
        let Some(new) = &self.new_topic else { return 0..0 };
        let numbers = self.topics.numbers(new.topic);
        let first = new.partitions.and_then(|count| self.topics.number(new.topic, count));
        first.unwrap_or(numbers.end)..numbers.end
    }
}
