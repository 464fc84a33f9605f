//! The value of a dead letter: `{"processing_time": …, "input_json": …, "error_message": …}`, in this order.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};

/// Decodes the input in an envelope; `None` is a tombstone.
///
/// # Errors
/// If the bytes are not an envelope.
pub fn input_of(envelope: &[u8]) -> Result<Option<Vec<u8>>, String> {
    #[derive(serde::Deserialize)]
    struct Parts {
        input_json: Option<String>,
        input_encoding: Option<String>,
    }
    let invalid = |error: serde_json::Error| format!("it is no dead letter's value: {error}");
    // A missing field would deserialize as null.
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(envelope).map_err(invalid)?;
    if !fields.contains_key("input_json") {
        return Err("it is no dead letter's value: it has no \"input_json\"".to_owned());
    }
    let parts: Parts = serde_json::from_slice(envelope).map_err(invalid)?;
    match (parts.input_json, parts.input_encoding.as_deref()) {
        (None, _) => Ok(None),
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (Some(text), Some("base64")) => {
            BASE64_STANDARD.decode(text).map(Some).map_err(|error| format!("its \"input_json\" is not base64: {error}"))
        }
        (Some(_), Some(other)) => Err(format!("its \"input_encoding\" is {other:?}; only \"base64\" is known")),
    }
}

/// The message in an envelope.
pub(super) fn message_of(envelope: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    struct Parts<'a> {
        #[serde(borrow)]
        error_message: Cow<'a, str>,
    }
    serde_json::from_slice::<Parts<'_>>(envelope).ok().map(|parts| parts.error_message)
}

/// The processing time in an envelope, in milliseconds since 1970.
pub(super) fn processing_time_ms(envelope: &[u8]) -> Option<i64> {
    #[derive(serde::Deserialize)]
    struct Parts<'a> {
        processing_time: &'a str,
    }
    let written = || {
        let rest = envelope.strip_prefix(PROCESSING_TIME)?;
        let end = rest.iter().position(|byte| *byte == b'"')?;
        std::str::from_utf8(&rest[..end]).ok()
    };
    let parsed = || serde_json::from_slice::<Parts<'_>>(envelope).ok().map(|parts| parts.processing_time);
    let text = written().or_else(parsed)?;
    let time = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    Some(time.and_utc().timestamp_millis())
}

/// How each envelope begins.
const PROCESSING_TIME: &[u8] = b"{\"processing_time\": \"";

/// Writes envelopes, one at a time, into a reused buffer.
#[derive(Default)]
pub(super) struct Envelope {
    processing_time: String,
    bytes: Vec<u8>,
}

impl Envelope {
    /// The format is that of Python's `datetime.utcnow().isoformat()`: UTC without a zone, with six decimals.
    pub(super) fn set_time(&mut self, now: DateTime<Utc>) {
        self.processing_time = now.format("%Y-%m-%dT%H:%M:%S%.6f").to_string();
    }

    /// The last envelope.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes an envelope. Cuts the input to `room` bytes of JSON. An input that is not UTF-8 is encoded in base64, and a fourth field
    /// names the encoding. A tombstone is null.
    pub(super) fn write(&mut self, input: Option<&[u8]>, message: &str, room: usize) {
        self.bytes.clear();
        self.bytes.extend_from_slice(PROCESSING_TIME);
        self.bytes.extend_from_slice(self.processing_time.as_bytes());
        self.text("\", \"input_json\": ");
        let mut encoding = "";
        match input.map(|input| (std::str::from_utf8(input), input)) {
            None => self.text("null"),
            Some((Ok(text), _)) => self.json(prefix(text, room)),
            Some((Err(_), bytes)) => {
                encoding = ", \"input_encoding\": \"base64\"";
                let whole = bytes.len().min(room / 4 * 3);
                self.json(&BASE64_STANDARD.encode(&bytes[..whole]));
            }
        }
        self.text(", \"error_message\": ");
        self.json(message);
        self.text(encoding);
        self.text("}");
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn json(&mut self, text: &str) {
        serde_json::to_writer(&mut self.bytes, text).expect("text can always be written to a vector as JSON");
    }
}

/// The longest prefix of a text that fits into this many bytes inside of a JSON string.
fn prefix(text: &str, room: usize) -> &str {
    // JSON expands a byte to at most six bytes: `\u001f`.
    if text.len() <= room / 6 {
        return text;
    }
    let mut used = 0;
    for (at, character) in text.char_indices() {
        used += match character {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            control if control < ' ' => 6,
            other => other.len_utf8(),
        };
        if used > room {
            return &text[..at];
        }
    }
    text
}
