//! Random messages of a type.

use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use rand::Rng;
use rand::rngs::SmallRng;

/// A message of at most so many levels.
pub(super) fn message(descriptor: &MessageDescriptor, levels: usize, rng: &mut SmallRng) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => {
            message.set_field_by_number(1, Value::I64(rng.random_range(-62_135_596_800..=253_402_300_799)));
            message.set_field_by_number(2, Value::I32(nanos(rng)));
        }
        "google.protobuf.Duration" => {
            let sign = if rng.random() { -1 } else { 1 };
            message.set_field_by_number(1, Value::I64(sign * rng.random_range(0..=315_576_000_000)));
            message.set_field_by_number(2, Value::I32(sign as i32 * nanos(rng)));
        }
        "google.protobuf.FieldMask" => {
            let paths = (0..rng.random_range(0..3)).map(|_| Value::String("a_b.c1".to_owned())).collect();
            message.set_field_by_number(1, Value::List(paths));
        }
        "google.protobuf.Any" => {
            // The bytes of a map in it would be in another order.
            let names = ["test.Other", "test.Other.Inner", "google.protobuf.Timestamp", "google.protobuf.Int64Value"];
            let name = names[rng.random_range(0..names.len())];
            let payload = descriptor.parent_pool().get_message_by_name(name).unwrap();
            let payload = self::message(&payload, levels.saturating_sub(1), rng);
            message.set_field_by_number(1, Value::String(format!("type.googleapis.com/{name}")));
            message.set_field_by_number(2, Value::Bytes(payload.encode_to_vec().into()));
        }
        "google.protobuf.Value" => {
            let kinds = if levels == 0 { 5 } else { 7 };
            let field = descriptor.get_field(rng.random_range(1..kinds)).unwrap();
            message.set_field(&field, value(&field, levels, rng));
        }
        _ => {
            for field in descriptor.fields() {
                let is_message = matches!(field.kind(), Kind::Message(_));
                if rng.random_bool(0.15) && (levels > 0 || !is_message) {
                    message.set_field(&field, value(&field, levels.saturating_sub(1), rng));
                }
            }
        }
    }
    message
}

fn nanos(rng: &mut SmallRng) -> i32 {
    [
        0,
        1_000_000 * rng.random_range(0..1000),
        1000 * rng.random_range(0..1_000_000),
        rng.random_range(0..1_000_000_000),
    ][rng.random_range(0..4)]
}

fn value(field: &FieldDescriptor, levels: usize, rng: &mut SmallRng) -> Value {
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { unreachable!() };
        let entries = (0..rng.random_range(0..4)).map(|_| {
            let key = scalar(&entry.map_entry_key_field().kind(), levels, rng);
            (
                key.into_map_key().unwrap_or(MapKey::Bool(true)),
                scalar(&entry.map_entry_value_field().kind(), levels, rng),
            )
        });
        return Value::Map(entries.collect());
    }
    if field.is_list() {
        return Value::List((0..rng.random_range(0..4)).map(|_| scalar(&field.kind(), levels, rng)).collect());
    }
    scalar(&field.kind(), levels, rng)
}

fn scalar(kind: &Kind, levels: usize, rng: &mut SmallRng) -> Value {
    let number: i64 = [rng.random::<i64>() >> rng.random_range(0..64), i64::MIN, i64::MAX, 0][rng.random_range(0..4)];
    let float = [rng.random::<f64>(), f64::from_bits(rng.random()), -0.0, 0.1][rng.random_range(0..4)];
    match kind {
        Kind::Double => Value::F64(if float.is_finite() { float } else { 1.5 }),
        Kind::Float => Value::F32(if (float as f32).is_finite() { float as f32 } else { 1.5 }),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(number as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number as u64),
        Kind::Bool => Value::Bool(rng.random()),
        Kind::String => Value::String(["", "a", "\"\\\n", "é😀", "@unknown"][rng.random_range(0..5)].to_owned()),
        Kind::Bytes => Value::Bytes((0..rng.random_range(0..5)).map(|_| rng.random()).collect()),
        Kind::Enum(declared) if declared.full_name() == "google.protobuf.NullValue" => Value::EnumNumber(0),
        Kind::Enum(_) => Value::EnumNumber([0, 1, -2, 99][rng.random_range(0..4)]),
        Kind::Message(descriptor) => Value::Message(message(descriptor, levels, rng)),
    }
}
