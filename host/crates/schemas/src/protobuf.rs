//! Protobuf: messages in the wire format, to their canonical JSON and back.

mod compile;
mod locate;
mod unknown;
mod well_known;
mod write;

#[cfg(test)]
mod tests;

use prost_reflect::prost::Message;
use prost_reflect::{DeserializeOptions, DynamicMessage, FileDescriptor, MessageDescriptor, Value};

use crate::error::{Failure, SchemaError, ValueError, shortened};
use crate::json::check_levels;
use crate::limits::Limits;
use crate::wire::read_indexes;

/// The key in the JSON object of a message that has its unknown fields: bytes of the wire format, as base64.
const UNKNOWN_KEY: &str = "@unknown";

/// Levels of JSON that no decoder refuses: each is at most four messages of a `google.protobuf.Struct`, and decoders read 100.
const MAX_STRUCT_LEVELS: usize = 24;

/// The treatment of fields that a message has and its schema does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum UnknownFields {
    /// They are in the JSON object, under the key `@unknown`, and are written back from there.
    #[default]
    Keep,
    /// The message is not decoded.
    Refuse,
}

/// A compiled file with its imports.
#[derive(Debug)]
pub(crate) struct ProtobufSchema {
    file: FileDescriptor,
    unknown_fields: UnknownFields,
    /// Whether a message type can lack a field that it must have.
    has_required: bool,
    limits: Limits,
}

impl ProtobufSchema {
    /// Compiles the text of a file. `references` are the files that it imports, directly or not, by the names of the imports.
    pub(crate) fn parse(
        text: &str,
        references: &[(&str, &str)],
        unknown_fields: UnknownFields,
        limits: Limits,
    ) -> Result<Self, SchemaError> {
        let file = compile::compile(text, references, limits)?;
        let has_required =
            file.parent_pool().all_messages().any(|message| message.fields().any(|field| field.is_required()));
        Ok(Self { file, unknown_fields, has_required, limits })
    }

    /// The message type at a path of the file: the index of a message, then those of messages within it. `indexes` are as they are on
    /// the wire.
    pub(crate) fn message_at(&self, indexes: &[u8]) -> Result<MessageDescriptor, Failure> {
        let indexes = read_indexes(indexes)?;
        let missing = || ValueError::new(format!("the schema has no message type at the indexes {indexes:?}"));
        let (first, inner) = indexes.split_first().ok_or_else(missing)?;
        let mut message = self.file.messages().nth(*first as usize).ok_or_else(missing)?;
        for index in inner {
            let inner = message.child_messages().nth(*index as usize);
            message = inner.ok_or_else(missing)?;
        }
        if message.is_map_entry() { Err(missing()) } else { Ok(message) }
    }

    /// The path of a message type by its full name; without a name, that of the first type.
    pub(crate) fn indexes_of(&self, name: Option<&str>) -> Option<Vec<u32>> {
        let Some(name) = name else { return self.file.messages().next().map(|_| vec![0]) };
        let message =
            self.file.parent_pool().get_message_by_name(name).filter(|message| message.parent_file() == self.file)?;
        // A path in the file is the number of the field `message_type`, an index, the number of `nested_type`, an index, and so on.
        message.path().chunks(2).map(|step| u32::try_from(*step.get(1)?).ok()).collect()
    }

    /// Appends a message as JSON. After an error, `out` is as it was.
    pub(crate) fn decode(
        &self,
        descriptor: &MessageDescriptor,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let start = out.len();
        let result = DynamicMessage::decode(descriptor.clone(), bytes)
            .map_err(|error| locate::locate(descriptor, bytes, &error))
            .and_then(|message| write::write(&message, self.unknown_fields, self.limits, out));
        result.inspect_err(|_| out.truncate(start))
    }

    /// Appends a JSON object in the wire format. After an error, `out` is as it was.
    pub(crate) fn encode(&self, descriptor: &MessageDescriptor, json: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        let levels = check_levels(json, self.limits)?;
        let has_unknown = json.windows(UNKNOWN_KEY.len()).any(|window| window == UNKNOWN_KEY.as_bytes());
        let message = if has_unknown { unknown::read(descriptor, json) } else { read(descriptor, json) }?;
        if self.has_required {
            check_required(&message)?;
        }
        let start = out.len();
        out.reserve(message.encoded_len());
        // A `Vec` takes all bytes.
        let _ = message.encode(out);
        // A level of a `google.protobuf.Struct` is several of messages, for which decoders have a limit.
        if levels > MAX_STRUCT_LEVELS {
            DynamicMessage::decode(descriptor.clone(), &out[start..]).map_err(|error| {
                out.truncate(start);
                ValueError::new(format!("the message can't be read back: {error}"))
            })?;
        }
        Ok(())
    }
}

const OPTIONS: DeserializeOptions = DeserializeOptions::new();

fn read(descriptor: &MessageDescriptor, json: &[u8]) -> Result<DynamicMessage, Failure> {
    let parse = || {
        let mut json = serde_json::Deserializer::from_slice(json);
        let message = DynamicMessage::deserialize_with_options(descriptor.clone(), &mut json, &OPTIONS)?;
        json.end()?;
        Ok(message)
    };
    parse().map_err(|error: serde_json::Error| {
        // Once more, for the path.
        let mut track = serde_path_to_error::Track::new();
        let mut json = serde_json::Deserializer::from_slice(json);
        let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
        let _ = DynamicMessage::deserialize_with_options(descriptor.clone(), tracked, &OPTIONS);
        with_path(&error.to_string(), &track.path())
    })
}

fn with_path(reason: &str, path: &serde_path_to_error::Path) -> Failure {
    use serde_path_to_error::Segment;

    let mut failure = ValueError::new(reason.to_owned());
    let segments: Vec<_> = path.iter().collect();
    for segment in segments.into_iter().rev() {
        failure = match segment {
            Segment::Seq { index } => failure.in_index(*index),
            Segment::Map { key } => failure.in_field(key),
            Segment::Enum { variant } => failure.in_field(variant),
            Segment::Unknown => failure,
        };
    }
    failure
}

/// Fails if a message, or one in it, lacks a required field.
fn check_required(message: &DynamicMessage) -> Result<(), Failure> {
    use prost_reflect::ReflectMessage;

    let descriptor = message.descriptor();
    if let Some(missing) = descriptor.fields().find(|field| field.is_required() && !message.has_field(field)) {
        return Err(ValueError::new("the field is missing and required").in_field(missing.json_name()));
    }
    for (field, value) in message.fields() {
        check_required_in(value).map_err(|error| error.in_field(field.json_name()))?;
    }
    for (extension, value) in message.extensions() {
        check_required_in(value).map_err(|error| error.in_field(extension.json_name()))?;
    }
    Ok(())
}

fn check_required_in(value: &Value) -> Result<(), Failure> {
    match value {
        Value::Message(message) => check_required(message),
        Value::List(values) => values
            .iter()
            .enumerate()
            .try_for_each(|(index, value)| check_required_in(value).map_err(|error| error.in_index(index))),
        Value::Map(values) => values.iter().try_for_each(|(key, value)| {
            check_required_in(value).map_err(|error| error.in_key(&shortened(&write::key_text(key))))
        }),
        _ => Ok(()),
    }
}
