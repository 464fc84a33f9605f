//! What must come and what came, in one form: as JSON with the same parts, so that they can be compared and shown.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::{Content, Expected, ExpectedMessage, ExpectedOutput};
use crate::json::field_of_bytes;
use crate::records::{headers_to_json, output_to_json};
use mapper_core::record::Record;
use mapper_core::verdict::{Failure, Output, Verdict};

/// What must come, and what came of it, each with no more than what is compared; equal if the case holds.
pub(super) fn of(expected: &Expected, verdict: Verdict<'_>, input: Record<'_>) -> (Value, Value) {
    match (expected, verdict) {
        (Expected::Failed { kind, message }, Verdict::Failed(failure)) => {
            let seen = failed(&failure);
            let holds = match message {
                ExpectedMessage::Exactly(text) => failure.message == text.as_str(),
                ExpectedMessage::Matching(pattern) => pattern.is_match(&failure.message),
            };
            let expected = if holds && *kind == failure.kind { seen.clone() } else { of_expected(expected) };
            (expected, seen)
        }
        (_, Verdict::Failed(failure)) => (of_expected(expected), failed(&failure)),
        (Expected::Outputs(outputs), Verdict::Mapped(seen)) => {
            let seen = seen.enumerate().map(|(index, output)| compared(&output, input, outputs.get(index)));
            (of_expected(expected), of_outputs(seen.collect()))
        }
        (_, Verdict::Mapped(seen)) => {
            (of_expected(expected), of_outputs(seen.map(|output| compared(&output, input, None)).collect()))
        }
    }
}

fn of_outputs(outputs: Vec<Value>) -> Value {
    match outputs.len() {
        0 => json!({ "skipped": true }),
        1 => json!({ "output": outputs[0] }),
        _ => json!({ "outputs": outputs }),
    }
}

fn failed(failure: &Failure<'_>) -> Value {
    json!({ "error": failure.message, "kind": failure.kind.name() })
}

fn of_expected(expected: &Expected) -> Value {
    match expected {
        Expected::Nothing => Value::Null,
        Expected::Outputs(outputs) => of_outputs(outputs.iter().map(of_expected_output).collect()),
        Expected::Failed { kind, message: ExpectedMessage::Exactly(text) } => {
            json!({ "error": text, "kind": kind.name() })
        }
        Expected::Failed { kind, message: ExpectedMessage::Matching(pattern) } => {
            json!({ "error_matches": pattern.as_str(), "kind": kind.name() })
        }
    }
}

fn of_expected_output(output: &ExpectedOutput) -> Value {
    let mut object = Map::new();
    if let Some(topic) = &output.topic {
        object.insert("topic".to_owned(), topic.as_deref().map_or(Value::Null, Value::from));
    }
    for (key, content) in [("key", &output.key), ("value", &output.value)] {
        if let Some(content) = content {
            let (key, value) = match content {
                Content::Null => (key.to_owned(), Value::Null),
                Content::Bytes(bytes) => field_of_bytes(key, bytes),
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

/// Of what came, what is checked. Of an output that nobody expected, all is shown.
fn compared(output: &Output<'_>, input: Record<'_>, expected: Option<&ExpectedOutput>) -> Value {
    let Some(expected) = expected else { return whole(output, input).into() };
    let mut object = Map::new();
    if expected.topic.is_some() {
        object.insert("topic".to_owned(), output.topic().map_or(Value::Null, Value::from));
    }
    for (key, content, seen) in
        [("key", &expected.key, output.key(input)), ("value", &expected.value, output.value(input))]
    {
        let Some(content) = content else { continue };
        let (key, value) = match (content, seen) {
            (_, None) => (key.to_owned(), Value::Null),
            (Content::Json(_), Some(bytes)) => {
                as_json(bytes).map_or_else(|| field_of_bytes(key, bytes), |json| (key.to_owned(), json))
            }
            (_, Some(bytes)) => field_of_bytes(key, bytes),
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

fn whole(output: &Output<'_>, input: Record<'_>) -> Map<String, Value> {
    let mut object = output_to_json(output, input);
    if let Some(json) = output.value(input).and_then(as_json) {
        object.insert("value".to_owned(), json);
    }
    object
}

/// JSON, if it is one that stands for itself in a case: a text would be taken for the text that it holds.
fn as_json(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok().filter(|json: &Value| !json.is_string() && !json.is_null())
}

fn headers(output: &Output<'_>, input: Record<'_>) -> Value {
    output.own_headers().map_or_else(|| headers_to_json(input.headers()), headers_to_json)
}

/// The expectation that a case would have if what came is right: its key and its JSON, as it is written into a file.
/// Of an output, what `expected` checks, and what isn't as in the input.
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
    let before: &[ExpectedOutput] = if let Expected::Outputs(outputs) = expected { outputs } else { &[] };
    let texts: Vec<String> =
        outputs.enumerate().map(|(index, output)| blessed_output(&output, input, before.get(index))).collect();
    match texts.as_slice() {
        [] => vec![("skipped", "true".to_owned())],
        [one] => vec![("output", one.clone())],
        _ => vec![("outputs", format!("[{}]", texts.join(", ")))],
    }
}

fn blessed_output(output: &Output<'_>, input: Record<'_>, before: Option<&ExpectedOutput>) -> String {
    let checked = |part: fn(&ExpectedOutput) -> bool| before.is_some_and(part);
    let mut fields: Vec<(Cow<'static, str>, String)> = Vec::new();
    if output.topic().is_some() || checked(|before| before.topic.is_some()) {
        fields.push(("topic".into(), output.topic().map_or(Value::Null, Value::from).to_string()));
    }
    let parts = [
        ("key", output.key(input), output.key(input) != input.key() || checked(|before| before.key.is_some())),
        ("value", output.value(input), true),
    ];
    for (key, bytes, shown) in parts {
        if !shown {
            continue;
        }
        let text = bytes.and_then(|bytes| as_json(bytes).and(std::str::from_utf8(bytes).ok()));
        fields.push(match (bytes, text) {
            (None, _) => (key.into(), "null".to_owned()),
            // As the mapper wrote it, unless that is more than a line.
            (Some(_), Some(text)) if !text.contains(['\n', '\r']) => (key.into(), text.to_owned()),
            (Some(bytes), _) => {
                let (key, value) = field_of_bytes(key, bytes);
                (key.into(), value.to_string())
            }
        });
    }
    if output.own_headers().is_some() || checked(|before| before.headers.is_some()) {
        fields.push(("headers".into(), headers(output, input).to_string()));
    }
    let timestamp = output.timestamp_ms(input);
    if timestamp != input.timestamp_ms() || checked(|before| before.timestamp_ms.is_some()) {
        fields.push(("timestamp_ms".into(), timestamp.map_or(Value::Null, Value::from).to_string()));
    }
    let fields: Vec<_> = fields.iter().map(|(key, text)| format!("\"{key}\": {text}")).collect();
    format!("{{{}}}", fields.join(", "))
}
