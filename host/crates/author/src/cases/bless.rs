//! Writes what came into the lines of cases, as what must come; all else of the file stays as it is.

use std::collections::BTreeMap;

use super::{EXPECTATIONS, Judged, KEYS};
use crate::json::Object;

/// The text of a file of cases with the expectations of these lines (from 1) replaced by what came.
///
/// # Errors
/// When a line is no case any more: the file has changed since it was read.
pub fn bless(text: &str, judged: &BTreeMap<usize, &Judged>) -> Result<String, String> {
    let mut blessed = String::with_capacity(text.len());
    // The file keeps its byte order mark.
    let text = text.strip_prefix('\u{feff}').inspect(|_| blessed.push('\u{feff}')).unwrap_or(text);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        match judged.get(&(index + 1)) {
            None => blessed.push_str(line),
            Some(judged) => {
                let content = line.trim_end_matches(['\n', '\r']);
                blessed.push_str(&bless_line(content, judged)?);
                blessed.push_str(&line[content.len()..]);
            }
        }
    }
    Ok(blessed)
}

/// The fields stay in their order, and their values as they are written.
fn bless_line(line: &str, judged: &Judged) -> Result<String, String> {
    let object = Object::read(line, &KEYS)?;
    let is_expectation = |key: &str| EXPECTATIONS.contains(&key) || key == "kind";
    let mut fields: Vec<(&str, &str)> = Vec::new();
    let mut new = judged.blessed.iter().map(|(key, text)| (*key, text.as_str())).peekable();
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
