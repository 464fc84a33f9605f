//! Converts between the host's columns and the generated types of both worlds.

use super::bindings::batch_world::exports::mapper_host::mapper::batch_mapper as flat;
use super::bindings::record_world::mapper_host::mapper::types as single;
use mapper_core::record::{self, BYTES, Batch, Column, HeaderTable, KEEP, NULL, Record};
use mapper_core::verdict::{Columns, OutputHeaders, OutputTopics};

/// Header names as UTF-8, which the contract requires; `None` if they already are.
pub(super) fn header_names(table: &HeaderTable) -> Option<Column> {
    if std::str::from_utf8(&table.names.bytes).is_ok() {
        return None;
    }
    let mut names = Column::default();
    for index in 0..table.names.len() {
        names.push(Some(String::from_utf8_lossy(table.names.bytes_of(index)).as_bytes()));
    }
    Some(names)
}

fn column(column: &Column) -> flat::ColumnParam<'_> {
    flat::ColumnParam { bytes: &column.bytes, ends: &column.ends, marks: &column.marks }
}

/// A batch of one topic, with its partitions, for the world `mapper-batch`.
pub(super) fn batch<'a>(batch: &'a Batch, partitions: &'a [i32], names: &'a Option<Column>) -> flat::Batch<'a> {
    let table = &batch.headers;
    flat::Batch {
        topic: batch.topic(),
        partitions,
        offsets: batch.offsets_of_topic(),
        timestamps_ms: &batch.timestamps_ms,
        keys: column(&batch.keys),
        values: column(&batch.values),
        headers: (!table.names.is_empty()).then(|| flat::HeaderTableParam {
            ends: &table.ends,
            names: column(names.as_ref().unwrap_or(&table.names)),
            values: column(&table.values),
        }),
    }
}

fn own_column(column: flat::ColumnResult) -> Column {
    Column { bytes: column.bytes, ends: column.ends, marks: column.marks }
}

/// Columns from the world `mapper-batch`, not yet checked.
pub(super) fn columns(verdicts: flat::Verdicts) -> Columns {
    let outputs = verdicts.outputs;
    Columns {
        statuses: verdicts.statuses,
        output_ends: verdicts.output_ends,
        errors: own_column(verdicts.errors),
        values: own_column(outputs.values),
        keys: outputs.keys.map(own_column),
        topics: outputs.topics.map(|topics| OutputTopics { names: topics.names, indexes: topics.indexes }),
        headers: outputs.headers.map(|headers| OutputHeaders {
            marks: headers.marks,
            table: HeaderTable {
                ends: headers.table.ends,
                names: own_column(headers.table.names),
                values: own_column(headers.table.values),
            },
        }),
        timestamps_ms: outputs.timestamps_ms,
    }
}

/// Passes a record to `call`, in the types of the world `mapper`.
pub(super) fn with_input<T>(record: Record<'_>, call: impl FnOnce(single::Input<'_>) -> T) -> T {
    let names: Vec<_> = record.headers().map(|(name, value)| (String::from_utf8_lossy(name), value)).collect();
    let headers: Vec<_> = names.iter().map(|(name, value)| single::HeaderParam { name, value: *value }).collect();
    call(single::Input {
        topic: record.topic(),
        partition: record.partition(),
        offset: record.offset(),
        timestamp_ms: record.timestamp_ms(),
        key: record.key(),
        value: record.value(),
        headers: &headers,
    })
}

/// Builds columns from the outputs of the world `mapper`.
#[derive(Default)]
pub(super) struct RecordColumns(Columns);

impl RecordColumns {
    /// Adds the verdict on the next record.
    ///
    /// # Errors
    /// The outputs break a rule of the contract.
    pub(super) fn push(&mut self, outputs: Result<Vec<single::Output>, String>) -> Result<(), String> {
        let columns = &mut self.0;
        let outputs = match outputs {
            Ok(outputs) => outputs,
            Err(message) => {
                columns.errors.push(Some(message.as_bytes()));
                self.end_record(1);
                return Ok(());
            }
        };
        if let Some(timestamp) = outputs.iter().filter_map(|output| output.timestamp_ms).find(|ms| *ms < 0) {
            return Err(format!("a timestamp is {timestamp}, but it may not be negative"));
        }
        outputs.into_iter().for_each(|output| self.push_output(output));
        self.end_record(0);
        Ok(())
    }

    fn end_record(&mut self, status: u8) {
        self.0.statuses.push(status);
        self.0.output_ends.push(self.0.values.len() as u32);
    }

    fn push_output(&mut self, output: single::Output) {
        let columns = &mut self.0;
        push_content(&mut columns.values, &output.value);
        push_content(columns.keys.get_or_insert_default(), &output.key);
        columns.timestamps_ms.get_or_insert_default().push(output.timestamp_ms.unwrap_or(record::NO_TIMESTAMP));
        let topics = columns.topics.get_or_insert_default();
        topics.indexes.push(output.topic.map_or(0, |topic| {
            let known = topics.names.iter().position(|name| *name == topic).unwrap_or_else(|| {
                topics.names.push(topic);
                topics.names.len() - 1
            });
            known as u32 + 1
        }));
        let headers = columns.headers.get_or_insert_with(OutputHeaders::default);
        headers.marks.push(if output.headers.is_some() { BYTES } else { KEEP });
        for header in output.headers.unwrap_or_default() {
            headers.table.push((header.name.as_bytes(), header.value.as_deref()));
        }
        headers.table.end_record();
    }

    /// Size of all outputs and messages.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    pub(super) fn finish(self) -> Columns {
        self.0
    }
}

fn push_content(column: &mut Column, content: &single::Content) {
    match content {
        single::Content::Keep => column.push_marked(KEEP, &[]),
        single::Content::Null => column.push_marked(NULL, &[]),
        single::Content::Bytes(bytes) => column.push_marked(BYTES, bytes),
    }
}
