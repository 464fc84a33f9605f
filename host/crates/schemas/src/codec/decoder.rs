//! Decodes the values of records.

use std::sync::Arc;

use prost_reflect::MessageDescriptor;

use super::{CodecError, DecodeError};
use crate::cache::SchemaCache;
use crate::error::{Failure, ValueError};
use crate::registry::{Format, SchemaSource, UnusableSchema};
use crate::schema::{Parsed, Schema};
use crate::wire::{Framed, SchemaId};

/// The expected format of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputFormat {
    /// Every value has a schema of this format.
    Only(Format),
    /// A value without the id of a schema that the registry has is passed as it is.
    Auto,
}

/// The form of an appended value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded {
    Json(SchemaId),
    /// The value itself.
    Raw,
}

/// One for each worker, and for keys and values: it remembers the schema of the last value, so a run of values with equal ids costs one
/// look-up.
pub struct Decoder<S> {
    cache: Arc<SchemaCache<S>>,
    format: InputFormat,
    last: Option<Arc<Schema>>,
    /// The last message type of `last`, with its indexes on the wire.
    last_message: Option<(Vec<u8>, MessageDescriptor)>,
}

impl<S: SchemaSource> Decoder<S> {
    pub fn new(cache: Arc<SchemaCache<S>>, format: InputFormat) -> Self {
        Self { cache, format, last: None, last_message: None }
    }

    /// Appends a value as JSON. `header` is that of the record with the GUID of the schema, if it has one. After an error, `out` is as
    /// it was.
    pub fn decode(&mut self, value: &[u8], header: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Decoded, DecodeError> {
        let is_auto = self.format == InputFormat::Auto;
        let framed = match Framed::parse(value, header) {
            Ok(framed) => framed,
            Err(_) if is_auto && header.is_none() => return Ok(raw(value, out)),
            Err(error) => return Err(undecodable(None, None, error)),
        };
        let id = framed.schema;
        if self.last.as_ref().is_none_or(|last| last.id != id) {
            match self.cache.get(id).map_err(DecodeError::NoAnswer)? {
                Ok(schema) => {
                    self.last = Some(schema);
                    self.last_message = None;
                }
                Err(UnusableSchema::Denied { .. }) if is_auto => return Ok(raw(value, out)),
                Err(reason) => return Err(undecodable(Some(id), None, ValueError::new(reason.to_string()))),
            }
        }
        let Some(schema) = &self.last else { return Ok(raw(value, out)) };
        let format = schema.source.format;
        if let InputFormat::Only(expected) = self.format
            && expected != format
        {
            return Err(undecodable(
                Some(id),
                Some(format),
                ValueError::new(format!("expected the format {expected}")),
            ));
        }
        let result = match &schema.parsed {
            Parsed::Avro(avro) => framed.payload().and_then(|payload| avro.decode(payload, out)),
            Parsed::Json(json) => framed.payload().and_then(|payload| json.check(payload, out)),
            Parsed::Protobuf(protobuf) => framed.message().and_then(|(indexes, message)| {
                let is_last = self.last_message.as_ref().is_some_and(|(last, _)| last == indexes);
                if !is_last {
                    self.last_message = Some((indexes.to_vec(), protobuf.message_at(indexes)?));
                }
                match &self.last_message {
                    Some((_, descriptor)) => protobuf.decode(descriptor, message, out),
                    None => Ok(()),
                }
            }),
        };
        result.map(|()| Decoded::Json(id)).map_err(|error| undecodable(Some(id), Some(format), error))
    }
}

fn raw(value: &[u8], out: &mut Vec<u8>) -> Decoded {
    out.extend_from_slice(value);
    Decoded::Raw
}

fn undecodable(schema: Option<SchemaId>, format: Option<Format>, error: Failure) -> DecodeError {
    DecodeError::Undecodable(Box::new(CodecError { schema, subject: None, format, error }))
}
