//! Cases: what goes into a mapper, and what must come of it. JSON lines, one case a line:
//!
//! ```json
//! {"name": "reduced", "input": {"key": "a", "value": {"id": 1}}, "output": {"key": "a", "value": {"id": 1}}}
//! {"input": {"value": "{"}, "error": "not a visit"}
//! {"input": {"value": null}, "skipped": true}
//! ```
//!
//! `input` is a record (see [`super::records::JsonRecord`]). What must come is one of
//! - `output`, or a list of them, `outputs`: each names what is checked of it, and the rest may be anything. `value` and `key`:
//!   text, to the byte; `null`; or any other JSON, compared as JSON. `value_base64`, `key_base64`, `headers`, `timestamp_ms`,
//!   and `topic`, of which `null` is the default output topic;
//! - `error`, the exact message, or `error_matches`, a regular expression; with `kind` if it is another than `rejected`;
//! - `"skipped": true`: no output.
//!
//! `settings`, an object of texts, are those that the mapper is configured with for this case; in a line with nothing else
//! they hold for all cases below it in the file.

mod bless;
mod files;
mod judge;
mod view;

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

use super::json::{self, Object};
use super::records::{self, JsonRecord, OwnHeader};
use mapper_core::verdict::FailureKind;

pub use bless::bless;
pub(super) use files::LIMIT;
pub use files::{CaseFile, CasesWrong, beside, find, read_all};
pub use judge::{Judged, judge, runs};

/// The cases of some files, each with what became of it.
pub type Ran = Vec<(CaseFile, Vec<Judged>)>;

const KEYS: [&str; 9] = ["name", "settings", "input", "output", "outputs", "error", "error_matches", "kind", "skipped"];
const OUTPUT_KEYS: [&str; 7] = ["value", "value_base64", "key", "key_base64", "headers", "timestamp_ms", "topic"];
/// What says what must come, one of which a case has.
const EXPECTATIONS: [&str; 5] = ["output", "outputs", "error", "error_matches", "skipped"];

/// One case.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is called, if it has a name.
    pub name: Option<String>,
    /// Its line in the file, from 1.
    pub line: usize,
    /// What the mapper is configured with, beyond what all cases have.
    pub settings: BTreeMap<String, String>,
    /// What goes in.
    pub input: JsonRecord,
    /// What must come of it.
    pub expected: Expected,
}

/// What must come of a case.
#[derive(Debug, Clone)]
pub enum Expected {
    /// These outputs, in this order; none skips the record.
    Outputs(Vec<ExpectedOutput>),
    /// A failure.
    Failed {
        /// Of this kind.
        kind: FailureKind,
        /// With this message.
        message: ExpectedMessage,
    },
    /// It doesn't say.
    Nothing,
}

/// What a message must be.
#[derive(Debug, Clone)]
pub enum ExpectedMessage {
    /// This text.
    Exactly(String),
    /// A text with a match of this.
    Matching(Regex),
}

/// What is checked of an output; what is `None` may be anything.
#[derive(Debug, Clone, Default)]
pub struct ExpectedOutput {
    topic: Option<Option<String>>,
    key: Option<Content>,
    value: Option<Content>,
    headers: Option<Vec<OwnHeader>>,
    timestamp_ms: Option<Option<i64>>,
}

/// What a key or value must be.
#[derive(Debug, Clone)]
enum Content {
    Null,
    Bytes(Vec<u8>),
    Json(Value),
}

/// What a line says.
enum Line {
    Case(Box<Case>),
    Settings(BTreeMap<String, String>),
}

/// Reads all cases of a text.
///
/// # Errors
/// The first line that is wrong, from 1, and what is wrong with it.
fn parse(text: &str) -> Result<Vec<Case>, (usize, String)> {
    let mut common = BTreeMap::new();
    let mut cases = Vec::new();
    for (index, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        match parse_line(text, index + 1).map_err(|wrong| (index + 1, wrong))? {
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
            Err("there is no \"input\"; give it, as {\"input\": {\"value\": …}, \"output\": {\"value\": …}}".to_owned())
        };
    };
    let input = JsonRecord::read(input.get()).map_err(|wrong| format!("\"input\": {wrong}"))?;
    let expected = expected(&object)?;
    Ok(Line::Case(Box::new(Case { name: object.get("name")?, line, settings, input, expected })))
}

fn expected(object: &Object<'_>) -> Result<Expected, String> {
    let given: Vec<_> = EXPECTATIONS.iter().filter(|key| object.raw(key).is_some()).collect();
    if given.len() > 1 {
        return Err(format!("\"{}\" and \"{}\" are both there; give one of them", given[0], given[1]));
    }
    if let (Some(_), false) = (object.raw("kind"), given.iter().any(|key| key.starts_with("error"))) {
        return Err("\"kind\" goes with \"error\" or \"error_matches\"".to_owned());
    }
    let message = match given.first().copied() {
        None => return Ok(Expected::Nothing),
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
                _ => Err("\"skipped\": it can only be true; give what must come instead".to_owned()),
            };
        }
        Some(&"error") => ExpectedMessage::Exactly(object.get("error")?.unwrap_or_default()),
        Some(_) => {
            let pattern: String = object.get("error_matches")?.unwrap_or_default();
            ExpectedMessage::Matching(Regex::new(&pattern).map_err(|error| format!("\"error_matches\": {error}"))?)
        }
    };
    let kind = match object.get::<String>("kind")? {
        None => FailureKind::Rejected,
        Some(name) => FailureKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = FailureKind::ALL.map(FailureKind::name).join(", ");
            format!("\"kind\": there is no kind {name:?}; known are: {known}")
        })?,
    };
    Ok(Expected::Failed { kind, message })
}

fn output(text: &str) -> Result<ExpectedOutput, String> {
    let object = Object::read(text, &OUTPUT_KEYS).map_err(|wrong| format!("output: {wrong}"))?;
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
            return Err(format!("\"{key}\" and \"{encoded}\" are both there; give one of them"));
        }
        (_, Some(text)) => Some(Content::Bytes(json::base64(&encoded, &text)?)),
        (None, None) => None,
        (Some(Value::Null), None) => Some(Content::Null),
        (Some(Value::String(text)), None) => Some(Content::Bytes(text.into_bytes())),
        (Some(json), None) => Some(Content::Json(json)),
    })
}

#[cfg(test)]
mod tests;
