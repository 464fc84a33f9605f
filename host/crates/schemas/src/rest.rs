//! The HTTP API of Confluent's schema registry, which other registries have, too: paths, bodies and statuses. The transport is a trait.

#[cfg(test)]
mod tests;

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::error::shortened;
use crate::registry::{Format, LookupError, Reference, SchemaSource, SchemaText, SubjectVersion};
use crate::wire::SchemaId;

/// The media type of bodies.
pub const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Error codes for a subject, a version or a schema that is missing or deleted. A 404 without such a code comes from a proxy or from a
/// wrong URL: the schema may exist.
const NOT_FOUND_CODES: [u32; 5] = [40401, 40402, 40403, 40404, 40406];

/// An answer over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether the same request can succeed later: a time-out, too many requests, or an error of the server.
    pub fn is_temporary(&self) -> bool {
        matches!(self.status, 408 | 429 | 500..=599)
    }
}

/// Sends requests to a registry. `path` starts with a slash, and follows the URL of the registry.
pub trait Transport: Send + Sync {
    /// # Errors
    /// [`LookupError::Unavailable`] if there is no answer in time.
    fn get(&self, path: &str) -> Result<Answer, LookupError>;

    /// # Errors
    /// [`LookupError::Unavailable`] if there is no answer in time.
    fn post(&self, path: &str, body: &[u8]) -> Result<Answer, LookupError>;
}

/// A registry behind a transport.
pub struct RestRegistry<T>(pub T);

impl<T: Transport> SchemaSource for RestRegistry<T> {
    fn by_id(&self, id: u32) -> Result<SchemaText, LookupError> {
        read::<SchemaJson>(&self.0.get(&format!("/schemas/ids/{id}"))?)?.into_text()
    }

    fn by_guid(&self, guid: [u8; 16]) -> Result<SchemaText, LookupError> {
        read::<SchemaJson>(&self.0.get(&format!("/schemas/guids/{}", SchemaId::Guid(guid)))?)?.into_text()
    }

    fn latest(&self, subject: &str) -> Result<SubjectVersion, LookupError> {
        self.subject_version(subject, "latest")
    }

    fn version(&self, subject: &str, version: u32) -> Result<SubjectVersion, LookupError> {
        self.subject_version(subject, &version.to_string())
    }

    fn register(&self, subject: &str, schema: &SchemaText) -> Result<u32, LookupError> {
        let references = schema.references.iter().map(ReferenceJson::from).collect();
        let body =
            SchemaJson { schema: schema.text.clone(), schema_type: Some(schema.format.name().to_owned()), references };
        let body = serde_json::to_vec(&body).map_err(|error| LookupError::Refused(error.to_string().into()))?;
        let answer = self.0.post(&format!("/subjects/{}/versions", segment(subject)), &body)?;
        Ok(read::<IdJson>(&answer)?.id)
    }
}

impl<T: Transport> RestRegistry<T> {
    fn subject_version(&self, subject: &str, version: &str) -> Result<SubjectVersion, LookupError> {
        let answer = self.0.get(&format!("/subjects/{}/versions/{version}", segment(subject)))?;
        let VersionJson { subject, version, id, schema } = read(&answer)?;
        Ok(SubjectVersion { subject, version, id, schema: schema.into_text()? })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaJson {
    schema: String,
    /// Absent for Avro.
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<ReferenceJson>,
}

#[derive(Serialize, Deserialize)]
struct ReferenceJson {
    name: String,
    subject: String,
    version: u32,
}

#[derive(Deserialize)]
struct VersionJson {
    subject: String,
    version: u32,
    id: u32,
    #[serde(flatten)]
    schema: SchemaJson,
}

#[derive(Deserialize)]
struct IdJson {
    id: u32,
}

#[derive(Deserialize)]
struct ErrorJson {
    error_code: u32,
    message: Option<String>,
}

impl SchemaJson {
    fn into_text(self) -> Result<SchemaText, LookupError> {
        let format = Format::from_name(self.schema_type.as_deref());
        let format = format.ok_or_else(|| {
            let name = self.schema_type.unwrap_or_default();
            LookupError::Refused(format!("the schema has the unknown type {}", shortened(&name)).into())
        })?;
        let references = self.references.into_iter().map(|ReferenceJson { name, subject, version }| Reference {
            name,
            subject,
            version,
        });
        Ok(SchemaText { format, text: self.schema, references: references.collect() })
    }
}

impl From<&Reference> for ReferenceJson {
    fn from(Reference { name, subject, version }: &Reference) -> Self {
        Self { name: name.clone(), subject: subject.clone(), version: *version }
    }
}

/// The content of an answer, or the error of its status.
fn read<J: for<'de> Deserialize<'de>>(answer: &Answer) -> Result<J, LookupError> {
    let error: Option<ErrorJson> = serde_json::from_slice(&answer.body).ok();
    let said = match &error {
        Some(ErrorJson { error_code, message }) => {
            format!(
                "the schema registry answered {} ({error_code}): {}",
                answer.status,
                shortened(message.as_deref().unwrap_or_default())
            )
        }
        None => format!("the schema registry answered {}", answer.status),
    };
    match answer.status {
        200..=299 => serde_json::from_slice(&answer.body).map_err(|error| {
            LookupError::Refused(
                format!("{said}, but not as a schema registry does: {error}. Check the URL of the registry").into(),
            )
        }),
        404 if error.as_ref().is_some_and(|error| NOT_FOUND_CODES.contains(&error.error_code)) => {
            Err(LookupError::NotFound(said.into()))
        }
        404 => Err(LookupError::Refused(
            format!("{said}, without a code of a schema registry. Check the URL of the registry").into(),
        )),
        _ if answer.is_temporary() => Err(LookupError::Unavailable(said.into())),
        401 | 403 => Err(LookupError::Refused(format!("{said}. Check the credentials for the registry").into())),
        _ => Err(LookupError::Refused(said.into())),
    }
}

/// A name as a segment of a path.
fn segment(name: &str) -> String {
    name.bytes().fold(String::with_capacity(name.len()), |mut segment, byte| {
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'~')
            || byte == b'.' && !matches!(name, "." | "..")
        {
            segment.push(byte.into());
        } else {
            // A `String` takes all text.
            let _ = write!(segment, "%{byte:02X}");
        }
        segment
    })
}
