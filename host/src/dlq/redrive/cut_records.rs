//! Reads records whose letters were cut again from their topics.

use std::collections::HashMap;

use mapper_core::dead_letter::{DeadLetter, FailedInput};
use mapper_core::record::Batch;
use mapper_core::shutdown::Halt;
use mapper_kafka::RecordReader;

use super::super::states::Access;

/// The offsets of a partition: its number, its first offset and its end.
type PartitionRange = (i32, i64, i64);

/// The most readers: each has a client. Beyond this number, they are closed, and opened again when they are needed.
const MAX_READERS: usize = 16;

/// A reader of failed records. It has one client for each of their partitions.
pub(super) struct CutRecords<'a> {
    access: &'a Access,
    readers: HashMap<(String, i32), RecordReader>,
    /// The offsets of each topic when its first record was read. The records failed before.
    ranges: HashMap<String, Vec<PartitionRange>>,
}

impl<'a> CutRecords<'a> {
    pub(super) fn new(access: &'a Access) -> Self {
        Self { access, readers: HashMap::new(), ranges: HashMap::new() }
    }

    /// The record that failed, from its own topic; `None` if it is not there any more, or another record is in its place.
    ///
    /// # Errors
    /// If Kafka refuses the read.
    pub(super) fn read(&mut self, letter: &DeadLetter<'_>) -> Result<Option<FailedInput>, Halt> {
        let Some(source) = letter.source else { return Ok(None) };
        let setup = self.access.setup();
        if !self.ranges.contains_key(source.topic) {
            self.ranges.insert(source.topic.to_owned(), setup.offset_ranges(source.topic)?);
        }
        let is_there = |(partition, first, end): &PartitionRange| {
            *partition == source.partition && (*first..*end).contains(&source.offset)
        };
        if !self.ranges[source.topic].iter().any(is_there) {
            return Ok(None);
        }
        let at = (source.topic.to_owned(), source.partition);
        if self.readers.len() >= MAX_READERS && !self.readers.contains_key(&at) {
            self.readers.clear();
        }
        let new = || RecordReader::new(setup.settings(), source.topic, source.partition);
        let reader = self.readers.entry(at).or_insert_with(new);
        let mut batch = Batch::new(source.topic);
        reader.read(source.offset, &mut batch, self.access.cancel())?;
        let found = batch.records().next();
        Ok(found.filter(|record| letter.is_of(*record)).map(FailedInput::of))
    }
}
