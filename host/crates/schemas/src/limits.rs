//! The limits for schemas and values: both come from others.

use crate::error::SchemaError;

/// The most levels that a value can have; the parsers of JSON and Protobuf have limits slightly above it.
pub const MAX_DEPTH: usize = 96;

/// The limits of a schema and of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The levels of a value: records, arrays and maps within each other. At most [`MAX_DEPTH`].
    pub depth: usize,
    /// The size of a value as JSON, in bytes.
    pub json_bytes: usize,
    /// The size of a schema with all schemas that it refers to, in bytes.
    pub schema_bytes: usize,
    /// The number of schemas that a schema refers to, directly or not.
    pub references: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64, json_bytes: 64 << 20, schema_bytes: 4 << 20, references: 256 }
    }
}

impl Limits {
    /// Fails if a schema is too large with those that it refers to.
    pub(crate) fn check_schema<'t>(
        self,
        text: &str,
        references: impl Iterator<Item = &'t str>,
    ) -> Result<(), SchemaError> {
        let size = references.fold(text.len(), |size, reference| size + reference.len());
        if size > self.schema_bytes {
            return Err(SchemaError::new(format!("the schema has {size} bytes, more than {}", self.schema_bytes)));
        }
        Ok(())
    }
}
