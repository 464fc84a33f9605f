//! Records as JSON: as cases and `mapper-host map --format record` have them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::json::{self, Object};
use mapper_core::record::{Batch, Header, NO_TIMESTAMP, Record};
use mapper_core::verdict::Output;

/// The topic of a record that doesn't say.
pub(super) const TOPIC: &str = "visits";

const KEYS: [&str; 9] =
    ["value", "value_base64", "key", "key_base64", "headers", "timestamp_ms", "topic", "partition", "offset"];

/// A record that was written as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JsonRecord {
    /// The topic it is said to be from.
    pub topic: Option<String>,
    /// The partition it is said to be from; 0 unless it says.
    pub partition: i32,
    /// Its offset there.
    pub offset: Option<i64>,
    /// Milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// `None` is Kafka's null.
    pub key: Option<Vec<u8>>,
    /// `None` is Kafka's null.
    pub value: Option<Vec<u8>>,
    /// Names and values, in order.
    pub headers: Vec<OwnHeader>,
}

/// A header: its name, and its value, which may be Kafka's null.
pub(super) type OwnHeader = (Vec<u8>, Option<Vec<u8>>);

impl JsonRecord {
    /// Reads `{"value": …, "key": …, "headers": [[NAME, VALUE], …], "timestamp_ms": …, "topic": …, "partition": …, "offset": …}`.
    ///
    /// Key and value: text, `null`, or any other JSON, which stands for its own text; `key_base64` and `value_base64` are
    /// bytes. A header's name and value: text, or `{"base64": …}`; the value may be null. Only the value must be there.
    ///
    /// # Errors
    /// What is wrong, and what it should be.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let object = Object::read(text, &KEYS)?;
        let value = content(&object, "value")?.ok_or_else(|| {
            "there is no \"value\"; give it, with null for a tombstone, or \"value_base64\"".to_owned()
        })?;
        let not_negative = |key, number: i64| {
            if number < 0 { Err(format!("\"{key}\": {number} is negative")) } else { Ok(number) }
        };
        Ok(Self {
            topic: object.get("topic")?,
            partition: object.get("partition")?.unwrap_or(0),
            offset: object.get("offset")?.map(|offset| not_negative("offset", offset)).transpose()?,
            timestamp_ms: object
                .get::<Option<i64>>("timestamp_ms")?
                .flatten()
                .map(|timestamp| not_negative("timestamp_ms", timestamp))
                .transpose()?,
            key: content(&object, "key")?.flatten(),
            value,
            headers: object.raw("headers").map_or(Ok(Vec::new()), headers)?,
        })
    }

    /// Adds it to a batch; `offset` unless it has one of its own.
    pub fn push_to(&self, batch: &mut Batch, offset: i64) {
        batch.push(
            (self.partition, self.offset.unwrap_or(offset)),
            self.timestamp_ms.unwrap_or(NO_TIMESTAMP),
            self.key.as_deref(),
            self.value.as_deref(),
            self.headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref())),
        );
    }
}

/// A key or value: `None` when it is not there.
fn content(object: &Object<'_>, key: &str) -> Result<Option<Option<Vec<u8>>>, String> {
    let encoded = format!("{key}_base64");
    match (object.raw(key), object.get::<String>(&encoded)?) {
        (Some(_), Some(_)) => Err(format!("\"{key}\" and \"{encoded}\" are both there; give one of them")),
        (None, Some(text)) => json::base64(&encoded, &text).map(|bytes| Some(Some(bytes))),
        (None, None) => Ok(None),
        (Some(raw), None) => Ok(Some(bytes_of(raw))),
    }
}

/// Text is what it says; any other JSON is its own text, but `null`, which is Kafka's null.
fn bytes_of(raw: &RawValue) -> Option<Vec<u8>> {
    match serde_json::from_str::<Option<String>>(raw.get()) {
        Ok(text) => text.map(String::into_bytes),
        Err(_) => Some(raw.get().as_bytes().to_vec()),
    }
}

/// Reads `[[NAME, VALUE], …]`.
///
/// # Errors
/// When it is something else.
pub(super) fn headers(raw: &RawValue) -> Result<Vec<OwnHeader>, String> {
    let wrong = |_| "\"headers\": it must be a list of pairs, as [[\"name\", \"value\"], [\"name\", null]]".to_owned();
    let pairs: Vec<(Value, Value)> = serde_json::from_str(raw.get()).map_err(wrong)?;
    let bytes = |value: Value| match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.into_bytes())),
        Value::Object(object) if object.len() == 1 && object.get("base64").is_some_and(Value::is_string) => {
            json::base64("headers", object["base64"].as_str().unwrap_or_default()).map(Some)
        }
        other => Err(format!("\"headers\": {other} must be text, {{\"base64\": \"…\"}} or, as a value, null")),
    };
    let pair = |(name, value)| {
        let name = bytes(name)?.ok_or_else(|| "\"headers\": a name is null".to_owned())?;
        Ok((name, bytes(value)?))
    };
    pairs.into_iter().map(pair).collect()
}

/// Headers as [`headers`] reads them.
pub(super) fn headers_to_json<'h>(headers: impl Iterator<Item = Header<'h>>) -> Value {
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({ "base64": BASE64_STANDARD.encode(bytes) }),
    };
    headers.map(|(name, value)| json!([text(name), value.map(text)])).collect()
}

/// An output as a record in JSON, with what it keeps of its input filled in; `None` for the topic is the default one.
pub(super) fn output_to_json(output: &Output<'_>, input: Record<'_>) -> Map<String, Value> {
    let mut object = Map::new();
    if let Some(topic) = output.topic() {
        object.insert("topic".to_owned(), topic.into());
    }
    for (key, bytes) in [("key", output.key(input)), ("value", output.value(input))] {
        let (key, value) = bytes.map_or((key.to_owned(), Value::Null), |bytes| json::field_of_bytes(key, bytes));
        object.insert(key, value);
    }
    let headers = output.own_headers().map_or_else(|| headers_to_json(input.headers()), headers_to_json);
    if headers.as_array().is_some_and(|headers| !headers.is_empty()) {
        object.insert("headers".to_owned(), headers);
    }
    if let Some(timestamp) = output.timestamp_ms(input) {
        object.insert("timestamp_ms".to_owned(), timestamp.into());
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> JsonRecord {
        JsonRecord::read(text).unwrap()
    }

    #[test]
    fn values_are_text_or_json_or_bytes_or_null() {
        for (text, value) in [
            (r#"{"value": "text"}"#, Some(&b"text"[..])),
            (r#"{"value": {"a":  [1.50]}}"#, Some(br#"{"a":  [1.50]}"#)),
            (r#"{"value": "\"quoted\""}"#, Some(b"\"quoted\"")),
            (r#"{"value": 1.50}"#, Some(b"1.50")),
            (r#"{"value": ""}"#, Some(b"")),
            (r#"{"value": null}"#, None),
            (r#"{"value_base64": "/wA="}"#, Some(b"\xff\0")),
        ] {
            assert_eq!(read(text).value.as_deref(), value, "{text}");
        }
        assert_eq!(read(r#"{"value": 1, "key": "k"}"#).key.as_deref(), Some(&b"k"[..]));
        assert_eq!(read(r#"{"value": 1, "key": null}"#).key, None);
        assert_eq!(read(r#"{"value": 1, "key_base64": "/w=="}"#).key.as_deref(), Some(&b"\xff"[..]));
    }

    #[test]
    fn all_of_a_record_can_be_said() {
        let text = r#"{"value": 1, "headers": [["a", "1"], ["a", null], [{"base64": "/w=="}, {"base64": ""}]],
            "timestamp_ms": 5, "topic": "t", "partition": 2, "offset": 7}"#;
        let record = read(text);
        let headers =
            vec![(b"a".to_vec(), Some(b"1".to_vec())), (b"a".to_vec(), None), (b"\xff".to_vec(), Some(Vec::new()))];
        assert_eq!((record.headers, record.timestamp_ms), (headers, Some(5)));
        assert_eq!((record.topic.as_deref(), record.partition, record.offset), (Some("t"), 2, Some(7)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, message) in [
            ("{}", "there is no \"value\"; give it, with null for a tombstone, or \"value_base64\""),
            (r#"{"value": 1, "valu": 2}"#, "unknown key \"valu\"; did you mean \"value\"?"),
            (r#"{"value": 1, "value_base64": ""}"#, "\"value\" and \"value_base64\" are both there; give one of them"),
            (r#"{"value_base64": "?"}"#, "\"value_base64\": not base64: Invalid symbol 63, offset 0."),
            (
                r#"{"value": 1, "headers": {"a": "1"}}"#,
                "\"headers\": it must be a list of pairs, as [[\"name\", \"value\"], [\"name\", null]]",
            ),
            (r#"{"value": 1, "headers": [[null, "1"]]}"#, "\"headers\": a name is null"),
            (
                r#"{"value": 1, "headers": [["a", 1]]}"#,
                "\"headers\": 1 must be text, {\"base64\": \"…\"} or, as a value, null",
            ),
            (r#"{"value": 1, "timestamp_ms": -1}"#, "\"timestamp_ms\": -1 is negative"),
            (r#"{"value": 1, "partition": "0"}"#, "\"partition\": invalid type: string \"0\", expected i32"),
        ] {
            assert_eq!(JsonRecord::read(text).unwrap_err(), message, "{text}");
        }
    }
}
