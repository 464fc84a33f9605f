//! Reads JSON with unknown fields: takes them out of the objects, and adds their bytes to the messages.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::prost::Message;
use prost_reflect::prost::encoding::DecodeContext;
use prost_reflect::{DynamicMessage, Kind, MapKey, MessageDescriptor, UnknownField, Value};
use serde_json::Value as Json;

use super::{UNKNOWN_KEY, well_known};
use crate::error::{Failure, ValueError};

const ANY: &str = "google.protobuf.Any";

pub(super) fn read(descriptor: &MessageDescriptor, json: &[u8]) -> Result<DynamicMessage, Failure> {
    let mut json: Json = serde_json::from_slice(json).map_err(|error| ValueError::new(error.to_string()))?;
    let mut taken = Taken { path: Vec::new(), found: Vec::new() };
    taken.strip_message(&mut json, descriptor)?;
    let mut message = super::read(descriptor, json.to_string().as_bytes())?;
    for (path, bytes) in taken.found {
        add(&mut message, &path, &bytes)?;
    }
    Ok(message)
}

/// From a message to one in it.
#[derive(Clone)]
enum Step {
    Field(u32),
    Index(usize),
    Key(MapKey),
    /// The message in a `google.protobuf.Any`.
    Payload(MessageDescriptor),
}

struct Taken {
    path: Vec<Step>,
    found: Vec<(Vec<Step>, Vec<u8>)>,
}

impl Taken {
    /// Removes the unknown fields of a message and of all messages in it. The parser rejects values that do not fit the type.
    fn strip_message(&mut self, json: &mut Json, descriptor: &MessageDescriptor) -> Result<(), Failure> {
        if descriptor.full_name() == ANY {
            return self.strip_any(json, descriptor);
        }
        match json.as_object_mut() {
            Some(object) if well_known::writer(descriptor.full_name()).is_none() => {
                self.strip_object(object, descriptor)
            }
            _ => Ok(()),
        }
    }

    fn strip_any(&mut self, json: &mut Json, descriptor: &MessageDescriptor) -> Result<(), Failure> {
        let name = json.get("@type").and_then(Json::as_str).and_then(|url| Some(url.rsplit_once('/')?.1));
        let payload = name.and_then(|name| descriptor.parent_pool().get_message_by_name(name));
        let (Some(payload), Some(object)) = (payload, json.as_object_mut()) else { return Ok(()) };
        self.path.push(Step::Payload(payload.clone()));
        match object.get_mut("value") {
            Some(value) if well_known::writer(payload.full_name()).is_some() => self.strip_message(value, &payload)?,
            _ => self.strip_object(object, &payload)?,
        }
        self.path.pop();
        Ok(())
    }

    fn strip_object(
        &mut self,
        object: &mut serde_json::Map<String, Json>,
        descriptor: &MessageDescriptor,
    ) -> Result<(), Failure> {
        if let Some(unknown) = object.remove(UNKNOWN_KEY) {
            let bytes = checked(&unknown, descriptor).map_err(|error| error.in_field(UNKNOWN_KEY))?;
            self.found.push((self.path.clone(), bytes));
        }
        for (key, json) in object {
            let field = descriptor.get_field_by_json_name(key).or_else(|| descriptor.get_field_by_name(key));
            let (number, kind, is_map) = match field {
                Some(field) => (field.number(), field.kind(), field.is_map()),
                None => match descriptor.get_extension_by_json_name(key) {
                    Some(extension) => (extension.number(), extension.kind(), extension.is_map()),
                    None => continue,
                },
            };
            let Kind::Message(message) = kind else { continue };
            self.path.push(Step::Field(number));
            let result = if is_map { self.strip_map(json, &message) } else { self.strip_values(json, &message) };
            result.map_err(|error| error.in_field(key))?;
            self.path.pop();
        }
        Ok(())
    }

    fn strip_values(&mut self, json: &mut Json, descriptor: &MessageDescriptor) -> Result<(), Failure> {
        let Json::Array(items) = json else { return self.strip_message(json, descriptor) };
        for (index, item) in items.iter_mut().enumerate() {
            self.path.push(Step::Index(index));
            self.strip_message(item, descriptor).map_err(|error| error.in_index(index))?;
            self.path.pop();
        }
        Ok(())
    }

    fn strip_map(&mut self, json: &mut Json, entry: &MessageDescriptor) -> Result<(), Failure> {
        let (Json::Object(entries), Kind::Message(descriptor)) = (json, entry.map_entry_value_field().kind()) else {
            return Ok(());
        };
        for (text, value) in entries {
            let Some(key) = map_key(text, &entry.map_entry_key_field().kind()) else { continue };
            self.path.push(Step::Key(key));
            self.strip_message(value, &descriptor).map_err(|error| error.in_key(text))?;
            self.path.pop();
        }
        Ok(())
    }
}

/// The bytes of unknown fields, if the message does not have these.
fn checked(unknown: &Json, descriptor: &MessageDescriptor) -> Result<Vec<u8>, Failure> {
    let text = unknown.as_str().ok_or_else(|| ValueError::new("expected a string"))?;
    let bytes = STANDARD.decode(text).map_err(|error| ValueError::new(format!("expected base64: {error}")))?;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let field = UnknownField::decode(&mut rest, DecodeContext::default());
        let number = field.map_err(|error| ValueError::new(error.to_string()))?.number();
        if descriptor.get_field(number).is_some() || descriptor.get_extension(number).is_some() {
            let reason = format!("the type {} has a field with the number {number}", descriptor.full_name());
            return Err(ValueError::new(reason));
        }
    }
    Ok(bytes)
}

fn map_key(text: &str, kind: &Kind) -> Option<MapKey> {
    Some(match kind {
        Kind::Bool => MapKey::Bool(text.parse().ok()?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => MapKey::I32(text.parse().ok()?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => MapKey::I64(text.parse().ok()?),
        Kind::Uint32 | Kind::Fixed32 => MapKey::U32(text.parse().ok()?),
        Kind::Uint64 | Kind::Fixed64 => MapKey::U64(text.parse().ok()?),
        _ => MapKey::String(text.to_owned()),
    })
}

/// Adds bytes to the message at a path. The parser of the JSON has accepted the path.
fn add(message: &mut DynamicMessage, path: &[Step], bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| ValueError::new(format!("unknown fields can't be added: {error}"));
    match path.split_first() {
        None => message.merge(bytes).map_err(|error| failed(&error)),
        Some((Step::Payload(descriptor), rest)) => {
            let encoded =
                message.get_field_by_number(2).and_then(|bytes| bytes.as_bytes().cloned()).unwrap_or_default();
            let mut payload = DynamicMessage::decode(descriptor.clone(), encoded).map_err(|error| failed(&error))?;
            add(&mut payload, rest, bytes)?;
            message.set_field_by_number(2, Value::Bytes(payload.encode_to_vec().into()));
            Ok(())
        }
        Some((Step::Field(number), mut rest)) => {
            let mut value = message.get_field_by_number_mut(*number);
            while let Some((step @ (Step::Index(_) | Step::Key(_)), after)) = rest.split_first() {
                rest = after;
                value = value.and_then(|value| match step {
                    Step::Index(index) => value.as_list_mut()?.get_mut(*index),
                    Step::Key(key) => value.as_map_mut()?.get_mut(key),
                    Step::Field(_) | Step::Payload(_) => None,
                });
            }
            let inner = value.and_then(Value::as_message_mut).ok_or_else(|| failed(&"the object is not a message"))?;
            add(inner, rest, bytes)
        }
        Some((Step::Index(_) | Step::Key(_), _)) => Err(failed(&"the object is not a message")),
    }
}
