//! Reads dead letters with the headers of version 2.

use crate::topics::Record;

/// The last header with this name; `None` if there is none.
pub fn header<'a>(letter: &'a Record, name: &str) -> Option<&'a str> {
    let (_, value) = letter.headers.iter().rfind(|(known, _)| known == name)?;
    Some(std::str::from_utf8(value.as_deref()?).expect("the headers of dead letters are text"))
}

fn required<'a>(letter: &'a Record, name: &str) -> &'a str {
    header(letter, name).unwrap_or_else(|| panic!("no {name} in {letter:?}"))
}

/// The position of its record: topic, partition and offset.
pub fn source(letter: &Record) -> (&str, i32, i64) {
    let (topic, position) = required(letter, "mapper-host.source").split_once('/').expect("TOPIC/PARTITION@OFFSET");
    let (partition, offset) = position.split_once('@').expect("PARTITION@OFFSET");
    (topic, partition.parse().expect("a partition"), offset.parse().expect("an offset"))
}

fn failure(letter: &Record) -> (&str, &str) {
    required(letter, "mapper-host.failure").split_once(' ').expect("KIND FINGERPRINT")
}

/// The kind of failure.
pub fn kind(letter: &Record) -> &str {
    failure(letter).0
}

/// The fingerprint of the failure.
pub fn fingerprint(letter: &Record) -> &str {
    failure(letter).1
}

/// The envelope.
pub fn envelope(letter: &Record) -> serde_json::Value {
    serde_json::from_slice(letter.value.as_deref().expect("an envelope")).expect("JSON")
}

/// The message of the failure.
pub fn message(letter: &Record) -> String {
    envelope(letter)["error_message"].as_str().expect("a message").to_owned()
}
