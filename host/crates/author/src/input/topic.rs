//! Reads a topic without a consumer group and without commits.

use std::time::Duration;

use super::{BATCH_BYTES, Input, InputBatch, Progress, dead_letters};
use crate::config::{MapFormat, TopicInput};
use crate::services::{Services, TopicRecords};
use mapper_core::record::{Batch, NO_TIMESTAMP, Record};
use mapper_core::shutdown::Halt;

/// After this time without records, the reader checks for the end of the topic again.
const FETCH_TIMEOUT: Duration = Duration::from_millis(100);

/// A topic from its beginning to its end at the time of opening.
pub(crate) struct Topic {
    reader: Box<dyn TopicRecords>,
    format: MapFormat,
    fetched: Batch,
}

impl Topic {
    /// # Errors
    /// Kafka is unreachable, or the topic doesn't exist.
    pub(crate) fn open(services: &dyn Services, input: &TopicInput, format: MapFormat) -> Result<Self, Halt> {
        Ok(Self { reader: services.open_topic(input)?, format, fetched: Batch::new(input.topic.as_str()) })
    }
}

fn push(batch: &mut Batch, record: Record<'_>, format: MapFormat) -> Result<(), String> {
    if format == MapFormat::DeadLetter {
        return dead_letters::push_record(batch, record);
    }
    let at = (record.partition(), record.offset());
    let timestamp = record.timestamp_ms().unwrap_or(NO_TIMESTAMP);
    batch.push(at, timestamp, record.key(), record.value(), record.headers());
    Ok(())
}

impl Input for Topic {
    fn fill(&mut self, input: &mut InputBatch, max_records: usize) -> Result<bool, Halt> {
        self.fetched.clear();
        let more = self.reader.fetch(&mut self.fetched, max_records, BATCH_BYTES, FETCH_TIMEOUT)?;
        input.batch.topics = self.fetched.topics.clone();
        for record in self.fetched.records() {
            let location = format!("{}[{}]@{}", record.topic(), record.partition(), record.offset());
            match push(&mut input.batch, record, self.format) {
                Ok(()) => input.locations.push(location),
                Err(reason) => input.push_malformed(location, reason),
            }
        }
        Ok(more)
    }

    fn progress(&self) -> Option<Progress> {
        None
    }
}
