//! Input records, held in flat columns: the form in which they cross into a guest.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// An item of a column: bytes.
pub const BYTES: u8 = 0;
/// An item of a column: Kafka's null.
pub const NULL: u8 = 1;
/// An item of a column of outputs: as in the input record.
pub const KEEP: u8 = 2;
/// A record without a timestamp, as in Kafka's protocol.
pub const NO_TIMESTAMP: i64 = -1;

/// A partition, and an offset in it.
pub type Position = (i32, i64);

/// An offset per partition.
pub type Positions = BTreeMap<i32, i64>;

/// An offset per partition where one is known.
pub type SourcePositions = BTreeMap<i32, Option<i64>>;

/// A column of byte strings: item `i` is `bytes[ends[i-1]..ends[i]]`; `marks` is empty when all items are bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Column {
    /// The items, one behind the other.
    pub bytes: Vec<u8>,
    /// Where each item ends.
    pub ends: Vec<u32>,
    /// [`BYTES`], [`NULL`] or [`KEEP`] per item, or nothing at all.
    pub marks: Vec<u8>,
}

impl Column {
    /// The number of items.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Removes all items; keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.marks.clear();
    }

    /// The bytes of an item; none for a null.
    pub fn bytes_of(&self, index: usize) -> &[u8] {
        &self.bytes[span(&self.ends, index)]
    }

    /// The mark of an item.
    pub fn mark(&self, index: usize) -> u8 {
        self.marks.get(index).copied().unwrap_or(BYTES)
    }

    /// The item, or `None` for a null.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        (self.mark(index) != NULL).then(|| self.bytes_of(index))
    }

    /// Adds an item; `None` is a null.
    pub fn push(&mut self, item: Option<&[u8]>) {
        self.push_marked(if item.is_some() { BYTES } else { NULL }, item.unwrap_or_default());
    }

    /// Adds an item under a mark.
    pub fn push_marked(&mut self, mark: u8, item: &[u8]) {
        if mark != BYTES && self.marks.is_empty() {
            self.marks.resize(self.ends.len(), BYTES);
        }
        if mark != BYTES || !self.marks.is_empty() {
            self.marks.push(mark);
        }
        self.bytes.extend_from_slice(item);
        self.ends.push(u32::try_from(self.bytes.len()).expect("a batch is bounded far below 4 GiB"));
    }

    fn slice(&self, range: Range<usize>) -> Self {
        let bytes = extent(&self.ends, range.clone());
        let marks = if self.marks.is_empty() { &[][..] } else { &self.marks[range.clone()] };
        Self { ends: rebased(&self.ends[range], bytes.start), bytes: self.bytes[bytes].to_vec(), marks: marks.to_vec() }
    }
}

/// Ends of a list from which so much was left out at its start.
fn rebased(ends: &[u32], start: usize) -> Vec<u32> {
    ends.iter().map(|end| end - start as u32).collect()
}

/// The range of item `index` in a list of ends.
pub fn span(ends: &[u32], index: usize) -> Range<usize> {
    let start = index.checked_sub(1).map_or(0, |before| ends[before] as usize);
    start..ends[index] as usize
}

/// The range of some items in a list of ends.
fn extent(ends: &[u32], items: Range<usize>) -> Range<usize> {
    if items.is_empty() { 0..0 } else { span(ends, items.start).start..span(ends, items.end - 1).end }
}

/// A header: its name, which need not be UTF-8, and its value, which may be Kafka's null.
pub type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// The headers of a list of records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderTable {
    /// How many headers a record and all before it have.
    pub ends: Vec<u32>,
    /// The names.
    pub names: Column,
    /// The values.
    pub values: Column,
}

impl HeaderTable {
    /// The headers of a record, in order.
    pub fn of(&self, index: usize) -> impl ExactSizeIterator<Item = Header<'_>> + Clone {
        let range = if self.ends.is_empty() { 0..0 } else { span(&self.ends, index) };
        range.map(|header| (self.names.bytes_of(header), self.values.get(header)))
    }

    /// Adds a header to the record that is ended next.
    pub fn push(&mut self, (name, value): Header<'_>) {
        self.names.push(Some(name));
        self.values.push(value);
    }

    /// Ends a record.
    pub fn end_record(&mut self) {
        self.ends.push(self.names.len() as u32);
    }

    fn slice(&self, records: Range<usize>) -> Self {
        if self.ends.is_empty() {
            return Self::default();
        }
        let headers = extent(&self.ends, records.clone());
        let ends = rebased(&self.ends[records], headers.start);
        Self { ends, names: self.names.slice(headers.clone()), values: self.values.slice(headers) }
    }

    fn clear(&mut self) {
        self.ends.clear();
        self.names.clear();
        self.values.clear();
    }
}

/// Input records of one topic, in the order of their offsets within each partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The topic they were read from.
    pub topic: Arc<str>,
    /// Per record.
    pub partitions: Vec<i32>,
    /// Per record.
    pub offsets: Vec<i64>,
    /// Per record, in milliseconds since 1970; [`NO_TIMESTAMP`] for none.
    pub timestamps_ms: Vec<i64>,
    /// Per record.
    pub keys: Column,
    /// Per record.
    pub values: Column,
    /// Per record.
    pub headers: HeaderTable,
}

/// One input record, borrowed from its batch.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    batch: &'a Batch,
    index: usize,
}

impl Batch {
    /// An empty batch of a topic.
    pub fn new(topic: impl Into<Arc<str>>) -> Self {
        Self {
            topic: topic.into(),
            partitions: Vec::new(),
            offsets: Vec::new(),
            timestamps_ms: Vec::new(),
            keys: Column::default(),
            values: Column::default(),
            headers: HeaderTable::default(),
        }
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// The bytes of all keys, values and headers.
    pub fn bytes(&self) -> usize {
        let headers = self.headers.names.bytes.len() + self.headers.values.bytes.len();
        self.keys.bytes.len() + self.values.bytes.len() + headers
    }

    /// The bytes of the keys, values and headers of some records.
    pub fn bytes_of(&self, records: Range<usize>) -> usize {
        let headers = extent(&self.headers.ends, records.clone());
        let names = extent(&self.headers.names.ends, headers.clone()).len();
        let values = extent(&self.headers.values.ends, headers).len();
        extent(&self.keys.ends, records.clone()).len() + extent(&self.values.ends, records).len() + names + values
    }

    /// Removes all records; keeps the memory.
    pub fn clear(&mut self) {
        self.partitions.clear();
        self.offsets.clear();
        self.timestamps_ms.clear();
        self.keys.clear();
        self.values.clear();
        self.headers.clear();
    }

    /// Adds a record.
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

    /// A record by its index.
    pub fn record(&self, index: usize) -> Record<'_> {
        Record { batch: self, index }
    }

    /// All records in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.len()).map(|index| self.record(index))
    }

    /// A batch of its own of some of these records.
    pub fn slice(&self, range: Range<usize>) -> Self {
        Self {
            topic: self.topic.clone(),
            partitions: self.partitions[range.clone()].to_vec(),
            offsets: self.offsets[range.clone()].to_vec(),
            timestamps_ms: self.timestamps_ms[range.clone()].to_vec(),
            keys: self.keys.slice(range.clone()),
            values: self.values.slice(range.clone()),
            headers: self.headers.slice(range),
        }
    }
}

impl<'a> Record<'a> {
    /// The topic it was read from.
    pub fn topic(&self) -> &'a str {
        &self.batch.topic
    }

    /// The partition it was read from.
    pub fn partition(&self) -> i32 {
        self.batch.partitions[self.index]
    }

    /// Its offset in that partition.
    pub fn offset(&self) -> i64 {
        self.batch.offsets[self.index]
    }

    /// Its partition and offset.
    pub fn position(&self) -> Position {
        (self.partition(), self.offset())
    }

    /// Milliseconds since 1970, if it carries a timestamp.
    pub fn timestamp_ms(&self) -> Option<i64> {
        let timestamp = self.batch.timestamps_ms[self.index];
        (timestamp != NO_TIMESTAMP).then_some(timestamp)
    }

    /// Its key; `None` is Kafka's null.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.batch.keys.get(self.index)
    }

    /// Its value; `None` is Kafka's null.
    pub fn value(&self) -> Option<&'a [u8]> {
        self.batch.values.get(self.index)
    }

    /// A batch of it alone.
    pub fn alone(&self) -> Batch {
        self.batch.slice(self.index..self.index + 1)
    }

    /// Its headers in order.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = Header<'a>> + Clone + use<'a> {
        self.batch.headers.of(self.index)
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
    fn records_come_back_as_they_were_pushed() {
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
    fn a_slice_has_the_same_records() {
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
