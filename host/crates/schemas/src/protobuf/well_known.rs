//! The types with a JSON form of their own.

use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, ReflectMessage, Value};

use super::write::Writer;
use crate::calendar::{SECONDS_PER_DAY, write_clock, write_date};
use crate::error::{Failure, ValueError};

type Write = fn(&mut Writer<'_>, &DynamicMessage) -> Result<(), Failure>;

/// The seconds of the years 1 to 9999.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
const MAX_DURATION_SECONDS: u64 = 315_576_000_000;
const NANOS_PER_SECOND: i32 = 1_000_000_000;

pub(super) fn writer(full_name: &str) -> Option<Write> {
    Some(match full_name.strip_prefix("google.protobuf.")? {
        "Any" => any,
        "Timestamp" => timestamp,
        "Duration" => duration,
        "FieldMask" => field_mask,
        "Empty" => empty,
        "Struct" | "ListValue" => content,
        "Value" => value,
        "FloatValue" | "DoubleValue" | "Int32Value" | "Int64Value" | "UInt32Value" | "UInt64Value" | "BoolValue"
        | "StringValue" | "BytesValue" => content,
        _ => return None,
    })
}

/// The JSON form of a type with a single field is that of the field.
fn content(writer: &mut Writer<'_>, message: &DynamicMessage) -> Result<(), Failure> {
    let field = message.descriptor().get_field(1).ok_or_else(|| ValueError::new("a known type without its field"))?;
    writer.value(&message.get_field(&field), &field.kind())
}

fn value(writer: &mut Writer<'_>, message: &DynamicMessage) -> Result<(), Failure> {
    let Some((field, value)) = message.fields().next() else {
        return Err(ValueError::new("a google.protobuf.Value without a value has no form in JSON"));
    };
    if let Value::F64(number) = value
        && !number.is_finite()
    {
        return Err(ValueError::new(format!("the number {number} of a google.protobuf.Value has no form in JSON")));
    }
    writer.value(value, &field.kind())
}

fn empty(writer: &mut Writer<'_>, _: &DynamicMessage) -> Result<(), Failure> {
    writer.raw("{}");
    Ok(())
}

fn seconds_and_nanos(message: &DynamicMessage) -> (i64, i32) {
    let number = |number| message.get_field_by_number(number);
    let seconds = number(1).and_then(|value| value.as_i64()).unwrap_or(0);
    (seconds, number(2).and_then(|value| value.as_i32()).unwrap_or(0))
}

fn timestamp(writer: &mut Writer<'_>, message: &DynamicMessage) -> Result<(), Failure> {
    let (seconds, nanos) = seconds_and_nanos(message);
    if !TIMESTAMP_SECONDS.contains(&seconds) || !(0..NANOS_PER_SECOND).contains(&nanos) {
        return Err(ValueError::new(format!(
            "the timestamp with {seconds} seconds and {nanos} nanoseconds is out of range"
        )));
    }
    writer.out.push(b'"');
    write_date(seconds.div_euclid(SECONDS_PER_DAY), writer.out);
    writer.out.push(b'T');
    write_clock(seconds.rem_euclid(SECONDS_PER_DAY), writer.out);
    writer.raw(&fraction(nanos.unsigned_abs()));
    writer.out.extend_from_slice(b"Z\"");
    Ok(())
}

fn duration(writer: &mut Writer<'_>, message: &DynamicMessage) -> Result<(), Failure> {
    let (seconds, nanos) = seconds_and_nanos(message);
    let has_one_sign = seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0);
    if seconds.unsigned_abs() > MAX_DURATION_SECONDS
        || nanos.unsigned_abs() >= NANOS_PER_SECOND.unsigned_abs()
        || !has_one_sign
    {
        return Err(ValueError::new(format!(
            "the duration of {seconds} seconds and {nanos} nanoseconds is out of range"
        )));
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    writer.text(&format!("{sign}{}{}s", seconds.unsigned_abs(), fraction(nanos.unsigned_abs())));
    Ok(())
}

/// Nothing, or a point and three, six or nine digits.
fn fraction(nanos: u32) -> String {
    match nanos {
        0 => String::new(),
        _ if nanos.is_multiple_of(1_000_000) => format!(".{:03}", nanos / 1_000_000),
        _ if nanos.is_multiple_of(1000) => format!(".{:06}", nanos / 1000),
        _ => format!(".{nanos:09}"),
    }
}

fn field_mask(writer: &mut Writer<'_>, message: &DynamicMessage) -> Result<(), Failure> {
    let paths = message.get_field_by_number(1);
    let paths = paths.as_ref().and_then(|paths| paths.as_list()).unwrap_or_default();
    let camel: Result<Vec<String>, Failure> =
        paths.iter().map(|path| camel_case(path.as_str().unwrap_or_default())).collect();
    writer.text(&camel?.join(","));
    Ok(())
}

/// `a_b.c` as `aB.c`; other paths can't be read back.
fn camel_case(path: &str) -> Result<String, Failure> {
    let mut camel = String::new();
    let mut chars = path.chars();
    let mut is_valid = !path.is_empty();
    while let Some(char) = chars.next() {
        let next = match char {
            // A letter must follow, which shows in capitals where the underscore was.
            '_' => chars.next().filter(char::is_ascii_lowercase).map(|letter| letter.to_ascii_uppercase()),
            'A'..='Z' | ',' => None,
            other => Some(other),
        };
        is_valid &= next.is_some();
        camel.extend(next);
    }
    if !is_valid {
        return Err(ValueError::new(format!("the path {path:?} of a google.protobuf.FieldMask has no form in JSON")));
    }
    Ok(camel)
}

fn any(writer: &mut Writer<'_>, message: &DynamicMessage) -> Result<(), Failure> {
    let url = message.get_field_by_number(1);
    let url = url.as_ref().and_then(|url| url.as_str()).unwrap_or_default();
    let bytes = message.get_field_by_number(2);
    let bytes = bytes.as_ref().and_then(|bytes| bytes.as_bytes());
    let name = url.rsplit_once('/').map(|(_, name)| name).unwrap_or_default();
    let descriptor = message.descriptor().parent_pool().get_message_by_name(name);
    let descriptor = descriptor
        .ok_or_else(|| ValueError::new(format!("the schema has no type {url:?}, which a google.protobuf.Any has")))?;
    let mut payload = DynamicMessage::new(descriptor);
    let merged = payload.merge(bytes.cloned().unwrap_or_default());
    merged.map_err(|error| ValueError::new(format!("the {name} in a google.protobuf.Any: {error}")))?;
    writer.object(|writer| {
        writer.key("@type", &mut true);
        writer.text(url);
        if self::writer(name).is_none() {
            return writer.payload(&payload);
        }
        writer.key("value", &mut false);
        writer.message(&payload)
    })
}
