//! Compares `fromisoformat::timestamp` with what CPython 3.11 says, as recorded in `fromisoformat.jsonl`.

use std::fs;

use proptest::prelude::*;
use reduce_visit::fromisoformat::timestamp;
use serde_json::Value;

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fromisoformat.jsonl");

/// The difference between what Python recorded and what we say, if there is one.
fn difference(line: &str) -> Option<String> {
    let recorded: Value = serde_json::from_str(line).expect("a line of JSON");
    let text = recorded["text"].as_str().expect("a text");
    let ours = timestamp(text).map_err(|invalid| invalid.to_string());
    let python = match recorded["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok(recorded["timestamp"].as_i64().expect("a timestamp or an error")),
    };
    (ours != python).then(|| format!("{text:?}: Python says {python:?}, we say {ours:?}"))
}

#[test]
fn agrees_with_python() {
    let recorded = fs::read_to_string(RECORDED).expect("the recorded outcomes");
    assert!(recorded.lines().count() > 500, "too few outcomes recorded");
    let differences: Vec<_> = recorded.lines().filter_map(difference).collect();
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = timestamp(&text);
    }

    #[test]
    fn anything_like_a_time_is_read_or_refused(text in "[0-9]{4}[0-9TWZ:.,+é€😀\0-]{0,40}") {
        let _ = timestamp(&text);
    }
}
