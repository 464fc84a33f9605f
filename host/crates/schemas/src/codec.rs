//! Between the wire format of a topic and the JSON that a mapper reads and writes.

mod decoder;
mod encoder;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use crate::error::ValueError;
use crate::registry::{Format, LookupError};
use crate::wire::SchemaId;

pub use decoder::{Decoded, Decoder, InputFormat};
pub use encoder::{Encoder, Identifier};

/// A value that can't be decoded or encoded: the fault of the record or of the mapper, not of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecError {
    pub schema: Option<SchemaId>,
    pub subject: Option<Arc<str>>,
    /// The format of the schema, if it is known.
    pub format: Option<Format>,
    pub error: Box<ValueError>,
}

impl std::error::Error for CodecError {}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.format, self.schema) {
            (Some(format), Some(id)) => write!(f, "{format} schema {id}")?,
            (None, Some(id)) => write!(f, "schema {id}")?,
            (_, None) => return write!(f, "{}", self.error),
        }
        if let Some(subject) = &self.subject {
            write!(f, " of the subject {subject}")?;
        }
        write!(f, ": {}", self.error)
    }
}

/// Why a value is not decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error(transparent)]
    Undecodable(Box<CodecError>),
    /// The schema is not known yet. The record waits.
    #[error(transparent)]
    NoAnswer(LookupError),
}
