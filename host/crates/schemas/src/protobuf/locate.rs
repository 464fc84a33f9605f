//! Finds the field of a message that can't be decoded: the decoder does not say which.

use prost_reflect::prost::DecodeError;
use prost_reflect::prost::encoding::{DecodeContext, WireType, decode_key, skip_field};
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor};

use crate::error::{Failure, ValueError};

/// The failure of a message, with the path of the innermost field that fails alone.
pub(super) fn locate(descriptor: &MessageDescriptor, bytes: &[u8], error: &DecodeError) -> Failure {
    let mut rest = bytes;
    let mut seen: Vec<u32> = Vec::new();
    while !rest.is_empty() {
        let field_bytes = rest;
        let Ok((number, wire_type)) = decode_key(&mut rest) else { break };
        let content = rest;
        let is_whole = skip_field(wire_type, number, &mut rest, DecodeContext::default()).is_ok();
        let Some(field) = descriptor.get_field(number) else { if is_whole { continue } else { break } };
        let length = field_bytes.len() - rest.len();
        let alone = if is_whole {
            DynamicMessage::decode(descriptor.clone(), &field_bytes[..length]).err()
        } else {
            Some(error.clone())
        };
        let Some(alone) = alone else {
            seen.push(number);
            continue;
        };
        let mut content = &content[..content.len() - rest.len()];
        let inner = match field.kind() {
            Kind::Message(message) if is_whole && wire_type == WireType::LengthDelimited && !field.is_map() => {
                let _ = prost_reflect::prost::decode_length_delimiter(&mut content);
                locate(&message, content, &alone)
            }
            _ => ValueError::new(alone.to_string()),
        };
        let index = seen.iter().filter(|other| **other == number).count();
        let inner = if field.is_list() && !field.is_packed() { inner.in_index(index) } else { inner };
        return inner.in_field(field.json_name());
    }
    ValueError::new(error.to_string())
}
