//! The verdicts of a mapper on a batch, in flat columns that are checked before use.

mod kind;
mod slice;

use std::borrow::Cow;

pub use kind::{Blame, FailureKind};

use crate::record::{BYTES, Column, HeaderTable, KEEP, NULL, Record, span};

/// The failure of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure<'a> {
    pub kind: FailureKind,
    /// The message of the mapper or the host.
    pub message: Cow<'a, str>,
    /// The backtrace and the log of the guest for this record, one item a line; can be empty.
    pub details: Cow<'a, str>,
}

impl Failure<'_> {
    /// Message and details as one text.
    pub fn text(&self) -> String {
        if self.details.is_empty() { self.message.to_string() } else { format!("{}\n{}", self.message, self.details) }
    }
}

impl<'a> Failure<'a> {
    /// A failure without details.
    pub fn new(kind: FailureKind, message: impl Into<Cow<'a, str>>) -> Self {
        Self { kind, message: message.into(), details: Cow::Borrowed("") }
    }
}

/// The topics of outputs: 0 is the default output topic, `n` is `names[n-1]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputTopics {
    pub names: Vec<String>,
    pub indexes: Vec<u32>,
}

/// The headers of outputs: [`KEEP`] for the headers of the input, [`BYTES`] for the headers in the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputHeaders {
    pub marks: Vec<u8>,
    pub table: HeaderTable,
}

/// The verdicts on consecutive records, in flat columns. [`Columns::check`] must pass before they are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// By record: 0 is mapped, 1 is rejected.
    pub statuses: Vec<u8>,
    /// By record: the number of outputs of the record and all records before it.
    pub output_ends: Vec<u32>,
    /// By rejected record: the message.
    pub errors: Column,
    pub values: Column,
    /// By output; `None` keeps all keys.
    pub keys: Option<Column>,
    /// By output; `None` is the default output topic for all.
    pub topics: Option<OutputTopics>,
    /// By output; `None` keeps all headers.
    pub headers: Option<OutputHeaders>,
    /// By output, -1 keeps the timestamp; `None` keeps all.
    pub timestamps_ms: Option<Vec<i64>>,
}

/// One output, borrowed from its columns. Its methods take the input record for the fields that it keeps.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    columns: &'a Columns,
    index: usize,
}

/// The verdict on one record.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// The record is skipped if there are no outputs.
    Mapped(Outputs<'a>),
    Failed(Failure<'a>),
}

/// The outputs of one record.
#[derive(Debug, Clone)]
pub struct Outputs<'a> {
    columns: &'a Columns,
    range: std::ops::Range<usize>,
}

impl<'a> Iterator for Outputs<'a> {
    type Item = Output<'a>;

    fn next(&mut self) -> Option<Output<'a>> {
        self.range.next().map(|index| Output { columns: self.columns, index })
    }
}

impl Columns {
    /// Checks the rules of `wit/mapper.wit` that a read of the columns relies on.
    ///
    /// # Errors
    /// Describes the violated rule.
    pub fn check(&self, records: usize) -> Result<(), String> {
        check_length("statuses", self.statuses.len(), records)?;
        check_length("output-ends", self.output_ends.len(), records)?;
        if let Some(status) = self.statuses.iter().find(|status| **status > 1) {
            return Err(format!("a status is {status}, but only 0 and 1 are known"));
        }
        let outputs = self.values.len();
        check_ends("output-ends", &self.output_ends, outputs)?;
        for (index, _) in self.statuses.iter().enumerate().filter(|(_, status)| **status == 1) {
            if !span(&self.output_ends, index).is_empty() {
                return Err(format!("record {index} of the batch is rejected and yet has outputs"));
            }
        }
        let rejected = self.statuses.iter().filter(|status| **status == 1).count();
        check_column("errors", &self.errors, rejected, &[BYTES])?;
        check_column("values", &self.values, outputs, &[BYTES, NULL, KEEP])?;
        if let Some(keys) = &self.keys {
            check_column("keys", keys, outputs, &[BYTES, NULL, KEEP])?;
        }
        if let Some(timestamps) = &self.timestamps_ms {
            check_length("timestamps-ms", timestamps.len(), outputs)?;
            if let Some(timestamp) = timestamps.iter().find(|timestamp| **timestamp < -1) {
                return Err(format!("a timestamp is {timestamp}, but it may not be negative"));
            }
        }
        if let Some(topics) = &self.topics {
            check_length("topics.indexes", topics.indexes.len(), outputs)?;
            if let Some(index) = topics.indexes.iter().find(|index| **index as usize > topics.names.len()) {
                return Err(format!("a topic index is {index}, but there are {} topic names", topics.names.len()));
            }
        }
        self.headers.as_ref().map_or(Ok(()), |headers| check_headers(headers, outputs))
    }

    /// The size of all keys, values, headers and messages.
    pub fn bytes(&self) -> usize {
        let headers = self
            .headers
            .as_ref()
            .map_or(0, |headers| headers.table.names.bytes.len() + headers.table.values.bytes.len());
        self.errors.bytes.len()
            + self.values.bytes.len()
            + self.keys.as_ref().map_or(0, |keys| keys.bytes.len())
            + headers
    }

    /// The verdicts, in the order of the records.
    pub fn verdicts(&self) -> impl Iterator<Item = Verdict<'_>> {
        let mut rejected = 0;
        (0..self.statuses.len()).map(move |index| {
            let verdict = self.verdict(index, rejected);
            rejected += usize::from(self.statuses[index]);
            verdict
        })
    }

    pub fn verdict(&self, index: usize, rejected_before: usize) -> Verdict<'_> {
        if self.statuses[index] == 1 {
            let message = String::from_utf8_lossy(self.errors.bytes_of(rejected_before));
            return Verdict::Failed(Failure::new(FailureKind::Rejected, message));
        }
        Verdict::Mapped(Outputs { columns: self, range: span(&self.output_ends, index) })
    }
}

fn check_headers(headers: &OutputHeaders, outputs: usize) -> Result<(), String> {
    check_length("headers.marks", headers.marks.len(), outputs)?;
    check_length("headers.table.ends", headers.table.ends.len(), outputs)?;
    let count = headers.table.names.len();
    check_ends("headers.table.ends", &headers.table.ends, count)?;
    check_column("headers.table.names", &headers.table.names, count, &[BYTES])?;
    check_column("headers.table.values", &headers.table.values, count, &[BYTES, NULL])?;
    if let Some(mark) = headers.marks.iter().find(|mark| ![BYTES, KEEP].contains(mark)) {
        return Err(format!("a mark of headers is {mark}, but only 0 and 2 are known"));
    }
    (0..count).try_for_each(|index| check_header_name(headers.table.names.bytes_of(index)))
}

fn check_header_name(name: &[u8]) -> Result<(), String> {
    let shown = || String::from_utf8_lossy(name);
    if std::str::from_utf8(name).is_err() {
        return Err(format!("a header name is not UTF-8: {:?}", shown()));
    }
    // librdkafka ends a name at a NUL byte.
    if name.contains(&0) {
        return Err(format!("a header name has a NUL byte, at which most readers cut it: {:?}", shown()));
    }
    Ok(())
}

fn check_length(what: &str, actual: usize, expected: usize) -> Result<(), String> {
    if actual == expected { Ok(()) } else { Err(format!("{what} has {actual} items instead of {expected}")) }
}

fn check_ends(what: &str, ends: &[u32], expected: usize) -> Result<(), String> {
    if let Some(index) = ends.windows(2).position(|pair| pair[0] > pair[1]) {
        return Err(format!("{what} decreases after item {index}"));
    }
    let last = ends.last().map_or(0, |last| *last as usize);
    if last == expected { Ok(()) } else { Err(format!("{what} ends at {last} instead of {expected}")) }
}

fn check_column(what: &str, column: &Column, items: usize, marks: &[u8]) -> Result<(), String> {
    check_length(what, column.len(), items)?;
    check_ends(what, &column.ends, column.bytes.len())?;
    if column.marks.is_empty() {
        return Ok(());
    }
    check_length(&format!("{what}.marks"), column.marks.len(), items)?;
    for (index, mark) in column.marks.iter().enumerate() {
        if !marks.contains(mark) {
            return Err(format!("{what} has the mark {mark}, which means nothing there"));
        }
        if *mark != BYTES && !column.bytes_of(index).is_empty() {
            return Err(format!("{what} has bytes for item {index}, which is marked as having none"));
        }
    }
    Ok(())
}

fn keep_or<'a>(column: &'a Column, index: usize, kept: Option<&'a [u8]>) -> Option<&'a [u8]> {
    if column.mark(index) == KEEP { kept } else { column.get(index) }
}

impl<'a> Output<'a> {
    /// `None` is the default output topic.
    pub fn topic(&self) -> Option<&'a str> {
        let topics = self.columns.topics.as_ref()?;
        (topics.indexes[self.index] as usize).checked_sub(1).map(|name| topics.names[name].as_str())
    }

    pub fn key(&self, input: Record<'a>) -> Option<&'a [u8]> {
        self.columns.keys.as_ref().map_or(input.key(), |keys| keep_or(keys, self.index, input.key()))
    }

    /// `None` for a tombstone.
    pub fn value(&self, input: Record<'a>) -> Option<&'a [u8]> {
        keep_or(&self.columns.values, self.index, input.value())
    }

    /// The headers of the output; `None` keeps the headers of the input.
    pub fn own_headers(&self) -> Option<impl ExactSizeIterator<Item = crate::record::Header<'a>> + Clone + use<'a>> {
        let headers = self.columns.headers.as_ref()?;
        (headers.marks[self.index] != KEEP).then(|| headers.table.headers_of(self.index))
    }

    /// Milliseconds since 1970, of the output or else of its input.
    pub fn timestamp_ms(&self, input: Record<'_>) -> Option<i64> {
        let own = self.columns.timestamps_ms.as_ref().map(|timestamps| timestamps[self.index]);
        own.filter(|timestamp| *timestamp >= 0).or_else(|| input.timestamp_ms())
    }
}

/// The verdicts on a batch: usually one set of columns, and more if the batch was split.
#[derive(Debug, Default)]
pub struct Verdicts {
    parts: Vec<Part>,
}

/// The verdicts on consecutive records.
#[derive(Debug)]
pub enum Part {
    /// Verdicts of the mapper.
    Columns(Box<Columns>),
    /// A failure of one record that the host detected.
    Failed(Failure<'static>),
}

impl Verdicts {
    pub fn clear(&mut self) {
        self.parts.clear();
    }

    /// Adds the verdicts on the next records. The columns must be checked.
    pub fn push_columns(&mut self, columns: Columns) {
        self.parts.push(Part::Columns(Box::new(columns)));
    }

    /// Adds the failure of the next record.
    pub fn push_failure(&mut self, failure: Failure<'static>) {
        self.parts.push(Part::Failed(failure));
    }

    /// The number of judged records.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| if let Part::Columns(columns) = part { columns.statuses.len() } else { 1 }).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The parts, in the order of the records.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Takes the parts, in the order of the records.
    pub fn drain(&mut self) -> impl Iterator<Item = Part> {
        self.parts.drain(..)
    }

    /// The verdicts, in the order of the records.
    pub fn iter(&self) -> impl Iterator<Item = Verdict<'_>> {
        self.parts.iter().flat_map(|part| {
            let (columns, failure) = match part {
                Part::Columns(columns) => (Some(columns), None),
                Part::Failed(failure) => (None, Some(Verdict::Failed(failure.clone()))),
            };
            columns.into_iter().flat_map(|columns| columns.verdicts()).chain(failure)
        })
    }
}

#[cfg(test)]
mod tests;
