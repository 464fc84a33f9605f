//! Records as JSON, in cases and for `mapper-host map --format record`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::json::{self, Object};
use mapper_core::record::{Batch, Header, NO_TIMESTAMP, Record};
use mapper_core::verdict::Output;

/// The topic of a record without one.
pub(super) const DEFAULT_TOPIC: &str = "visits";

const KEYS: [&str; 9] =
    ["value", "value_base64", "key", "key_base64", "headers", "timestamp_ms", "topic", "partition", "offset"];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JsonRecord {
    pub topic: Option<String>,
    /// 0 by default.
    pub partition: i32,
    pub offset: Option<i64>,
    pub timestamp_ms: Option<i64>,
    /// `None` is Kafka's null.
    pub key: Option<Vec<u8>>,
    /// `None` is Kafka's null.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<OwnHeader>,
}

/// Name and value. `None` is Kafka's null.
pub(super) type OwnHeader = (Vec<u8>, Option<Vec<u8>>);

impl JsonRecord {
    /// Reads `{"value": …, "key": …, "headers": [[NAME, VALUE], …], "timestamp_ms": …, "topic": …, "partition": …, "offset": …}`.
    ///
    /// Key and value are text, `null`, or other JSON, which becomes its source text. `key_base64` and `value_base64` are bytes.
    /// Header names and values are text or `{"base64": …}`; a value may be null. Only the value is required.
    ///
    /// # Errors
    /// The text is not such a record.
    pub fn read(text: &str) -> Result<Self, String> {
        let object = Object::read(text, &KEYS)?;
        let value = content(&object, "value")?.ok_or_else(|| {
            "missing key \"value\"; use null for a tombstone, or \"value_base64\" for bytes".to_owned()
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

    /// `offset` applies if the record has none.
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

/// Parses the key or value. The outer `None` is a missing field, the inner one is Kafka's null.
fn content(object: &Object<'_>, key: &str) -> Result<Option<Option<Vec<u8>>>, String> {
    let encoded = format!("{key}_base64");
    match (object.raw(key), object.get::<String>(&encoded)?) {
        (Some(_), Some(_)) => Err(format!("\"{key}\" and \"{encoded}\" are mutually exclusive")),
        (None, Some(text)) => json::decode_base64(&encoded, &text).map(|bytes| Some(Some(bytes))),
        (None, None) => Ok(None),
        (Some(raw), None) => Ok(Some(content_bytes(raw))),
    }
}

/// A JSON string is its content, `null` is Kafka's null, other JSON is its source text.
fn content_bytes(raw: &RawValue) -> Option<Vec<u8>> {
    match serde_json::from_str::<Option<String>>(raw.get()) {
        Ok(text) => text.map(String::into_bytes),
        Err(_) => Some(raw.get().as_bytes().to_vec()),
    }
}

/// Parses `[[NAME, VALUE], …]`.
///
/// # Errors
/// The value has another form.
pub(super) fn headers(raw: &RawValue) -> Result<Vec<OwnHeader>, String> {
    let invalid =
        |_| "\"headers\": must be a list of pairs, such as [[\"name\", \"value\"], [\"name\", null]]".to_owned();
    let pairs: Vec<(Value, Value)> = serde_json::from_str(raw.get()).map_err(invalid)?;
    let bytes = |value: Value| match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.into_bytes())),
        Value::Object(object) if object.len() == 1 && object.get("base64").is_some_and(Value::is_string) => {
            json::decode_base64("headers", object["base64"].as_str().unwrap_or_default()).map(Some)
        }
        other => Err(format!("\"headers\": {other} must be text, {{\"base64\": \"…\"}} or, as a value, null")),
    };
    let pair = |(name, value)| {
        let name = bytes(name)?.ok_or_else(|| "\"headers\": a name is null".to_owned())?;
        Ok((name, bytes(value)?))
    };
    pairs.into_iter().map(pair).collect()
}

/// The inverse of [`headers`].
pub(super) fn headers_to_json<'h>(headers: impl Iterator<Item = Header<'h>>) -> Value {
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({ "base64": BASE64_STANDARD.encode(bytes) }),
    };
    headers.map(|(name, value)| json!([text(name), value.map(text)])).collect()
}

/// A complete record as JSON, which [`JsonRecord::read`] reads.
pub fn record_to_json(record: Record<'_>) -> Map<String, Value> {
    let mut object = Map::new();
    for (key, bytes) in [("key", record.key()), ("value", record.value())] {
        let (key, value) = bytes.map_or((key.to_owned(), Value::Null), |bytes| json::bytes_field(key, bytes));
        object.insert(key, value);
    }
    object.insert("headers".to_owned(), headers_to_json(record.headers()));
    object.insert("timestamp_ms".to_owned(), record.timestamp_ms().map_or(Value::Null, Value::from));
    object.insert("topic".to_owned(), record.topic().into());
    object.insert("partition".to_owned(), record.partition().into());
    object.insert("offset".to_owned(), record.offset().into());
    object
}

/// A complete output record as JSON. Parts that the output keeps come from the input. The default topic is omitted.
pub(super) fn output_to_json(output: &Output<'_>, input: Record<'_>) -> Map<String, Value> {
    let mut object = Map::new();
    if let Some(topic) = output.topic() {
        object.insert("topic".to_owned(), topic.into());
    }
    for (key, bytes) in [("key", output.key(input)), ("value", output.value(input))] {
        let (key, value) = bytes.map_or((key.to_owned(), Value::Null), |bytes| json::bytes_field(key, bytes));
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
    fn value_is_text_json_bytes_or_null() {
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
    fn complete_record_is_parsed() {
        let text = r#"{"value": 1, "headers": [["a", "1"], ["a", null], [{"base64": "/w=="}, {"base64": ""}]],
            "timestamp_ms": 5, "topic": "t", "partition": 2, "offset": 7}"#;
        let record = read(text);
        let headers =
            vec![(b"a".to_vec(), Some(b"1".to_vec())), (b"a".to_vec(), None), (b"\xff".to_vec(), Some(Vec::new()))];
        assert_eq!((record.headers, record.timestamp_ms), (headers, Some(5)));
        assert_eq!((record.topic.as_deref(), record.partition, record.offset), (Some("t"), 2, Some(7)));
    }

    #[test]
    fn record_is_the_same_after_a_round_trip_through_json() {
        for value in [Some(&b"text"[..]), Some(b"{\"a\":  1}"), Some(b"\xff\0"), Some(b""), None] {
            let mut batch = Batch::new("t");
            let headers = [(&b"a"[..], Some(&b"1"[..])), (b"a", None), (b"\xff", Some(b"\xff"))];
            batch.push((2, 7), 5, value, value, headers.into_iter());
            let read = JsonRecord::read(&Value::from(record_to_json(batch.record(0))).to_string()).unwrap();
            assert_eq!((read.topic.as_deref(), read.partition, read.offset), (Some("t"), 2, Some(7)));
            let mut again = Batch::new("t");
            read.push_to(&mut again, 0);
            assert_eq!(again, batch);
        }
    }

    #[test]
    fn invalid_record_is_rejected_with_a_hint() {
        for (text, message) in [
            ("{}", "missing key \"value\"; use null for a tombstone, or \"value_base64\" for bytes"),
            (r#"{"value": 1, "valu": 2}"#, "unknown key \"valu\"; did you mean \"value\"?"),
            (r#"{"value": 1, "value_base64": ""}"#, "\"value\" and \"value_base64\" are mutually exclusive"),
            (r#"{"value_base64": "?"}"#, "\"value_base64\": not base64: Invalid symbol 63, offset 0."),
            (
                r#"{"value": 1, "headers": {"a": "1"}}"#,
                "\"headers\": must be a list of pairs, such as [[\"name\", \"value\"], [\"name\", null]]",
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
