//! What a mapper said of each record of a batch, in the flat form it comes back in, checked before anyone reads it.

use std::borrow::Cow;
use std::fmt;

use crate::record::{BYTES, Column, HeaderTable, KEEP, NULL, Record, span};

/// Why a record failed. The word that [`FailureKind::name`] gives is used in headers, logs and metrics alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureKind {
    /// The mapper returned an error.
    Rejected,
    /// The guest trapped.
    Trap,
    /// The guest took longer than it may.
    Timeout,
    /// The guest needed more memory than it may have.
    OutOfMemory,
    /// What the guest returned breaks a rule of the contract.
    InvalidOutput,
    /// An output is larger than its topic takes, or the outputs of one record than a guest may return.
    Oversize,
    /// The broker rejected an output for what it is, or is certain to.
    Undeliverable,
    /// The record, alone in the call, took the host down again and again; it was not given to the mapper any more.
    HostCrash,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Rejected,
        Self::Trap,
        Self::Timeout,
        Self::OutOfMemory,
        Self::InvalidOutput,
        Self::Oversize,
        Self::Undeliverable,
        Self::HostCrash,
    ];

    /// The kind as one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::OutOfMemory => "out-of-memory",
            Self::InvalidOutput => "invalid-output",
            Self::Oversize => "oversize",
            Self::Undeliverable => "undeliverable",
            Self::HostCrash => "host-crash",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why one record failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure<'a> {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What the mapper, or the host, says of it.
    pub message: Cow<'a, str>,
    /// Where the guest was and what it had logged for this record, one item a line; empty when there is nothing to say.
    pub details: Cow<'a, str>,
}

impl Failure<'_> {
    /// Message and details as one text, for a person.
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
    /// The names that `indexes` point at.
    pub names: Vec<String>,
    /// Per output.
    pub indexes: Vec<u32>,
}

/// The headers of outputs: [`KEEP`] for those of the input, else [`BYTES`] and what the table has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputHeaders {
    /// Per output.
    pub marks: Vec<u8>,
    /// Per output.
    pub table: HeaderTable,
}

/// The verdicts on a run of records, in flat columns. Read only once [`Columns::check`] has passed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// Per record: 0 mapped, 1 rejected.
    pub statuses: Vec<u8>,
    /// Per record: the outputs of it and all before it.
    pub output_ends: Vec<u32>,
    /// Per rejected record: its message.
    pub errors: Column,
    /// Per output.
    pub values: Column,
    /// Per output; `None`: all keep theirs.
    pub keys: Option<Column>,
    /// Per output; `None`: all go to the default output topic.
    pub topics: Option<OutputTopics>,
    /// Per output; `None`: all keep theirs.
    pub headers: Option<OutputHeaders>,
    /// Per output, -1 to keep; `None`: all keep theirs.
    pub timestamps_ms: Option<Vec<i64>>,
}

/// One output, borrowed from its columns; what is kept is filled in from the input record.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    columns: &'a Columns,
    index: usize,
}

/// What became of one record.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// These outputs; none at all skips it.
    Mapped(Outputs<'a>),
    /// It failed.
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
    /// Checks every rule of `wit/mapper.wit` that could make reading these columns go wrong.
    ///
    /// # Errors
    /// The rule that is broken, in words.
    pub fn check(&self, records: usize) -> Result<(), String> {
        same("statuses", self.statuses.len(), records)?;
        same("output-ends", self.output_ends.len(), records)?;
        if let Some(status) = self.statuses.iter().find(|status| **status > 1) {
            return Err(format!("a status is {status}, but only 0 and 1 are known"));
        }
        let outputs = self.values.len();
        ends("output-ends", &self.output_ends, outputs)?;
        for (index, _) in self.statuses.iter().enumerate().filter(|(_, status)| **status == 1) {
            if !span(&self.output_ends, index).is_empty() {
                return Err(format!("record {index} of the batch is rejected and yet has outputs"));
            }
        }
        let rejected = self.statuses.iter().filter(|status| **status == 1).count();
        column("errors", &self.errors, rejected, &[BYTES])?;
        column("values", &self.values, outputs, &[BYTES, NULL, KEEP])?;
        if let Some(keys) = &self.keys {
            column("keys", keys, outputs, &[BYTES, NULL, KEEP])?;
        }
        if let Some(timestamps) = &self.timestamps_ms {
            same("timestamps-ms", timestamps.len(), outputs)?;
            if let Some(timestamp) = timestamps.iter().find(|timestamp| **timestamp < -1) {
                return Err(format!("a timestamp is {timestamp}, but it may not be negative"));
            }
        }
        if let Some(topics) = &self.topics {
            same("topics.indexes", topics.indexes.len(), outputs)?;
            if let Some(index) = topics.indexes.iter().find(|index| **index as usize > topics.names.len()) {
                return Err(format!("a topic index is {index}, but there are {} topic names", topics.names.len()));
            }
        }
        self.headers.as_ref().map_or(Ok(()), |headers| check_headers(headers, outputs))
    }

    /// The bytes of all keys, values, headers and messages.
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

    /// The verdicts in the order of the records.
    pub fn verdicts(&self) -> impl Iterator<Item = Verdict<'_>> {
        let mut rejected = 0;
        (0..self.statuses.len()).map(move |index| {
            let verdict = self.verdict(index, rejected);
            rejected += usize::from(self.statuses[index]);
            verdict
        })
    }

    /// The verdict on a record.
    pub fn verdict(&self, index: usize, rejected_before: usize) -> Verdict<'_> {
        if self.statuses[index] == 1 {
            let message = String::from_utf8_lossy(self.errors.bytes_of(rejected_before));
            return Verdict::Failed(Failure::new(FailureKind::Rejected, message));
        }
        Verdict::Mapped(Outputs { columns: self, range: span(&self.output_ends, index) })
    }
}

fn check_headers(headers: &OutputHeaders, outputs: usize) -> Result<(), String> {
    same("headers.marks", headers.marks.len(), outputs)?;
    same("headers.table.ends", headers.table.ends.len(), outputs)?;
    let count = headers.table.names.len();
    ends("headers.table.ends", &headers.table.ends, count)?;
    column("headers.table.names", &headers.table.names, count, &[BYTES])?;
    column("headers.table.values", &headers.table.values, count, &[BYTES, NULL])?;
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
    // librdkafka, and every reader that is built on it, ends a name there.
    if name.contains(&0) {
        return Err(format!("a header name has a NUL byte, at which most readers cut it: {:?}", shown()));
    }
    Ok(())
}

fn same(what: &str, got: usize, wanted: usize) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{what} has {got} items instead of {wanted}")) }
}

fn ends(what: &str, ends: &[u32], wanted: usize) -> Result<(), String> {
    if let Some(index) = ends.windows(2).position(|pair| pair[0] > pair[1]) {
        return Err(format!("{what} decreases after item {index}"));
    }
    let last = ends.last().map_or(0, |last| *last as usize);
    if last == wanted { Ok(()) } else { Err(format!("{what} ends at {last} instead of {wanted}")) }
}

fn column(what: &str, column: &Column, items: usize, marks: &[u8]) -> Result<(), String> {
    same(what, column.len(), items)?;
    ends(what, &column.ends, column.bytes.len())?;
    if column.marks.is_empty() {
        return Ok(());
    }
    same(&format!("{what}.marks"), column.marks.len(), items)?;
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
    /// Its topic by name; `None` is the default output topic.
    pub fn topic(&self) -> Option<&'a str> {
        let topics = self.columns.topics.as_ref()?;
        (topics.indexes[self.index] as usize).checked_sub(1).map(|name| topics.names[name].as_str())
    }

    /// Its key; `None` is Kafka's null.
    pub fn key(&self, input: Record<'a>) -> Option<&'a [u8]> {
        self.columns.keys.as_ref().map_or(input.key(), |keys| keep_or(keys, self.index, input.key()))
    }

    /// Its value; `None` is Kafka's null.
    pub fn value(&self, input: Record<'a>) -> Option<&'a [u8]> {
        keep_or(&self.columns.values, self.index, input.value())
    }

    /// The headers it sets; `None` keeps those of the input.
    pub fn own_headers(&self) -> Option<impl ExactSizeIterator<Item = crate::record::Header<'a>> + Clone + use<'a>> {
        let headers = self.columns.headers.as_ref()?;
        (headers.marks[self.index] != KEEP).then(|| headers.table.of(self.index))
    }

    /// Milliseconds since 1970, if it or its input has a timestamp.
    pub fn timestamp_ms(&self, input: Record<'_>) -> Option<i64> {
        let own = self.columns.timestamps_ms.as_ref().map(|timestamps| timestamps[self.index]);
        own.filter(|timestamp| *timestamp >= 0).or_else(|| input.timestamp_ms())
    }
}

/// The verdicts on a whole batch: usually one run of columns, more when the batch had to be taken apart.
#[derive(Debug, Default)]
pub struct Verdicts {
    parts: Vec<Part>,
}

/// The verdicts on records that follow each other.
#[derive(Debug)]
pub enum Part {
    /// The mapper came back with these.
    Columns(Box<Columns>),
    /// The host says that this one record failed.
    Failed(Failure<'static>),
}

impl Verdicts {
    /// Removes all verdicts.
    pub fn clear(&mut self) {
        self.parts.clear();
    }

    /// Adds the verdicts on the next records; the columns have passed their check.
    pub fn push_columns(&mut self, columns: Columns) {
        self.parts.push(Part::Columns(Box::new(columns)));
    }

    /// Adds a failure of the next record.
    pub fn push_failure(&mut self, failure: Failure<'static>) {
        self.parts.push(Part::Failed(failure));
    }

    /// The number of records judged.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| if let Part::Columns(columns) = part { columns.statuses.len() } else { 1 }).sum()
    }

    /// Whether no record was judged.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The verdicts in the order of the records, as they were added.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The verdicts in the order of the records, one by one.
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
