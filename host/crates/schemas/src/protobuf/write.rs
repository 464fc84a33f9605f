//! Writes the canonical JSON of a message: the fields by their numbers, the entries of a map by their keys.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DynamicMessage, Kind, MapKey, ReflectMessage, Value};

use super::{UNKNOWN_KEY, UnknownFields, well_known};
use crate::error::{Failure, ValueError};
use crate::json::write_string;
use crate::limits::Limits;

pub(super) fn write(
    message: &DynamicMessage,
    unknown_fields: UnknownFields,
    limits: Limits,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let most = out.len().saturating_add(limits.json_bytes);
    let mut writer = Writer { out, unknown_fields, limits, most, levels: limits.depth };
    writer.message(message)?;
    writer.check_size()
}

pub(super) struct Writer<'a> {
    pub(super) out: &'a mut Vec<u8>,
    unknown_fields: UnknownFields,
    limits: Limits,
    /// The size that `out` can have.
    most: usize,
    /// The levels that are left.
    levels: usize,
}

impl Writer<'_> {
    pub(super) fn message(&mut self, message: &DynamicMessage) -> Result<(), Failure> {
        let special = well_known::writer(message.descriptor().full_name());
        self.check_unknown(message, special.is_some())?;
        match special {
            Some(write) => write(self, message),
            None => self.object(|writer| writer.fields(message, true)),
        }
    }

    /// Writes an object, which is a level. The payload of an `Any` is a message of its own, so the limit of the Protobuf decoder does not
    /// hold for it.
    pub(super) fn object(&mut self, content: impl FnOnce(&mut Self) -> Result<(), Failure>) -> Result<(), Failure> {
        self.enter()?;
        self.out.push(b'{');
        content(self)?;
        self.out.push(b'}');
        self.levels += 1;
        Ok(())
    }

    /// The keys and values of a message in a `google.protobuf.Any`, behind the key with its type.
    pub(super) fn payload(&mut self, message: &DynamicMessage) -> Result<(), Failure> {
        self.check_unknown(message, false)?;
        self.fields(message, false)
    }

    /// Fails for unknown fields that are refused, or that are in a type whose JSON form has no place for them.
    fn check_unknown(&self, message: &DynamicMessage, is_special: bool) -> Result<(), Failure> {
        let Some(unknown) = message.unknown_fields().next() else { return Ok(()) };
        if is_special || self.unknown_fields == UnknownFields::Refuse {
            let descriptor = message.descriptor();
            let reason =
                format!("the type {} has no field with the number {}", descriptor.full_name(), unknown.number());
            return Err(ValueError::new(reason));
        }
        Ok(())
    }

    /// The keys and values of an object.
    fn fields(&mut self, message: &DynamicMessage, mut is_first: bool) -> Result<(), Failure> {
        for (field, value) in message.fields() {
            self.key(field.json_name(), &mut is_first);
            self.value(value, &field.kind()).map_err(|error| error.in_field(field.json_name()))?;
        }
        for (extension, value) in message.extensions() {
            self.key(extension.json_name(), &mut is_first);
            self.value(value, &extension.kind()).map_err(|error| error.in_field(extension.json_name()))?;
        }
        if message.unknown_fields().next().is_some() {
            self.key(UNKNOWN_KEY, &mut is_first);
            let mut bytes = Vec::new();
            message.unknown_fields().for_each(|field| field.encode(&mut bytes));
            self.text(&STANDARD.encode(bytes));
        }
        Ok(())
    }

    pub(super) fn key(&mut self, key: &str, is_first: &mut bool) {
        if !std::mem::take(is_first) {
            self.out.push(b',');
        }
        write_string(key, self.out);
        self.out.push(b':');
    }

    pub(super) fn value(&mut self, value: &Value, kind: &Kind) -> Result<(), Failure> {
        match value {
            Value::Message(message) => self.message(message),
            Value::List(values) => self.list(values, kind),
            Value::Map(values) => self.map(values, kind),
            scalar => self.scalar(scalar, kind),
        }
    }

    fn map(&mut self, values: &HashMap<MapKey, Value>, kind: &Kind) -> Result<(), Failure> {
        let Kind::Message(entry) = kind else { return Err(ValueError::new("a map without a type")) };
        let kind = entry.map_entry_value_field().kind();
        let mut sorted: Vec<_> = values.iter().collect();
        sorted.sort_unstable_by_key(|(key, _)| *key);
        self.object(|writer| {
            let mut is_first = true;
            for (key, value) in sorted {
                let key = key_text(key);
                writer.key(&key, &mut is_first);
                writer.value(value, &kind).map_err(|error| error.in_key(&key))?;
                writer.check_size()?;
            }
            Ok(())
        })
    }

    fn scalar(&mut self, value: &Value, kind: &Kind) -> Result<(), Failure> {
        match value {
            Value::Message(_) | Value::List(_) | Value::Map(_) => {}
            Value::Bool(value) => self.raw(if *value { "true" } else { "false" }),
            Value::I32(number) => self.raw(itoa::Buffer::new().format(*number)),
            Value::U32(number) => self.raw(itoa::Buffer::new().format(*number)),
            // 64 bits are a string, because the numbers of JavaScript have 53.
            Value::I64(number) => self.text(itoa::Buffer::new().format(*number)),
            Value::U64(number) => self.text(itoa::Buffer::new().format(*number)),
            Value::F32(number) if number.is_finite() => {
                let _ = serde_json::to_writer(&mut *self.out, number);
            }
            Value::F64(number) if number.is_finite() => {
                let _ = serde_json::to_writer(&mut *self.out, number);
            }
            Value::F32(number) => self.not_finite(f64::from(*number)),
            Value::F64(number) => self.not_finite(*number),
            Value::String(text) => self.text(text),
            Value::Bytes(bytes) => self.text(&STANDARD.encode(bytes)),
            Value::EnumNumber(number) => match kind {
                Kind::Enum(declared) if declared.full_name() == "google.protobuf.NullValue" => self.raw("null"),
                Kind::Enum(declared) => match declared.get_value(*number) {
                    Some(value) => self.text(value.name()),
                    None => self.raw(itoa::Buffer::new().format(*number)),
                },
                _ => return Err(ValueError::new("an enum without a type")),
            },
        }
        Ok(())
    }

    fn list(&mut self, values: &[Value], kind: &Kind) -> Result<(), Failure> {
        self.enter()?;
        self.out.push(b'[');
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.value(value, kind).map_err(|error| error.in_index(index))?;
            self.check_size()?;
        }
        self.out.push(b']');
        self.levels += 1;
        Ok(())
    }

    pub(super) fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        write_string(text, self.out);
    }

    fn not_finite(&mut self, number: f64) {
        self.text(if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        });
    }

    fn enter(&mut self) -> Result<(), Failure> {
        let levels = self.levels.checked_sub(1);
        self.levels = levels.ok_or_else(|| ValueError::new(format!("more than {} levels", self.limits.depth)))?;
        Ok(())
    }

    fn check_size(&self) -> Result<(), Failure> {
        if self.out.len() > self.most {
            return Err(ValueError::new(format!("more than {} bytes of JSON", self.limits.json_bytes)));
        }
        Ok(())
    }
}

pub(super) fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}
