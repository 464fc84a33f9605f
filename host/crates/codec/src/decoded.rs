//! The decoded form of some records of a batch.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use mapper_core::record::{Batch, Column, Record};
use mapper_core::verdict::{Failure, FailureKind};
use mapper_pipeline::Unavailable;
use mapper_schemas::{DecodeError, Decoder, KEY_HEADER, SchemaSource, VALUE_HEADER};

use crate::mapper::Codec;

/// The decoded bytes after which the other records of a batch wait for the next call: a few bytes can stand for long JSON.
const MAX_BYTES: usize = 8 << 20;

type AnyDecoder = Decoder<Arc<dyn SchemaSource>>;

/// Records that are decoded and not judged yet.
pub(crate) struct DecodedBatch {
    keys: Option<AnyDecoder>,
    values: Option<AnyDecoder>,
    /// The records from `first` on. A record that can't be decoded has neither key nor value here.
    batch: Batch,
    /// The index of the first decoded record in the batch of the source.
    first: usize,
    /// The records that are not judged yet.
    left: Range<usize>,
    /// The records that can't be decoded, by their index.
    failures: VecDeque<(usize, Failure<'static>)>,
    has_schema_headers: bool,
}

impl DecodedBatch {
    pub(crate) fn new(codec: &Codec) -> Self {
        let decoder = |format| Decoder::new(codec.schemas.clone(), format);
        Self {
            keys: codec.input_key.map(decoder),
            values: codec.input_value.map(decoder),
            batch: Batch::new(""),
            first: 0,
            left: 0..0,
            failures: VecDeque::new(),
            has_schema_headers: false,
        }
    }

    /// Whether these records are decoded. The first ones of a batch never are: another batch may have had them.
    pub(crate) fn is_prepared(&self, records: &Range<usize>) -> bool {
        self.left.start == records.start && !self.left.is_empty()
    }

    /// Decodes records, as many as fit into memory.
    ///
    /// # Errors
    /// If the registry has no answer about a schema. Then no record is decoded.
    pub(crate) fn prepare(&mut self, batch: &Batch, records: Range<usize>) -> Result<(), Unavailable> {
        // The rest of a batch follows records of the same batch that are judged. Another batch begins at its first record.
        if records.start > 0 && self.is_prepared(&records) {
            return Ok(());
        }
        self.clear(batch, records.start);
        for index in records {
            if let Err(reason) = self.add(index, batch.record(index)) {
                self.clear(batch, 0);
                return Err(Unavailable { reason });
            }
            self.left.end = index + 1;
            if self.batch.keys.bytes.len() + self.batch.values.bytes.len() >= MAX_BYTES {
                break;
            }
        }
        self.copy_other_columns(batch);
        Ok(())
    }

    fn clear(&mut self, batch: &Batch, first: usize) {
        self.batch.clear();
        self.batch.topics = batch.topics.clone();
        self.batch.origins = None;
        self.failures.clear();
        self.has_schema_headers = false;
        self.first = first;
        self.left = first..first;
    }

    /// Decodes the key and the value of a record.
    ///
    /// # Errors
    /// The reason why the registry has no answer.
    fn add(&mut self, index: usize, record: Record<'_>) -> Result<(), String> {
        let header = |name: &str| record.headers().filter(|(known, _)| *known == name.as_bytes()).last();
        let (key_header, value_header) = (header(KEY_HEADER), header(VALUE_HEADER));
        self.has_schema_headers |= key_header.is_some() || value_header.is_some();
        let key_header = key_header.and_then(|(_, value)| value);
        let value_header = value_header.and_then(|(_, value)| value);
        let decoded = push(self.keys.as_mut(), &mut self.batch.keys, record.key(), key_header, "key")?;
        let values = &mut self.batch.values;
        let decoded = match decoded {
            Ok(()) => push(self.values.as_mut(), values, record.value(), value_header, "value")?,
            failed => {
                values.push(None);
                failed
            }
        };
        if let Err(message) = decoded {
            self.failures.push_back((index, Failure::new(FailureKind::Undecodable, message)));
        }
        Ok(())
    }

    fn copy_other_columns(&mut self, batch: &Batch) {
        let records = self.left.clone();
        self.batch.partitions.extend_from_slice(&batch.partitions[records.clone()]);
        self.batch.offsets.extend_from_slice(&batch.offsets[records.clone()]);
        self.batch.timestamps_ms.extend_from_slice(&batch.timestamps_ms[records.clone()]);
        self.batch.headers = batch.headers.slice(records.clone());
        self.batch.origins = batch.origins.as_ref().map(|origins| Box::new(origins.slice(records)));
    }

    pub(crate) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The end of the decoded records.
    pub(crate) fn end(&self) -> usize {
        self.left.end
    }

    /// The indexes in the decoded batch of records of the source's batch.
    pub(crate) fn indexes(&self, records: &Range<usize>) -> Range<usize> {
        records.start - self.first..records.end - self.first
    }

    /// The failure of a record, if it can't be decoded.
    pub(crate) fn take_failure(&mut self, index: usize) -> Option<Failure<'static>> {
        self.failures.pop_front_if(|(failed, _)| *failed == index).map(|(_, failure)| failure)
    }

    /// The end of the records from `at` on that can all be decoded.
    pub(crate) fn end_of_run(&self, at: usize) -> usize {
        self.failures.front().map_or(self.left.end, |(failed, _)| (*failed).max(at))
    }

    /// Whether a record names a schema in a header.
    pub(crate) fn has_schema_headers(&self) -> bool {
        self.has_schema_headers
    }

    /// The records before this index are judged.
    pub(crate) fn judged(&mut self, next: usize) {
        self.left.start = next.min(self.left.end);
    }
}

/// Adds a key or a value to a column. The inner error is the message of the record's failure.
///
/// # Errors
/// The reason why the registry has no answer.
fn push(
    decoder: Option<&mut AnyDecoder>,
    column: &mut Column,
    item: Option<&[u8]>,
    header: Option<&[u8]>,
    what: &str,
) -> Result<Result<(), String>, String> {
    let (Some(decoder), Some(bytes)) = (decoder, item) else {
        column.push(item);
        return Ok(Ok(()));
    };
    match decoder.decode(bytes, header, &mut column.bytes) {
        Ok(_) => {
            column.end_item();
            Ok(Ok(()))
        }
        Err(DecodeError::Undecodable(error)) => {
            column.push(None);
            Ok(Err(format!("the {what} can't be decoded: {error}")))
        }
        Err(DecodeError::NoAnswer(error)) => Err(error.to_string()),
    }
}
