//! Test cases of a mapper: an input and the expected result. JSON lines, one case per line:
//!
//! ```json
//! {"name": "reduced", "input": {"key": "a", "value": {"id": 1}}, "output": {"key": "a", "value": {"id": 1}}}
//! {"input": {"value": "{"}, "error": "not a visit"}
//! {"input": {"value": null}, "skipped": true}
//! ```
//!
//! `input` is a record (see [`super::records::JsonRecord`]). The expected result is one of
//! - `output`, or a list `outputs`. Only the given fields are checked. `value` and `key` are text (compared by bytes), `null`, or
//!   other JSON (compared as JSON). The other fields are `value_base64`, `key_base64`, `headers`, `timestamp_ms` and `topic`; the
//!   topic `null` is the default output topic;
//! - `error`, the exact message, or `error_matches`, a regular expression. `kind` is `rejected` by default;
//! - `"skipped": true`: no output;
//! - `"succeeds": true`: any result but a failure.
//!
//! `settings` is an object of strings: the settings of the mapper for this case. A line with only `settings` applies to all cases
//! below it in the file.

mod bless;
mod files;
mod run;
mod view;
mod write;

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

use super::json::{self, Object};
use super::records::{self, JsonRecord, OwnHeader};
use mapper_core::verdict::FailureKind;

pub use bless::bless;
pub(super) use files::LIMIT;
pub use files::{CaseFile, CasesError, find_paths, read_all, sibling_path};
pub use run::{CaseResult, FileResults, run, split_runs};
pub use write::write;

const KEYS: [&str; 10] =
    ["name", "settings", "input", "output", "outputs", "error", "error_matches", "kind", "skipped", "succeeds"];
const OUTPUT_KEYS: [&str; 7] = ["value", "value_base64", "key", "key_base64", "headers", "timestamp_ms", "topic"];
/// The keys for the expected result. A case has one of them.
const EXPECTATIONS: [&str; 6] = ["output", "outputs", "error", "error_matches", "skipped", "succeeds"];

#[derive(Debug, Clone)]
pub struct Case {
    pub name: Option<String>,
    /// Line number in the file, from 1.
    pub line: usize,
    /// Settings of the mapper for this case, in addition to the common ones.
    pub settings: BTreeMap<String, String>,
    pub input: JsonRecord,
    pub expected: Expected,
}

/// The expected result.
#[derive(Debug, Clone)]
pub enum Expected {
    /// In this order. An empty list means that the record is skipped.
    Outputs(Vec<ExpectedOutput>),
    Failed {
        kind: FailureKind,
        message: ExpectedMessage,
    },
    /// The record does not fail.
    Success,
    /// The case has no expected result yet.
    Unspecified,
}

#[derive(Debug, Clone)]
pub enum ExpectedMessage {
    Exact(String),
    Matches(Regex),
}

/// `None` is not checked.
#[derive(Debug, Clone, Default)]
pub struct ExpectedOutput {
    topic: Option<Option<String>>,
    key: Option<Content>,
    value: Option<Content>,
    headers: Option<Vec<OwnHeader>>,
    timestamp_ms: Option<Option<i64>>,
}

#[derive(Debug, Clone)]
enum Content {
    Null,
    Bytes(Vec<u8>),
    Json(Value),
}

enum Line {
    Case(Box<Case>),
    Settings(BTreeMap<String, String>),
}

/// An invalid line of a file of cases.
#[derive(Debug, PartialEq, Eq)]
struct LineError {
    /// From 1.
    line: usize,
    reason: String,
}

/// # Errors
/// The first invalid line.
fn parse(text: &str) -> Result<Vec<Case>, LineError> {
    let mut common = BTreeMap::new();
    let mut cases = Vec::new();
    for (index, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        match parse_line(text, index + 1).map_err(|reason| LineError { line: index + 1, reason })? {
            Line::Settings(settings) => common = settings,
            Line::Case(mut case) => {
                for (key, value) in &common {
                    case.settings.entry(key.clone()).or_insert_with(|| value.clone());
                }
                cases.push(*case);
            }
        }
    }
    Ok(cases)
}

fn parse_line(text: &str, line: usize) -> Result<Line, String> {
    let object = Object::read(text, &KEYS)?;
    let settings: BTreeMap<String, String> = object.get("settings")?.unwrap_or_default();
    let Some(input) = object.raw("input") else {
        return if object.raw("settings").is_some() && object.fields().count() == 1 {
            Ok(Line::Settings(settings))
        } else {
            Err("missing key \"input\". Example: {\"input\": {\"value\": …}, \"output\": {\"value\": …}}".to_owned())
        };
    };
    let input = JsonRecord::read(input.get()).map_err(|error| format!("\"input\": {error}"))?;
    let expected = expected(&object)?;
    Ok(Line::Case(Box::new(Case { name: object.get("name")?, line, settings, input, expected })))
}

fn expected(object: &Object<'_>) -> Result<Expected, String> {
    let given: Vec<_> = EXPECTATIONS.iter().filter(|key| object.raw(key).is_some()).collect();
    if given.len() > 1 {
        return Err(format!("\"{}\" and \"{}\" are mutually exclusive", given[0], given[1]));
    }
    if let (Some(_), false) = (object.raw("kind"), given.iter().any(|key| key.starts_with("error"))) {
        return Err("\"kind\" requires \"error\" or \"error_matches\"".to_owned());
    }
    let message = match given.first().copied() {
        None => return Ok(Expected::Unspecified),
        Some(&"output") => {
            let output = object.raw("output").map(|raw| output(raw.get()));
            return output
                .unwrap_or_else(|| Ok(ExpectedOutput::default()))
                .map(|output| Expected::Outputs(vec![output]));
        }
        Some(&"outputs") => {
            let outputs: Vec<&serde_json::value::RawValue> = object.get("outputs")?.unwrap_or_default();
            return outputs.iter().map(|raw| output(raw.get())).collect::<Result<_, _>>().map(Expected::Outputs);
        }
        Some(&"skipped") => {
            return match object.get("skipped")? {
                Some(true) => Ok(Expected::Outputs(Vec::new())),
                _ => Err("\"skipped\": must be true, or replaced by the expected result".to_owned()),
            };
        }
        Some(&"succeeds") => {
            return match object.get("succeeds")? {
                Some(true) => Ok(Expected::Success),
                _ => Err("\"succeeds\": must be true, or replaced by the expected result".to_owned()),
            };
        }
        Some(&"error") => ExpectedMessage::Exact(object.get("error")?.unwrap_or_default()),
        Some(_) => {
            let pattern: String = object.get("error_matches")?.unwrap_or_default();
            ExpectedMessage::Matches(Regex::new(&pattern).map_err(|error| format!("\"error_matches\": {error}"))?)
        }
    };
    let kind = match object.get::<String>("kind")? {
        None => FailureKind::Rejected,
        Some(name) => FailureKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = FailureKind::ALL.map(FailureKind::name).join(", ");
            format!("\"kind\": unknown kind {name:?}; known kinds: {known}")
        })?,
    };
    Ok(Expected::Failed { kind, message })
}

fn output(text: &str) -> Result<ExpectedOutput, String> {
    let object = Object::read(text, &OUTPUT_KEYS).map_err(|error| format!("output: {error}"))?;
    Ok(ExpectedOutput {
        topic: object.get("topic")?,
        key: content(&object, "key")?,
        value: content(&object, "value")?,
        headers: object.raw("headers").map(records::headers).transpose()?,
        timestamp_ms: object.get("timestamp_ms")?,
    })
}

fn content(object: &Object<'_>, key: &str) -> Result<Option<Content>, String> {
    let encoded = format!("{key}_base64");
    Ok(match (object.get::<Value>(key)?, object.get::<String>(&encoded)?) {
        _ if object.raw(key).is_some() && object.raw(&encoded).is_some() => {
            return Err(format!("\"{key}\" and \"{encoded}\" are mutually exclusive"));
        }
        (_, Some(text)) => Some(Content::Bytes(json::decode_base64(&encoded, &text)?)),
        (None, None) => None,
        (Some(Value::Null), None) => Some(Content::Null),
        (Some(Value::String(text)), None) => Some(Content::Bytes(text.into_bytes())),
        (Some(json), None) => Some(Content::Json(json)),
    })
}

#[cfg(test)]
mod tests;
