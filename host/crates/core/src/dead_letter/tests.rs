//! The envelope, byte for byte, and the headers.

mod headers;
mod letter;
mod limits;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::TimeZone as _;

use super::names::{CONNECT_TOPIC, SOURCE};
use super::*;
use crate::record::Batch;
use crate::verdict::FailureKind;

const MESSAGE: &str = "fromisoformat: argument must be str";
const NO_LIMIT: usize = usize::MAX;

type OwnedHeader = (Vec<u8>, Option<Vec<u8>>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Input {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<OwnedHeader>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    headers: Vec<OwnedHeader>,
}

impl Written {
    fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref()));
        record_bytes(self.key.as_deref(), Some(&self.value), headers_bytes(headers))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name.as_bytes());
        let value = found.next().map(|(_, value)| std::str::from_utf8(value.as_ref().unwrap()).unwrap());
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }

    fn field(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice::<serde_json::Value>(&self.value).unwrap()[name].clone()
    }

    /// The input in the envelope.
    fn input(&self) -> Option<Vec<u8>> {
        let text = self.field("input_json").as_str()?.to_owned();
        let is_base64 = self.field("input_encoding") == "base64";
        Some(if is_base64 { BASE64_STANDARD.decode(text).unwrap() } else { text.into_bytes() })
    }

    /// The headers of the input.
    fn kept(&self) -> &[OwnedHeader] {
        let is_first = |name: &[u8]| [CONNECT_TOPIC, SOURCE].iter().any(|first| name == first.as_bytes());
        let own = self.headers.iter().position(|(name, _)| is_first(name)).unwrap();
        &self.headers[..own]
    }
}

fn limited(max_record_bytes: usize) -> TopicLimits {
    TopicLimits { max_record_bytes, ..TopicLimits::default() }
}

fn letters(max_bytes: usize) -> DeadLetters {
    letters_with(HeaderSet::Full, max_bytes)
}

fn letters_with(set: HeaderSet, max_bytes: usize) -> DeadLetters {
    let text = |text: &str| text.to_owned();
    let origin = Origin {
        group: text("visits_reader"),
        worker: 3,
        plugin_name: text("reduce-visit"),
        plugin_version: text("0.1.0"),
        plugin_digest: text("abc123"),
        contract: "1.0.0",
    };
    let mut letters = DeadLetters::new(origin, set, limited(max_bytes));
    letters.set_time(Utc.timestamp_opt(1_705_119_710, 37_894_999).unwrap());
    letters
}

fn write_with(letters: &mut DeadLetters, input: &Input, failure: &Failure<'_>, is_bare: bool) -> Written {
    let mut batch = Batch::new("visits");
    let headers = input.headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref()));
    batch.push((1, 42), 1_700_000_000_000, input.key.as_deref(), input.value.as_deref(), headers);
    let letter = letters.write(batch.record(0), failure, DeadLetterForm { is_bare, ..DeadLetterForm::default() });
    let headers = letter.headers().map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec)));
    Written { key: letter.key.map(<[u8]>::to_vec), value: letter.value.to_vec(), headers: headers.collect() }
}

fn write(input: &Input, message: &str, max_bytes: usize) -> Written {
    write_with(&mut letters(max_bytes), input, &rejected(message), false)
}

fn write_set(set: HeaderSet, input: &Input, message: &str, max_bytes: usize) -> Written {
    write_with(&mut letters_with(set, max_bytes), input, &rejected(message), false)
}

fn rejected(message: &str) -> Failure<'_> {
    Failure::new(FailureKind::Rejected, message)
}

fn input_with_value(value: &[u8]) -> Input {
    Input { value: Some(value.to_vec()), ..Input::default() }
}

fn header(name: &[u8], value: Option<&[u8]>) -> OwnedHeader {
    (name.to_vec(), value.map(<[u8]>::to_vec))
}

#[test]
fn envelope_equals_that_of_the_reference_job() {
    for (input, message, input_json, error_message, rest) in [
        (Some(&b"<the input text>"[..]), MESSAGE, "\"<the input text>\"", MESSAGE, ""),
        (Some(b"{\"a\": \"\\\\ \n\x01\x7f\"}"), "a \"b\"\n", r#""{\"a\": \"\\\\ \n\u0001"#, r#"a \"b\"\n"#, ""),
        (Some("é漢😀".as_bytes()), "è", "\"é漢😀\"", "è", ""),
        (Some(b""), MESSAGE, "\"\"", MESSAGE, ""),
        (None, MESSAGE, "null", MESSAGE, ""),
        (Some(b"\xff\x00{}"), MESSAGE, "\"/wB7fQ==\"", MESSAGE, ", \"input_encoding\": \"base64\""),
    ] {
        let input = Input { value: input.map(<[u8]>::to_vec), ..Input::default() };
        // DEL is not a control character in JSON.
        let input_json =
            if input_json.ends_with('1') { format!("{input_json}\x7f\\\"}}\"") } else { input_json.to_owned() };
        let expected = format!(
            "{{\"processing_time\": \"2024-01-13T04:21:50.037894\", \"input_json\": {input_json}, \
             \"error_message\": \"{error_message}\"{rest}}}"
        );
        assert_eq!(String::from_utf8(write(&input, message, NO_LIMIT).value).unwrap(), expected);
    }
}

#[test]
fn envelope_keeps_the_complete_input() {
    for value in [&b"text"[..], "\"\\\n\r\t\u{8}\u{c}\u{1f}é\u{2028}".as_bytes(), b"\xc3", b"\x00\xff\xfe", b""] {
        let written = write(&input_with_value(value), MESSAGE, NO_LIMIT);
        assert_eq!(written.input().as_deref(), Some(value));
        assert_eq!(super::input_of(&written.value).unwrap().as_deref(), Some(value));
    }
    let tombstone = write(&Input { value: None, ..input_with_value(b"") }, MESSAGE, NO_LIMIT);
    assert_eq!(super::input_of(&tombstone.value), Ok(None));
    for wrong in [&b"text"[..], b"[]", b"{}", br#"{"input_json": 1}"#, br#"{"input_json": "", "input_encoding": "x"}"#]
    {
        assert!(super::input_of(wrong).is_err(), "{}", wrong.escape_ascii());
    }
}

#[test]
fn consecutive_dead_letters_are_independent() {
    let mut letters = letters(1500);
    let long = Input { headers: vec![header(b"h", None)], ..input_with_value(&[b'x'; 5000]) };
    for (input, message) in [(&long, "long"), (&input_with_value(b"\xff"), "short"), (&Input::default(), "null")] {
        let written = write_with(&mut letters, input, &rejected(message), false);
        assert_eq!(written, write(input, message, 1500));
    }
}

#[test]
fn long_message_is_cut_between_characters() {
    let message = "漢".repeat(MAX_TEXT_BYTES);
    let written = write(&input_with_value(b"{}"), &message, NO_LIMIT);
    let kept = "漢".repeat(MAX_TEXT_BYTES / 3);
    assert_eq!(written.header("__connect.errors.exception.message"), Some(kept.as_str()));
    assert_eq!(written.field("error_message"), kept.as_str());
}

#[test]
fn bare_dead_letter_has_only_the_position() {
    let input =
        Input { key: Some(b"secret".to_vec()), headers: vec![header(b"secret", None)], ..input_with_value(b"secret") };
    let written = write_with(&mut letters(NO_LIMIT), &input, &rejected("secret"), true);
    assert_eq!((&written.key, written.kept(), written.input()), (&None, &[][..], None));
    assert_eq!(written.header("mapper-host.cut"), Some("input_json, headers and key"));
    let coordinates = ["topic", "partition", "offset"].map(|name| written.header(&format!("__connect.errors.{name}")));
    assert_eq!(coordinates, [Some("visits"), Some("1"), Some("42")]);
    let everything = [
        written.value,
        written.headers.into_iter().flat_map(|(name, value)| [name, value.unwrap_or_default()].concat()).collect(),
    ]
    .concat();
    assert!(!String::from_utf8_lossy(&everything).contains("secret"));
}

/// `printf 'rejected\nfromisoformat: argument must be str' | sha256sum | cut -c1-16`
const FINGERPRINT: &str = "55529777a6ef8876";
/// `printf 'trap\nunreachable\nreduce' | sha256sum | cut -c1-16`
const FINGERPRINT_OF_TRAP: &str = "5a4adfe3d6730200";

#[test]
fn fingerprint_is_stable_across_versions() {
    let fingerprint = |written: Written| written.header("mapper-host.fingerprint").unwrap().to_owned();
    // Tools group by it, so it must not change in a new version of the host.
    assert_eq!(fingerprint(write(&input_with_value(b"{}"), MESSAGE, NO_LIMIT)), FINGERPRINT);
    assert_eq!(fingerprint(write(&input_with_value(&[b'x'; 5000]), MESSAGE, 1500)), FINGERPRINT, "of one that is cut");
    let mut letters = letters(NO_LIMIT);
    for number in 0..3000 {
        let message = format!("no page {number} in '{number}'");
        let written = write_with(&mut letters, &Input::default(), &rejected(&message), false);
        assert_eq!(fingerprint(written), fingerprint(write(&Input::default(), "no page 1 in ''", NO_LIMIT)));
    }
}
