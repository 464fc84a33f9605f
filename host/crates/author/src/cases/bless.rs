//! Replaces the expected results in a file of cases by the actual ones. The rest of the file stays unchanged.

use std::collections::BTreeMap;

use super::{CaseResult, EXPECTATIONS, KEYS};
use crate::json::Object;

/// `results` has the line numbers to change, from 1.
///
/// # Errors
/// A line is no longer a case, because the file has changed since it was read.
pub fn bless(text: &str, results: &BTreeMap<usize, &CaseResult>) -> Result<String, String> {
    let mut blessed = String::with_capacity(text.len());
    // The file keeps its byte order mark.
    let text = text.strip_prefix('\u{feff}').inspect(|_| blessed.push('\u{feff}')).unwrap_or(text);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        match results.get(&(index + 1)) {
            None => blessed.push_str(line),
            Some(result) => {
                let content = line.trim_end_matches(['\n', '\r']);
                blessed.push_str(&bless_line(content, result)?);
                blessed.push_str(&line[content.len()..]);
            }
        }
    }
    Ok(blessed)
}

/// Keeps the order and the source text of the other fields.
fn bless_line(line: &str, result: &CaseResult) -> Result<String, String> {
    let object = Object::read(line, &KEYS)?;
    let is_expectation = |key: &str| EXPECTATIONS.contains(&key) || key == "kind";
    let mut fields: Vec<(&str, &str)> = Vec::new();
    let mut new = result.blessed.iter().map(|(key, text)| (*key, text.as_str())).peekable();
    for (key, value) in object.fields() {
        if !is_expectation(key) {
            fields.push((key, value.get()));
        } else if new.peek().is_some() {
            fields.extend(new.by_ref());
        }
    }
    fields.extend(new);
    let (colon, comma) = if line.contains("\": ") { (": ", ", ") } else { (":", ",") };
    let fields: Vec<_> = fields.iter().map(|(key, value)| format!("\"{key}\"{colon}{value}")).collect();
    Ok(format!("{{{}}}", fields.join(comma)))
}
