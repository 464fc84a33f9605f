//! Records of a topic, read without leaving a trace.

use std::time::Duration;

use super::{BATCH_BYTES, Filled, Input, dead_letters};
use crate::config::{MapFormat, TopicInput};
use crate::services::{Services, TopicRecords};
use mapper_core::record::{Batch, NO_TIMESTAMP, Record};
use mapper_core::shutdown::Halt;

/// How long to wait for records before it is looked again whether the end is reached.
const WAIT: Duration = Duration::from_millis(100);

/// A topic from its beginning to where it ended at the start.
pub(crate) struct Topic {
    reader: Box<dyn TopicRecords>,
    format: MapFormat,
    fetched: Batch,
}

impl Topic {
    /// Connects.
    ///
    /// # Errors
    /// When Kafka can't be reached, or there is no such topic.
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
    fn fill(&mut self, filled: &mut Filled, most: usize) -> Result<bool, Halt> {
        self.fetched.clear();
        let more = self.reader.fetch(&mut self.fetched, most, BATCH_BYTES, WAIT)?;
        filled.batch.topic = self.fetched.topic.clone();
        for record in self.fetched.records() {
            let place = format!("{}[{}]@{}", record.topic(), record.partition(), record.offset());
            match push(&mut filled.batch, record, self.format) {
                Ok(()) => filled.places.push(place),
                Err(reason) => filled.refuse(place, reason),
            }
        }
        Ok(more)
    }

    fn progress(&self) -> Option<(u64, u64)> {
        None
    }
}
