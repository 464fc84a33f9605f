//! Restores the input record of a dead letter.

use serde::de::IgnoredAny;

use crate::records::JsonRecord;
use mapper_core::dead_letter;
use mapper_core::record::{Batch, NO_TIMESTAMP, Record};

/// Parses the value of a dead letter, or a complete dead letter as a JSON record with key, headers and timestamp.
///
/// # Errors
/// The line is neither.
pub(super) fn read_line(line: &[u8]) -> Result<JsonRecord, String> {
    if !is_record(line) {
        return Ok(JsonRecord { value: dead_letter::input_of(line)?, ..JsonRecord::default() });
    }
    let mut letter = JsonRecord::read(std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?)?;
    let headers = letter.headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref()));
    letter.timestamp_ms = dead_letter::source_timestamp_ms(headers.clone(), letter.timestamp_ms);
    letter.key = letter.key.filter(|_| !dead_letter::has_generated_key(headers));
    letter.headers.retain(|(name, _)| !dead_letter::is_own_header(name));
    letter.value = dead_letter::input_of(letter.value.as_deref().unwrap_or_default())?;
    Ok(letter)
}

/// Distinguishes a JSON record from the value of a dead letter.
fn is_record(line: &[u8]) -> bool {
    let keys = serde_json::from_slice::<std::collections::BTreeMap<String, IgnoredAny>>(line).unwrap_or_default();
    let has = |key: &str| keys.contains_key(key);
    !has("input_json") && (has("value") || has("value_base64"))
}

/// # Errors
/// The value is not that of a dead letter.
pub(super) fn push_record(batch: &mut Batch, letter: Record<'_>) -> Result<(), String> {
    let value = dead_letter::input_of(letter.value().unwrap_or_default())?;
    let timestamp = dead_letter::source_timestamp_ms(letter.headers(), letter.timestamp_ms()).unwrap_or(NO_TIMESTAMP);
    let at = (letter.partition(), letter.offset());
    let key = letter.key().filter(|_| !dead_letter::has_generated_key(letter.headers()));
    batch.push(at, timestamp, key, value.as_deref(), dead_letter::kept_headers(letter));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = r#"{"processing_time": "t", "input_json": "{\"a\": 1}", "error_message": "no"}"#;

    #[test]
    fn dead_letter_value_yields_a_record_with_its_input_only() {
        let record = read_line(VALUE.as_bytes()).unwrap();
        assert_eq!(record, JsonRecord { value: Some(br#"{"a": 1}"#.to_vec()), ..JsonRecord::default() });
    }

    #[test]
    fn complete_dead_letter_keeps_key_headers_and_timestamp_of_its_input() {
        let headers = serde_json::json!([
            ["h", "1"],
            ["mapper-host.kind", "rejected"],
            ["h", null],
            ["__connect.errors.topic", "visits"],
            ["mapper-host.source.timestamp-ms", "7"],
        ]);
        let letter = serde_json::json!({"key": "k", "value": VALUE, "timestamp_ms": 9, "headers": headers});
        let record = read_line(letter.to_string().as_bytes()).unwrap();
        assert_eq!(record.value.as_deref(), Some(&br#"{"a": 1}"#[..]));
        assert_eq!((record.key.as_deref(), record.timestamp_ms), (Some(&b"k"[..]), Some(7)));
        assert_eq!(record.headers, [(b"h".to_vec(), Some(b"1".to_vec())), (b"h".to_vec(), None)]);
        let headers = serde_json::json!([["mapper-host.key", "generated"]]);
        let letter = serde_json::json!({"key": "visits-0-7", "value": VALUE, "headers": headers});
        assert_eq!(read_line(letter.to_string().as_bytes()).unwrap().key, None);
        let without = serde_json::json!({"value": VALUE, "timestamp_ms": 9});
        assert_eq!(read_line(without.to_string().as_bytes()).unwrap().timestamp_ms, Some(9));
    }

    #[test]
    fn other_line_is_rejected() {
        for line in ["{}", "[]", "x", r#"{"value": "x"}"#, r#"{"value": null}"#, r#"{"value": {"a": 1}}"#] {
            let error = read_line(line.as_bytes()).unwrap_err();
            assert!(error.starts_with("it is no dead letter's value: "), "{line}: {error}");
        }
    }
}
