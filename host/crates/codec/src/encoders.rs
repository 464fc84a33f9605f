//! Encodes the outputs of a mapper.

use std::sync::Arc;

use mapper_core::record::{BYTES, Batch, Column, HeaderTable, KEEP, span};
use mapper_core::verdict::{Columns, Failure, FailureKind, OutputHeaders, Verdicts};
use mapper_schemas::{Encoder, KEY_HEADER, VALUE_HEADER};

/// The encoders of a topic. Without one, what the mapper returns is written as it is.
#[derive(Debug, Clone, Default)]
pub struct TopicEncoders {
    pub key: Option<Arc<Encoder>>,
    pub value: Option<Arc<Encoder>>,
}

/// The encoders of all output topics.
#[derive(Debug, Clone, Default)]
pub struct Encoders {
    /// By the name of the topic; the first one is the default output topic.
    topics: Vec<(Arc<str>, TopicEncoders)>,
}

/// The encoders of the outputs of some columns, by topic index.
type ByIndex<'e> = Vec<Option<&'e TopicEncoders>>;

impl Encoders {
    /// `topics` begins with the default output topic.
    pub fn new(topics: Vec<(Arc<str>, TopicEncoders)>) -> Self {
        Self { topics }
    }

    fn is_empty(&self) -> bool {
        self.topics.iter().all(|(_, encoders)| encoders.key.is_none() && encoders.value.is_none())
    }

    fn of(&self, topic: &str) -> Option<&TopicEncoders> {
        self.topics.iter().find(|(name, _)| **name == *topic).map(|(_, encoders)| encoders)
    }

    /// Adds the verdicts of these columns, with the outputs encoded. A record with an output that can't be encoded fails. `at` is the
    /// index of the first record in `batch`.
    pub(crate) fn encode(
        &self,
        mut columns: Columns,
        (batch, at): (&Batch, usize),
        has_schema_headers: bool,
        verdicts: &mut Verdicts,
    ) {
        let mut failures: Vec<(usize, String)> = Vec::new();
        if has_schema_headers {
            strip_schema_headers(&mut columns, batch, at);
        }
        if !self.is_empty() {
            let by_index = self.by_index(&columns);
            let topic = |output: usize, columns: &Columns| {
                columns.topics.as_ref().map_or(0, |topics| topics.indexes[output] as usize)
            };
            let value =
                |output: usize| by_index[topic(output, &columns)].and_then(|encoders| encoders.value.as_deref());
            let key = |output: usize| by_index[topic(output, &columns)].and_then(|encoders| encoders.key.as_deref());
            let values = encoded(&columns.values, &columns.output_ends, value, "value", &mut failures);
            let keys = columns.keys.as_ref().map(|keys| encoded(keys, &columns.output_ends, key, "key", &mut failures));
            (columns.values, columns.keys) = (values, keys);
        }
        push_with_failures(columns, failures, verdicts);
    }

    fn by_index(&self, columns: &Columns) -> ByIndex<'_> {
        let named = columns.topics.iter().flat_map(|topics| &topics.names);
        [self.topics.first().map(|(_, encoders)| encoders)].into_iter().chain(named.map(|name| self.of(name))).collect()
    }
}

/// The items of a column, each encoded by the encoder of its output. Adds the records of outputs that can't be encoded.
fn encoded<'e>(
    column: &Column,
    output_ends: &[u32],
    encoder: impl Fn(usize) -> Option<&'e Encoder>,
    what: &str,
    failures: &mut Vec<(usize, String)>,
) -> Column {
    let mut result = Column::default();
    for record in 0..output_ends.len() {
        for output in span(output_ends, record) {
            let (mark, item) = (column.mark(output), column.bytes_of(output));
            match encoder(output).filter(|_| mark == BYTES) {
                None => result.push_marked(mark, item),
                Some(encoder) => {
                    if let Err(error) = encoder.encode(item, &mut result.bytes) {
                        failures.push((record, format!("the {what} of an output can't be encoded: {error}")));
                    }
                    result.end_item();
                }
            }
        }
    }
    result
}

/// Adds the verdicts of the columns, with some records failed instead.
fn push_with_failures(columns: Columns, mut failures: Vec<(usize, String)>, verdicts: &mut Verdicts) {
    if failures.is_empty() {
        return verdicts.push_columns(columns);
    }
    failures.sort_by_key(|(record, _)| *record);
    failures.dedup_by_key(|(record, _)| *record);
    let mut next = 0;
    for (record, message) in failures {
        if next < record {
            verdicts.push_columns(columns.slice(next..record));
        }
        verdicts.push_failure(Failure::new(FailureKind::Unencodable, message));
        next = record + 1;
    }
    if next < columns.statuses.len() {
        verdicts.push_columns(columns.slice(next..columns.statuses.len()));
    }
}

/// An output that keeps the headers of its input but not its value must not keep the header with the schema of that value, and so
/// for keys.
fn strip_schema_headers(columns: &mut Columns, batch: &Batch, at: usize) {
    let mut headers = OutputHeaders::default();
    for record in 0..columns.output_ends.len() {
        for output in span(&columns.output_ends, record) {
            let keeps_key = columns.keys.as_ref().is_none_or(|keys| keys.mark(output) == KEEP);
            let keeps_value = columns.values.mark(output) == KEEP;
            let own = columns.headers.as_ref().filter(|headers| headers.marks[output] != KEEP);
            match own {
                Some(own) => {
                    headers.marks.push(BYTES);
                    own.table.headers_of(output).for_each(|header| headers.table.push(header));
                }
                None if keeps_key && keeps_value => headers.marks.push(KEEP),
                None => {
                    headers.marks.push(BYTES);
                    let is_kept = |name: &[u8]| {
                        (keeps_key || name != KEY_HEADER.as_bytes()) && (keeps_value || name != VALUE_HEADER.as_bytes())
                    };
                    push_headers(&mut headers.table, batch, at + record, is_kept);
                }
            }
            headers.table.end_record();
        }
    }
    columns.headers = Some(headers);
}

fn push_headers(table: &mut HeaderTable, batch: &Batch, record: usize, is_kept: impl Fn(&[u8]) -> bool) {
    batch.record(record).headers().filter(|(name, _)| is_kept(name)).for_each(|header| table.push(header));
}
