//! Reads records from the columns of a batch and writes outputs to columns. `wit/mapper.wit` has the rules.

use std::fmt::{Display, Write};

use crate::guest::Batch;
use crate::guest::bindings::exports::mapper_host::mapper::batch_mapper::{
    Column, HeaderTable, OutputHeaders, OutputTopics, Outputs, Verdicts,
};
use crate::{Header, Headers, Record};

const BYTES: u8 = 0;
const NULL: u8 = 1;
const KEEP: u8 = 2;
const KEEP_TIMESTAMP: i64 = -1;

/// A header of an output.
pub(crate) type OwnHeader = (String, Option<Vec<u8>>);

/// The content of a key or value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Content {
    #[default]
    Keep,
    Null,
    Bytes(Vec<u8>),
}

fn range(ends: &[u32], index: usize) -> std::ops::Range<usize> {
    let start = if index == 0 { 0 } else { ends[index - 1] as usize };
    start..ends[index] as usize
}

fn item(column: &Column, index: usize) -> Option<&[u8]> {
    let null = column.marks.get(index).is_some_and(|mark| *mark == NULL);
    (!null).then(|| &column.bytes[range(&column.ends, index)])
}

/// Gives the records of a batch by index.
pub(crate) struct BatchReader<'a>(&'a Batch);

impl<'a> BatchReader<'a> {
    pub(crate) fn new(batch: &'a Batch) -> Self {
        Self(batch)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.offsets.len()
    }

    pub(crate) fn record(&self, index: usize) -> Record<'a> {
        let batch = self.0;
        let timestamp = batch.timestamps_ms[index];
        let headers =
            batch.headers.as_ref().map_or(Headers::none(), |table| Headers::columns(table, range(&table.ends, index)));
        Record {
            topic: &batch.topic,
            partition: batch.partitions[index],
            offset: batch.offsets[index],
            timestamp_ms: (timestamp != -1).then_some(timestamp),
            key: item(&batch.keys, index),
            value: item(&batch.values, index),
            headers,
        }
    }
}

pub(crate) fn header<'a>(table: &'a HeaderTable, index: usize) -> Header<'a> {
    let name = item(&table.names, index).unwrap_or_default();
    // The contract promises UTF-8. If the host breaks the promise, an empty name is better than a trap.
    Header { name: std::str::from_utf8(name).unwrap_or_default(), value: item(&table.values, index) }
}

/// A column under construction. It has no marks before the first item that is not bytes.
struct ColumnWriter {
    column: Column,
}

impl ColumnWriter {
    fn new(bytes: usize, items: usize) -> Self {
        let (bytes, ends) = (Vec::with_capacity(bytes), Vec::with_capacity(items));
        Self { column: Column { bytes, ends, marks: Vec::new() } }
    }

    fn len(&self) -> usize {
        self.column.ends.len()
    }

    fn push(&mut self, mark: u8, bytes: &[u8]) {
        self.column.bytes.extend_from_slice(bytes);
        self.end(mark);
    }

    /// Ends an item whose bytes are in `column.bytes` already.
    fn end(&mut self, mark: u8) {
        let column = &mut self.column;
        if mark != BYTES && column.marks.is_empty() {
            column.marks.resize(column.ends.len(), BYTES);
        }
        if mark != BYTES || !column.marks.is_empty() {
            column.marks.push(mark);
        }
        column.ends.push(column.bytes.len() as u32);
    }

    fn push_content(&mut self, content: &Content) {
        match content {
            Content::Keep => self.push(KEEP, &[]),
            Content::Null => self.push(NULL, &[]),
            Content::Bytes(bytes) => self.push(BYTES, bytes),
        }
    }

    /// Adds the items of the outputs before the first one that needs this column.
    fn fill(&mut self, items: usize, mark: u8) {
        while self.len() < items {
            self.end(mark);
        }
    }
}

/// The outputs of a batch under construction. A column that no output needs is not written.
pub struct OutputColumns {
    statuses: Vec<u8>,
    output_ends: Vec<u32>,
    errors: ColumnWriter,
    values: ColumnWriter,
    keys: Option<ColumnWriter>,
    topics: Option<OutputTopics>,
    headers: Option<HeadersWriter>,
    timestamps_ms: Option<Vec<i64>>,
}

struct HeadersWriter {
    marks: Vec<u8>,
    ends: Vec<u32>,
    names: ColumnWriter,
    values: ColumnWriter,
}

impl OutputColumns {
    pub(crate) fn for_batch(batch: &Batch) -> Self {
        let items = batch.offsets.len();
        Self {
            statuses: Vec::with_capacity(items),
            output_ends: Vec::with_capacity(items),
            errors: ColumnWriter::new(0, 0),
            values: ColumnWriter::new(batch.values.bytes.len() / 2, items),
            keys: None,
            topics: None,
            headers: None,
            timestamps_ms: None,
        }
    }

    /// Writes the error of the current record.
    pub fn reject(&mut self, error: impl Display) {
        struct Utf8<'a>(&'a mut Vec<u8>);
        impl Write for Utf8<'_> {
            fn write_str(&mut self, text: &str) -> std::fmt::Result {
                self.0.extend_from_slice(text.as_bytes());
                Ok(())
            }
        }
        // A vector takes every write. If `Display` itself fails, its text so far is the message.
        let _ = write!(Utf8(&mut self.errors.column.bytes), "{error:#}");
        self.errors.end(BYTES);
    }

    /// Adds an output whose value `write` appends to the buffer. The other parts are those of the input record.
    pub(crate) fn push_value(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.values.column.bytes);
        self.values.end(BYTES);
        self.keep_other_parts();
    }

    pub(crate) fn push_output(&mut self, output: &crate::Output) {
        let before = self.values.len();
        self.values.push_content(&output.value);
        if output.key != Content::Keep {
            self.keys.get_or_insert_with(|| ColumnWriter::new(0, 0)).fill(before, KEEP);
        }
        if let Some(keys) = &mut self.keys {
            keys.push_content(&output.key);
        }
        if output.topic.is_some() || self.topics.is_some() {
            self.push_topic(before, output.topic.as_deref());
        }
        if output.headers.is_some() || self.headers.is_some() {
            self.push_headers(before, output.headers.as_deref());
        }
        if output.timestamp_ms.is_some() || self.timestamps_ms.is_some() {
            let timestamps = self.timestamps_ms.get_or_insert_default();
            timestamps.resize(before, KEEP_TIMESTAMP);
            timestamps.push(output.timestamp_ms.unwrap_or(KEEP_TIMESTAMP));
        }
    }

    fn keep_other_parts(&mut self) {
        let before = self.values.len() - 1;
        if let Some(keys) = &mut self.keys {
            keys.end(KEEP);
        }
        if self.topics.is_some() {
            self.push_topic(before, None);
        }
        if self.headers.is_some() {
            self.push_headers(before, None);
        }
        if let Some(timestamps) = &mut self.timestamps_ms {
            timestamps.push(KEEP_TIMESTAMP);
        }
    }

    fn push_topic(&mut self, before: usize, topic: Option<&str>) {
        let topics = self.topics.get_or_insert_with(|| OutputTopics { names: Vec::new(), indexes: Vec::new() });
        topics.indexes.resize(before, 0);
        let index = topic.map_or(0, |topic| {
            let known = topics.names.iter().position(|name| name == topic).unwrap_or_else(|| {
                topics.names.push(topic.to_owned());
                topics.names.len() - 1
            });
            known as u32 + 1
        });
        topics.indexes.push(index);
    }

    fn push_headers(&mut self, before: usize, headers: Option<&[OwnHeader]>) {
        let writer = self.headers.get_or_insert_with(|| HeadersWriter {
            marks: Vec::new(),
            ends: Vec::new(),
            names: ColumnWriter::new(0, 0),
            values: ColumnWriter::new(0, 0),
        });
        writer.marks.resize(before, KEEP);
        writer.ends.resize(before, 0);
        for (name, value) in headers.unwrap_or_default() {
            writer.names.push(BYTES, name.as_bytes());
            writer.values.push(if value.is_some() { BYTES } else { NULL }, value.as_deref().unwrap_or_default());
        }
        writer.marks.push(if headers.is_some() { BYTES } else { KEEP });
        writer.ends.push(writer.names.len() as u32);
    }

    pub(crate) fn end_record(&mut self, rejected: bool) {
        self.statuses.push(u8::from(rejected));
        self.output_ends.push(self.values.len() as u32);
    }

    pub(crate) fn finish(self) -> Verdicts {
        Verdicts {
            statuses: self.statuses,
            output_ends: self.output_ends,
            errors: self.errors.column,
            outputs: Outputs {
                values: self.values.column,
                keys: self.keys.map(|keys| keys.column),
                topics: self.topics,
                headers: self.headers.map(|headers| OutputHeaders {
                    marks: headers.marks,
                    table: HeaderTable {
                        ends: headers.ends,
                        names: headers.names.column,
                        values: headers.values.column,
                    },
                }),
                timestamps_ms: self.timestamps_ms,
            },
        }
    }
}
