//! The schemas of a registry, and a trait for its clients.

use std::fmt;
use std::sync::Arc;

use crate::error::SchemaError;
use crate::wire::SchemaId;

/// The kind of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Avro,
    Protobuf,
    JsonSchema,
}

impl Format {
    /// The name that registries have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::Protobuf => "PROTOBUF",
            Self::JsonSchema => "JSON",
        }
    }

    /// From the name that registries have for it; without a name it is Avro.
    pub fn from_name(name: Option<&str>) -> Option<Self> {
        match name {
            None => Some(Self::Avro),
            Some(name) => {
                [Self::Avro, Self::Protobuf, Self::JsonSchema].into_iter().find(|format| format.name() == name)
            }
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A schema as a registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaText {
    pub format: Format,
    pub text: String,
    pub references: Vec<Reference>,
}

/// A schema that another one refers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The full name of an Avro type, the import of a Protobuf file, or the `$ref` of a JSON Schema.
    pub name: String,
    pub subject: String,
    pub version: u32,
}

/// A version of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectVersion {
    pub subject: String,
    pub version: u32,
    pub id: u32,
    pub schema: SchemaText,
}

/// Why a registry has not answered with a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The registry denies that the schema exists.
    #[error("{0}")]
    NotFound(Arc<str>),
    /// The registry can't be reached, is too slow, or has answered 5xx or 429: the same request can succeed later.
    #[error("{0}")]
    Unavailable(Arc<str>),
    /// The registry refuses the request, for example because of the credentials. Waiting alone does not help, but the records are not
    /// to blame.
    #[error("{0}")]
    Refused(Arc<str>),
}

/// A client of a registry. A call blocks, and ends within a time-out.
pub trait SchemaSource: Send + Sync {
    fn by_id(&self, id: u32) -> Result<SchemaText, LookupError>;
    fn by_guid(&self, guid: [u8; 16]) -> Result<SchemaText, LookupError>;
    fn latest(&self, subject: &str) -> Result<SubjectVersion, LookupError>;
    fn version(&self, subject: &str, version: u32) -> Result<SubjectVersion, LookupError>;
    /// Registers a schema, and returns its id. A schema that the subject has keeps its id.
    fn register(&self, subject: &str, schema: &SchemaText) -> Result<u32, LookupError>;
}

impl<S: SchemaSource + ?Sized> SchemaSource for Arc<S> {
    fn by_id(&self, id: u32) -> Result<SchemaText, LookupError> {
        (**self).by_id(id)
    }

    fn by_guid(&self, guid: [u8; 16]) -> Result<SchemaText, LookupError> {
        (**self).by_guid(guid)
    }

    fn latest(&self, subject: &str) -> Result<SubjectVersion, LookupError> {
        (**self).latest(subject)
    }

    fn version(&self, subject: &str, version: u32) -> Result<SubjectVersion, LookupError> {
        (**self).version(subject, version)
    }

    fn register(&self, subject: &str, schema: &SchemaText) -> Result<u32, LookupError> {
        (**self).register(subject, schema)
    }
}

/// Why a schema can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusableSchema {
    #[error("the schema registry does not have the schema {id}: {reason}")]
    Denied { id: SchemaId, reason: Arc<str> },
    #[error("the schema {id} can't be used: {reason}")]
    Invalid { id: SchemaId, reason: SchemaError },
}
