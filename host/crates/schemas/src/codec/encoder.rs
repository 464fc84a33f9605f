//! Encodes the outputs of a mapper.

use std::sync::Arc;

use prost_reflect::MessageDescriptor;

use super::CodecError;
use crate::error::{Failure, SchemaError};
use crate::schema::{Parsed, Schema};
use crate::wire::{SchemaId, write_id, write_indexes};

/// The place of the schema id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identifier {
    /// Before the value.
    Prefix,
    /// In a header, [`Encoder::header`]. The value has nothing before it.
    Header([u8; 16]),
}

/// Writes values of one schema.
#[derive(Debug)]
pub struct Encoder {
    schema: Arc<Schema>,
    subject: Arc<str>,
    /// The schema id and the message indexes.
    id: Vec<u8>,
    is_prefix: bool,
    message: Option<Message>,
}

/// Apart, because the form of a descriptor for debugging has no end.
struct Message(MessageDescriptor);

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.full_name())
    }
}

impl Encoder {
    /// `message` is the full name of a message type of a Protobuf schema; without it, the first one of the file.
    pub fn new(
        schema: Arc<Schema>,
        subject: &str,
        message: Option<&str>,
        identifier: Identifier,
    ) -> Result<Self, SchemaError> {
        let mut id = Vec::new();
        let (named, is_prefix) = match identifier {
            Identifier::Prefix => (schema.id, true),
            Identifier::Header(guid) => (SchemaId::Guid(guid), false),
        };
        write_id(named, &mut id);
        let message = match &schema.parsed {
            Parsed::Protobuf(protobuf) => {
                let missing = || match message {
                    Some(name) => SchemaError::new(format!("the schema has no message type {name}")),
                    None => SchemaError::new("the schema has no message type"),
                };
                let start = id.len();
                write_indexes(&protobuf.indexes_of(message).ok_or_else(missing)?, &mut id);
                Some(Message(protobuf.message_at(&id[start..]).map_err(|_| missing())?))
            }
            Parsed::Avro(_) | Parsed::Json(_) => match message {
                Some(name) => {
                    let format = schema.source.format;
                    return Err(SchemaError::new(format!(
                        "a schema of the format {format} has no message type {name}"
                    )));
                }
                None => None,
            },
        };
        Ok(Self { schema, subject: subject.into(), id, is_prefix, message })
    }

    /// The content of the header that names the schema, if it is not before each value.
    pub fn header(&self) -> Option<&[u8]> {
        (!self.is_prefix).then_some(&self.id)
    }

    /// Appends a JSON value as it is on the wire. After an error, `out` is as it was.
    pub fn encode(&self, json: &[u8], out: &mut Vec<u8>) -> Result<(), Box<CodecError>> {
        let start = out.len();
        if self.is_prefix {
            out.extend_from_slice(&self.id);
        }
        let result = match (&self.schema.parsed, &self.message) {
            (Parsed::Avro(avro), _) => avro.encode(json, out),
            (Parsed::Json(schema), _) => schema.check(json, out),
            (Parsed::Protobuf(protobuf), Some(Message(descriptor))) => protobuf.encode(descriptor, json, out),
            (Parsed::Protobuf(_), None) => Ok(()),
        };
        result.map_err(|error: Failure| {
            out.truncate(start);
            let schema = &self.schema;
            let format = Some(schema.source.format);
            Box::new(CodecError { schema: Some(schema.id), subject: Some(self.subject.clone()), format, error })
        })
    }
}
