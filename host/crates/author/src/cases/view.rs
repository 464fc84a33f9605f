//! Converts the expected and the actual result to JSON with the same fields, for comparison and display.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::{Content, Expected, ExpectedMessage, ExpectedOutput};
use crate::json::bytes_field;
use crate::records::{headers_to_json, output_to_json};
use mapper_core::record::Record;
use mapper_core::verdict::{Failure, Output, Verdict};

/// The compared fields of both results. They are equal if the case passes.
pub(super) struct Comparison {
    pub(super) expected: Value,
    pub(super) actual: Value,
}

pub(super) fn compare(expected: &Expected, verdict: Verdict<'_>, input: Record<'_>) -> Comparison {
    match (expected, verdict) {
        (Expected::Failed { kind, message }, Verdict::Failed(failure)) => {
            let actual = failure_to_json(&failure);
            let matches = match message {
                ExpectedMessage::Exact(text) => failure.message == text.as_str(),
                ExpectedMessage::Matches(pattern) => pattern.is_match(&failure.message),
            };
            let expected = if matches && *kind == failure.kind { actual.clone() } else { expected_to_json(expected) };
            Comparison { expected, actual }
        }
        (_, Verdict::Failed(failure)) => {
            Comparison { expected: expected_to_json(expected), actual: failure_to_json(&failure) }
        }
        (Expected::Success, Verdict::Mapped(_)) => {
            let expected = expected_to_json(expected);
            Comparison { actual: expected.clone(), expected }
        }
        (Expected::Outputs(outputs), Verdict::Mapped(actual)) => {
            let actual = actual.enumerate().map(|(index, output)| checked_fields(&output, input, outputs.get(index)));
            Comparison { expected: expected_to_json(expected), actual: outputs_to_json(actual.collect()) }
        }
        (_, Verdict::Mapped(actual)) => {
            let actual = actual.map(|output| checked_fields(&output, input, None));
            Comparison { expected: expected_to_json(expected), actual: outputs_to_json(actual.collect()) }
        }
    }
}

fn outputs_to_json(outputs: Vec<Value>) -> Value {
    match outputs.len() {
        0 => json!({ "skipped": true }),
        1 => json!({ "output": outputs[0] }),
        _ => json!({ "outputs": outputs }),
    }
}

fn failure_to_json(failure: &Failure<'_>) -> Value {
    json!({ "error": failure.message, "kind": failure.kind.name() })
}

fn expected_to_json(expected: &Expected) -> Value {
    match expected {
        Expected::Unspecified => Value::Null,
        Expected::Success => json!({ "succeeds": true }),
        Expected::Outputs(outputs) => outputs_to_json(outputs.iter().map(expected_output_to_json).collect()),
        Expected::Failed { kind, message: ExpectedMessage::Exact(text) } => {
            json!({ "error": text, "kind": kind.name() })
        }
        Expected::Failed { kind, message: ExpectedMessage::Matches(pattern) } => {
            json!({ "error_matches": pattern.as_str(), "kind": kind.name() })
        }
    }
}

fn expected_output_to_json(output: &ExpectedOutput) -> Value {
    let mut object = Map::new();
    if let Some(topic) = &output.topic {
        object.insert("topic".to_owned(), topic.as_deref().map_or(Value::Null, Value::from));
    }
    for (key, content) in [("key", &output.key), ("value", &output.value)] {
        if let Some(content) = content {
            let (key, value) = match content {
                Content::Null => (key.to_owned(), Value::Null),
                Content::Bytes(bytes) => bytes_field(key, bytes),
                Content::Json(json) => (key.to_owned(), json.clone()),
            };
            object.insert(key, value);
        }
    }
    if let Some(headers) = &output.headers {
        let headers = headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref()));
        object.insert("headers".to_owned(), headers_to_json(headers));
    }
    if let Some(timestamp) = output.timestamp_ms {
        object.insert("timestamp_ms".to_owned(), timestamp.map_or(Value::Null, Value::from));
    }
    object.into()
}

/// The checked fields of an actual output; all fields of an unexpected output.
fn checked_fields(output: &Output<'_>, input: Record<'_>, expected: Option<&ExpectedOutput>) -> Value {
    let Some(expected) = expected else { return all_fields(output, input).into() };
    let mut object = Map::new();
    if expected.topic.is_some() {
        object.insert("topic".to_owned(), output.topic().map_or(Value::Null, Value::from));
    }
    for (key, content, actual) in
        [("key", &expected.key, output.key(input)), ("value", &expected.value, output.value(input))]
    {
        let Some(content) = content else { continue };
        let (key, value) = match (content, actual) {
            (_, None) => (key.to_owned(), Value::Null),
            (Content::Json(_), Some(bytes)) => {
                as_json(bytes).map_or_else(|| bytes_field(key, bytes), |json| (key.to_owned(), json))
            }
            (_, Some(bytes)) => bytes_field(key, bytes),
        };
        object.insert(key, value);
    }
    if expected.headers.is_some() {
        object.insert("headers".to_owned(), headers(output, input));
    }
    if expected.timestamp_ms.is_some() {
        object.insert("timestamp_ms".to_owned(), output.timestamp_ms(input).map_or(Value::Null, Value::from));
    }
    object.into()
}

fn all_fields(output: &Output<'_>, input: Record<'_>) -> Map<String, Value> {
    let mut object = output_to_json(output, input);
    if let Some(json) = output.value(input).and_then(as_json) {
        object.insert("value".to_owned(), json);
    }
    object
}

/// Excludes JSON strings and null, because a case would interpret them as their content and as Kafka's null.
fn as_json(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok().filter(|json: &Value| !json.is_string() && !json.is_null())
}

fn headers(output: &Output<'_>, input: Record<'_>) -> Value {
    output.own_headers().map_or_else(|| headers_to_json(input.headers()), headers_to_json)
}

/// Key and JSON text of an expected result that equals the actual one. An output has the fields that `expected` checks, and those
/// that differ from the input.
pub(super) fn blessed(expected: &Expected, verdict: Verdict<'_>, input: Record<'_>) -> Vec<(&'static str, String)> {
    let outputs = match verdict {
        Verdict::Failed(failure) => {
            let mut fields = vec![("error", Value::from(failure.message.as_ref()).to_string())];
            if failure.kind != mapper_core::verdict::FailureKind::Rejected {
                fields.push(("kind", Value::from(failure.kind.name()).to_string()));
            }
            return fields;
        }
        Verdict::Mapped(outputs) => outputs,
    };
    let previous: &[ExpectedOutput] = if let Expected::Outputs(outputs) = expected { outputs } else { &[] };
    let texts: Vec<String> =
        outputs.enumerate().map(|(index, output)| blessed_output(&output, input, previous.get(index))).collect();
    match texts.as_slice() {
        [] => vec![("skipped", "true".to_owned())],
        [one] => vec![("output", one.clone())],
        _ => vec![("outputs", format!("[{}]", texts.join(", ")))],
    }
}

fn blessed_output(output: &Output<'_>, input: Record<'_>, previous: Option<&ExpectedOutput>) -> String {
    let is_checked = |field: fn(&ExpectedOutput) -> bool| previous.is_some_and(field);
    let mut fields: Vec<(Cow<'static, str>, String)> = Vec::new();
    if output.topic().is_some() || is_checked(|previous| previous.topic.is_some()) {
        fields.push(("topic".into(), output.topic().map_or(Value::Null, Value::from).to_string()));
    }
    let parts = [
        ("key", output.key(input), output.key(input) != input.key() || is_checked(|previous| previous.key.is_some())),
        ("value", output.value(input), true),
    ];
    for (key, bytes, is_included) in parts {
        if !is_included {
            continue;
        }
        let text = bytes.and_then(|bytes| as_json(bytes).and(std::str::from_utf8(bytes).ok()));
        fields.push(match (bytes, text) {
            (None, _) => (key.into(), "null".to_owned()),
            // Keep the source text of the mapper if it is one line.
            (Some(_), Some(text)) if !text.contains(['\n', '\r']) => (key.into(), text.to_owned()),
            (Some(bytes), _) => {
                let (key, value) = bytes_field(key, bytes);
                (key.into(), value.to_string())
            }
        });
    }
    if output.own_headers().is_some() || is_checked(|previous| previous.headers.is_some()) {
        fields.push(("headers".into(), headers(output, input).to_string()));
    }
    let timestamp = output.timestamp_ms(input);
    if timestamp != input.timestamp_ms() || is_checked(|previous| previous.timestamp_ms.is_some()) {
        fields.push(("timestamp_ms".into(), timestamp.map_or(Value::Null, Value::from).to_string()));
    }
    let fields: Vec<_> = fields.iter().map(|(key, text)| format!("\"{key}\": {text}")).collect();
    format!("{{{}}}", fields.join(", "))
}
