//! Input records in flat columns, the form in which a guest gets them.

mod column;
mod origins;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::topic_table::TopicNames;
use column::{extent, rebase};

pub use column::{Column, span};
pub use origins::Origins;

/// The mark of an item with bytes.
pub const BYTES: u8 = 0;
/// The mark of a null item.
pub const NULL: u8 = 1;
/// The mark of an output item that keeps the value of its input.
pub const KEEP: u8 = 2;
/// A record without a timestamp, as in Kafka's protocol.
pub const NO_TIMESTAMP: i64 = -1;

/// A partition number, see [`topic_table`](crate::topic_table), and an offset.
pub type Position = (i32, i64);

/// An offset per partition number.
pub type Positions = BTreeMap<i32, i64>;

/// The position of a source in each partition; `None` if it is unknown.
pub type SourcePositions = BTreeMap<i32, Option<i64>>;

/// A header: its name, which can be invalid UTF-8, and its value; `None` is null.
pub type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// The headers of a list of records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderTable {
    /// The number of headers of each record and all records before it.
    pub ends: Vec<u32>,
    pub names: Column,
    pub values: Column,
}

impl HeaderTable {
    /// The headers of a record, in order.
    pub fn headers_of(&self, index: usize) -> impl ExactSizeIterator<Item = Header<'_>> + Clone {
        let range = if self.ends.is_empty() { 0..0 } else { span(&self.ends, index) };
        range.map(|header| (self.names.bytes_of(header), self.values.get(header)))
    }

    /// Adds a header to the current record.
    pub fn push(&mut self, (name, value): Header<'_>) {
        self.names.push(Some(name));
        self.values.push(value);
    }

    /// Ends the current record.
    pub fn end_record(&mut self) {
        self.ends.push(self.names.len() as u32);
    }

    pub fn slice(&self, records: Range<usize>) -> Self {
        if self.ends.is_empty() {
            return Self::default();
        }
        let headers = extent(&self.ends, records.clone());
        let ends = rebase(&self.ends[records], headers.start);
        Self { ends, names: self.names.slice(headers.clone()), values: self.values.slice(headers) }
    }

    fn clear(&mut self) {
        self.ends.clear();
        self.names.clear();
        self.values.clear();
    }
}

/// Input records, in the order of their offsets within each partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The topics of the partition numbers.
    pub topics: TopicNames,
    /// Partition numbers, see [`topic_table`](crate::topic_table).
    pub partitions: Vec<i32>,
    pub offsets: Vec<i64>,
    /// In milliseconds since 1970; [`NO_TIMESTAMP`] for none.
    pub timestamps_ms: Vec<i64>,
    pub keys: Column,
    pub values: Column,
    pub headers: HeaderTable,
    /// The positions that the records have for the mapper and in dead letters, if these are not the positions above.
    pub origins: Option<Box<Origins>>,
}

/// One input record, borrowed from its batch.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    batch: &'a Batch,
    index: usize,
}

impl Batch {
    pub fn new(topic: impl Into<Arc<str>>) -> Self {
        Self {
            topics: TopicNames::one(topic),
            partitions: Vec::new(),
            offsets: Vec::new(),
            timestamps_ms: Vec::new(),
            keys: Column::default(),
            values: Column::default(),
            headers: HeaderTable::default(),
            origins: None,
        }
    }

    /// The topic of the first record.
    pub fn topic(&self) -> &str {
        let (topics, numbers) = self.source();
        topics.topic(numbers.first().copied().unwrap_or(0))
    }

    /// The partitions within the topic, if all records are of one topic.
    pub fn partitions_of_topic(&self) -> Cow<'_, [i32]> {
        let (topics, numbers) = self.source();
        topics.partitions(numbers)
    }

    /// The offsets within the topic.
    pub fn offsets_of_topic(&self) -> &[i64] {
        self.origins.as_ref().map_or(&self.offsets, |origins| &origins.offsets)
    }

    /// The first of these records that are of one topic.
    pub fn run_of_one_topic(&self, records: Range<usize>) -> Range<usize> {
        let (topics, numbers) = self.source();
        let run = topics.run_of_one_topic(&numbers[records.clone()]);
        records.start..records.start + run
    }

    /// The topics and the partition numbers that the mapper gets.
    fn source(&self) -> (&TopicNames, &[i32]) {
        self.origins.as_ref().map_or((&self.topics, &self.partitions), |origins| (&origins.topics, &origins.partitions))
    }

    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// The size of all keys, values and headers.
    pub fn bytes(&self) -> usize {
        let headers = self.headers.names.bytes.len() + self.headers.values.bytes.len();
        self.keys.bytes.len() + self.values.bytes.len() + headers
    }

    /// The size of the keys, values and headers of some records.
    pub fn bytes_of(&self, records: Range<usize>) -> usize {
        let headers = extent(&self.headers.ends, records.clone());
        let names = extent(&self.headers.names.ends, headers.clone()).len();
        let values = extent(&self.headers.values.ends, headers).len();
        extent(&self.keys.ends, records.clone()).len() + extent(&self.values.ends, records).len() + names + values
    }

    /// Keeps the allocated memory.
    pub fn clear(&mut self) {
        self.partitions.clear();
        self.offsets.clear();
        self.timestamps_ms.clear();
        self.keys.clear();
        self.values.clear();
        self.headers.clear();
        if let Some(origins) = &mut self.origins {
            origins.clear();
        }
    }

    pub fn push<'h>(
        &mut self,
        (partition, offset): (i32, i64),
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = Header<'h>>,
    ) {
        self.partitions.push(partition);
        self.offsets.push(offset);
        self.timestamps_ms.push(timestamp_ms);
        self.keys.push(key);
        self.values.push(value);
        headers.for_each(|header| self.headers.push(header));
        self.headers.end_record();
    }

    pub fn record(&self, index: usize) -> Record<'_> {
        Record { batch: self, index }
    }

    /// Some records, in order.
    pub fn records_in(&self, range: Range<usize>) -> impl Iterator<Item = Record<'_>> {
        range.map(|index| self.record(index))
    }

    /// All records, in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.len()).map(|index| self.record(index))
    }

    /// Copies some records into a new batch.
    pub fn slice(&self, range: Range<usize>) -> Self {
        Self {
            topics: self.topics.clone(),
            partitions: self.partitions[range.clone()].to_vec(),
            offsets: self.offsets[range.clone()].to_vec(),
            timestamps_ms: self.timestamps_ms[range.clone()].to_vec(),
            keys: self.keys.slice(range.clone()),
            values: self.values.slice(range.clone()),
            headers: self.headers.slice(range.clone()),
            origins: self.origins.as_ref().map(|origins| Box::new(origins.slice(range))),
        }
    }
}

impl<'a> Record<'a> {
    pub fn topic(&self) -> &'a str {
        let (topics, numbers) = self.batch.source();
        topics.topic(numbers[self.index])
    }

    /// The partition within its topic.
    pub fn partition(&self) -> i32 {
        let (topics, numbers) = self.batch.source();
        topics.partition(numbers[self.index])
    }

    pub fn offset(&self) -> i64 {
        self.batch.offsets_of_topic()[self.index]
    }

    /// How many times the record has failed before, if its source knows that.
    pub fn failures_before(&self) -> Option<u32> {
        self.batch.origins.as_ref().map(|origins| origins.failures[self.index])
    }

    /// The position in the source. The loop commits and rewinds by it.
    pub fn position(&self) -> Position {
        (self.batch.partitions[self.index], self.batch.offsets[self.index])
    }

    /// Milliseconds since 1970.
    pub fn timestamp_ms(&self) -> Option<i64> {
        let timestamp = self.batch.timestamps_ms[self.index];
        (timestamp != NO_TIMESTAMP).then_some(timestamp)
    }

    pub fn key(&self) -> Option<&'a [u8]> {
        self.batch.keys.get(self.index)
    }

    /// `None` for a tombstone.
    pub fn value(&self) -> Option<&'a [u8]> {
        self.batch.values.get(self.index)
    }

    /// A batch with this record only.
    pub fn alone(&self) -> Batch {
        self.batch.slice(self.index..self.index + 1)
    }

    /// The headers, in order.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = Header<'a>> + Clone + use<'a> {
        self.batch.headers.headers_of(self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        let mut batch = Batch::new("visits");
        batch.push((0, 7), 1000, Some(b"k"), Some(b"value"), [(&b"h"[..], None), (b"h", Some(&b"2"[..]))].into_iter());
        batch.push((1, 3), NO_TIMESTAMP, None, None, std::iter::empty());
        batch.push((0, 8), 0, Some(b""), Some(b""), [(&b"\xff"[..], Some(&b""[..]))].into_iter());
        batch
    }

    #[test]
    fn batch_returns_the_pushed_records() {
        let batch = batch();
        let seen: Vec<_> = batch
            .records()
            .map(|r| (r.partition(), r.offset(), r.timestamp_ms(), r.key(), r.value(), r.headers().collect::<Vec<_>>()))
            .collect();
        let headers = vec![(&b"h"[..], None), (b"h", Some(&b"2"[..]))];
        assert_eq!(seen[0], (0, 7, Some(1000), Some(&b"k"[..]), Some(&b"value"[..]), headers));
        assert_eq!(seen[1], (1, 3, None, None, None, vec![]));
        assert_eq!(seen[2], (0, 8, Some(0), Some(&b""[..]), Some(&b""[..]), vec![(&b"\xff"[..], Some(&b""[..]))]));
    }

    #[test]
    fn record_of_a_batch_of_several_topics_has_its_own_topic_and_partition() {
        let topics = TopicNames::new(["visits", "orders"]);
        let order = topics.number(1, 3).unwrap();
        let mut batch = Batch { topics, ..Batch::new("") };
        for number in [2, order, order] {
            batch.push((number, 7), NO_TIMESTAMP, None, None, std::iter::empty());
        }
        let seen: Vec<_> =
            batch.records().map(|record| (record.topic(), record.partition(), record.position())).collect();
        assert_eq!(seen, [("visits", 2, (2, 7)), ("orders", 3, (order, 7)), ("orders", 3, (order, 7))]);
        assert_eq!((batch.run_of_one_topic(0..3), batch.run_of_one_topic(1..3)), (0..1, 1..3));
        // A guest gets the records of one topic.
        let orders = batch.slice(1..3);
        assert_eq!((orders.topic(), &*orders.partitions_of_topic()), ("orders", &[3, 3][..]));
        assert_eq!((batch.topic(), &*batch.slice(0..1).partitions_of_topic()), ("visits", &[2][..]));
    }

    #[test]
    fn slice_has_the_same_records() {
        let batch = batch();
        assert_eq!(batch.slice(0..3), batch);
        for range in [0..0, 0..1, 0..2, 0..3, 1..1, 1..2, 1..3, 2..3] {
            assert_eq!(batch.bytes_of(range.clone()), batch.slice(range).bytes());
        }
        for (start, end) in [(0, 0), (0, 1), (1, 2), (1, 3), (2, 3), (3, 3)] {
            let mut pushed = Batch::new("visits");
            for index in start..end {
                let record = batch.record(index);
                let position = (record.partition(), record.offset());
                let timestamp_ms = record.timestamp_ms().unwrap_or(NO_TIMESTAMP);
                pushed.push(position, timestamp_ms, record.key(), record.value(), record.headers());
            }
            let slice = batch.slice(start..end);
            assert!(slice.records().zip(pushed.records()).all(|(slice, pushed)| {
                let all = (slice.key(), slice.value()) == (pushed.key(), pushed.value());
                all && slice.headers().eq(pushed.headers())
            }));
            assert_eq!((slice.len(), slice.bytes()), (pushed.len(), pushed.bytes()), "{start}..{end}");
        }
        let tail = batch.slice(1..3);
        assert_eq!((tail.record(0).key(), tail.record(1).key()), (None, Some(&b""[..])));
        assert_eq!(tail.record(1).headers().collect::<Vec<_>>(), batch.record(2).headers().collect::<Vec<_>>());
    }
}
