//! A schema that is ready for values.

use std::sync::Arc;

use crate::avro::{AvroSchema, Options};
use crate::error::SchemaError;
use crate::json_schema::JsonSchema;
use crate::limits::Limits;
use crate::protobuf::{ProtobufSchema, UnknownFields};
use crate::registry::SchemaText;
use crate::wire::SchemaId;

/// How schemas are parsed and values are converted.
#[derive(Debug, Clone, Copy, Default)]
pub struct SchemaSettings {
    pub avro: Options,
    pub unknown_fields: UnknownFields,
    pub limits: Limits,
}

#[derive(Debug)]
pub struct Schema {
    pub id: SchemaId,
    /// As the registry has it.
    pub source: SchemaText,
    pub(crate) parsed: Parsed,
}

#[derive(Debug)]
pub(crate) enum Parsed {
    Avro(AvroSchema),
    Protobuf(ProtobufSchema),
    Json(JsonSchema),
}

/// A schema that another one refers to, directly or not.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub name: Arc<str>,
    /// The same schema can have several names.
    pub subject: Arc<str>,
    pub version: u32,
    pub source: Arc<SchemaText>,
}

impl Schema {
    /// Parses a schema. Each of `references` comes after those that it refers to itself.
    pub fn parse(
        id: SchemaId,
        source: SchemaText,
        references: &[Resolved],
        settings: &SchemaSettings,
    ) -> Result<Self, SchemaError> {
        use crate::registry::Format;

        if let Some(other) = references.iter().find(|reference| reference.source.format != source.format) {
            let reason = format!(
                "its format is {}, and that of the reference {} is {}",
                source.format, other.name, other.source.format
            );
            return Err(SchemaError::new(reason));
        }
        let named: Vec<(&str, &str)> =
            references.iter().map(|reference| (&*reference.name, reference.source.text.as_str())).collect();
        let parsed = match source.format {
            Format::Avro => {
                // A schema declares its types once, whatever it is called by those that refer to it.
                let mut texts = Vec::new();
                for (index, one) in references.iter().enumerate() {
                    let is_same = |other: &Resolved| (&other.subject, other.version) == (&one.subject, one.version);
                    if !references[..index].iter().any(is_same) {
                        texts.push(one.source.text.as_str());
                    }
                }
                Parsed::Avro(AvroSchema::parse(&source.text, &texts, settings.avro, settings.limits)?)
            }
            Format::Protobuf => {
                Parsed::Protobuf(ProtobufSchema::parse(&source.text, &named, settings.unknown_fields, settings.limits)?)
            }
            Format::JsonSchema => Parsed::Json(JsonSchema::parse(&source.text, &named, settings.limits)?),
        };
        Ok(Self { id, source, parsed })
    }
}
