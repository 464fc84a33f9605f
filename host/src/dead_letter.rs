//! The dead letter of a record: its envelope, as the reference job writes it, and its headers.
//!
//! Headers: first those of the input, byte for byte and in order; then those that Kafka Connect writes (KIP-298:
//! `__connect.errors.*`), so that tools for its dead letters read ours; then our own versioned set. A record that was a
//! dead letter before gets these replaced, not added to.

mod envelope;
mod fingerprint;
mod recognize;

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use crate::decision::{headers_bytes, record_bytes};
use crate::record::{Header, Record};
use crate::swap::{Speaker, Version};
use crate::verdict::Failure;

pub use envelope::input_of;
pub use recognize::DeadLetterDetector;

use envelope::Envelope;
use fingerprint::Fingerprints;

/// The version of our own set of headers.
const HEADERS_VERSION: &str = "1";
const CONNECT_PREFIX: &[u8] = b"__connect.errors.";
const OWN_PREFIX: &[u8] = b"mapper-host.";
const ATTEMPT: &[u8] = b"mapper-host.attempt";
const SOURCE_TIMESTAMP: &str = "mapper-host.source.timestamp-ms";
/// What a message, or a message with its backtrace, takes at most, in bytes.
const MAX_TEXT_BYTES: usize = 16 << 10;

/// What is the same in all dead letters of a worker.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The consumer group.
    pub group: String,
    /// The worker's number.
    pub worker: usize,
    /// The input topic.
    pub topic: String,
    /// The plugin's name.
    pub plugin_name: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// The SHA-256 of the plugin's file.
    pub plugin_digest: String,
    /// The version of the contract.
    pub contract: &'static str,
}

/// The header values that differ from letter to letter. One that is empty is left out.
#[derive(Clone, Copy)]
enum Field {
    Partition,
    Offset,
    Kind,
    Message,
    Trace,
    Fingerprint,
    Attempt,
    TimestampMs,
    Cut,
}
const FIELDS: usize = Field::Cut as usize + 1;

enum Value {
    Fixed(String),
    Field(Field),
}

/// Writes dead letters, one at a time, into buffers of its own.
pub struct DeadLetters {
    origin: Origin,
    layout: Vec<(&'static str, Value)>,
    fields: [String; FIELDS],
    max_bytes: usize,
    envelope: Envelope,
    fingerprints: Fingerprints,
}

/// A dead letter. It is produced with the timestamp of its record.
pub struct Letter<'a> {
    /// The key of the input, unless that is cut.
    pub key: Option<&'a [u8]>,
    /// The envelope.
    pub value: &'a [u8],
    record: Record<'a>,
    keeps_headers: bool,
    letters: &'a DeadLetters,
}

impl<'a> Letter<'a> {
    /// The same for failures of the same making: 16 hexadecimal digits.
    pub fn fingerprint(&self) -> &'a str {
        &self.letters.fields[Field::Fingerprint as usize]
    }

    /// All headers in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let kept = kept_headers(self.record).take(if self.keeps_headers { usize::MAX } else { 0 });
        kept.chain(self.letters.own_headers())
    }
}

/// The headers of a record without those that make it a dead letter.
pub(crate) fn kept_headers(record: Record<'_>) -> impl Iterator<Item = Header<'_>> {
    record.headers().filter(|(name, _)| !is_own_header(name))
}

/// Whether a header with this name is one that makes a record a dead letter.
pub(crate) fn is_own_header(name: &[u8]) -> bool {
    name.starts_with(CONNECT_PREFIX) || name.starts_with(OWN_PREFIX)
}

/// The timestamp of the input of a dead letter, as its headers have it.
pub(crate) fn source_timestamp_ms<'h>(headers: impl Iterator<Item = Header<'h>>) -> Option<i64> {
    let timestamp = headers.filter(|(name, _)| *name == SOURCE_TIMESTAMP.as_bytes()).last()?;
    std::str::from_utf8(timestamp.1?).ok()?.parse().ok().filter(|timestamp| *timestamp >= 0)
}

fn layout(origin: &Origin) -> Vec<(&'static str, Value)> {
    use Value::Fixed;
    vec![
        ("__connect.errors.topic", Fixed(origin.topic.clone())),
        ("__connect.errors.partition", Value::Field(Field::Partition)),
        ("__connect.errors.offset", Value::Field(Field::Offset)),
        ("__connect.errors.connector.name", Fixed(origin.group.clone())),
        ("__connect.errors.task.id", Fixed(origin.worker.to_string())),
        ("__connect.errors.stage", Fixed("TRANSFORMATION".to_owned())),
        ("__connect.errors.class.name", Fixed(origin.plugin_name.clone())),
        ("__connect.errors.exception.class.name", Value::Field(Field::Kind)),
        ("__connect.errors.exception.message", Value::Field(Field::Message)),
        ("__connect.errors.exception.stacktrace", Value::Field(Field::Trace)),
        ("mapper-host.headers", Fixed(HEADERS_VERSION.to_owned())),
        ("mapper-host.kind", Value::Field(Field::Kind)),
        ("mapper-host.fingerprint", Value::Field(Field::Fingerprint)),
        ("mapper-host.plugin.name", Fixed(origin.plugin_name.clone())),
        ("mapper-host.plugin.version", Fixed(origin.plugin_version.clone())),
        ("mapper-host.plugin.digest", Fixed(origin.plugin_digest.clone())),
        ("mapper-host.contract", Fixed(origin.contract.to_owned())),
        ("mapper-host.group", Fixed(origin.group.clone())),
        ("mapper-host.attempt", Value::Field(Field::Attempt)),
        (SOURCE_TIMESTAMP, Value::Field(Field::TimestampMs)),
        ("mapper-host.cut", Value::Field(Field::Cut)),
    ]
}

impl DeadLetters {
    /// Dead letters of at most that many bytes.
    pub fn new(origin: Origin, max_bytes: usize) -> Self {
        Self {
            layout: layout(&origin),
            origin,
            fields: Default::default(),
            max_bytes,
            envelope: Envelope::default(),
            fingerprints: Fingerprints::default(),
        }
    }

    /// From now on another version of the plugin is who failed.
    pub fn set_plugin(&mut self, speaker: &Speaker) {
        let Version { name, version, digest } = speaker.version.clone();
        (self.origin.plugin_name, self.origin.plugin_version, self.origin.plugin_digest) = (name, version, digest);
        self.origin.contract = speaker.contract;
        self.layout = layout(&self.origin);
    }

    /// The time at which the next records were processed: once per batch.
    pub fn set_time(&mut self, now: DateTime<Utc>) {
        self.envelope.set_time(now);
    }

    /// The dead letter of a record. One that would be larger than its topic takes is cut, and a header says so: its
    /// `input_json` first; then, or at once with `all_cut`, the headers and the key of the input.
    pub fn write<'a>(&'a mut self, record: Record<'a>, failure: &Failure<'_>, all_cut: bool) -> Letter<'a> {
        let message = cut(&failure.message);
        self.fill(record, failure, message);
        self.envelope.write(record.value(), message, usize::MAX);
        let kept = headers_bytes(kept_headers(record));
        let own = headers_bytes(self.own_headers());
        let total = record_bytes(record.key(), Some(self.envelope.bytes()), kept + own);
        let keeps_all = total <= self.max_bytes && !all_cut;
        let keeps_headers = keeps_all || !all_cut && self.cut_input(record, message, kept);
        if !keeps_headers {
            self.cut_all(message, if all_cut { 0 } else { self.max_bytes });
        }
        let key = record.key().filter(|_| keeps_headers);
        Letter { key, value: self.envelope.bytes(), record, keeps_headers, letters: self }
    }

    fn own_headers(&self) -> impl Iterator<Item = Header<'_>> {
        self.layout.iter().filter_map(|(name, value)| {
            let value = match value {
                Value::Fixed(text) => text,
                Value::Field(field) => &self.fields[*field as usize],
            };
            (!value.is_empty()).then_some((name.as_bytes(), Some(value.as_bytes())))
        })
    }

    fn field(&mut self, field: Field) -> &mut String {
        &mut self.fields[field as usize]
    }

    fn fill(&mut self, record: Record<'_>, failure: &Failure<'_>, message: &str) {
        self.fields.iter_mut().for_each(String::clear);
        let kind = failure.kind.name();
        // Writing to a string can't fail.
        let _ = write!(self.field(Field::Partition), "{}", record.partition());
        let _ = write!(self.field(Field::Offset), "{}", record.offset());
        let _ = write!(self.field(Field::Attempt), "{}", attempts_before(record).saturating_add(1));
        if let Some(timestamp) = record.timestamp_ms() {
            let _ = write!(self.field(Field::TimestampMs), "{timestamp}");
        }
        self.field(Field::Kind).push_str(kind);
        self.field(Field::Message).push_str(message);
        let trace = self.field(Field::Trace);
        // As a Java stack trace begins: with the class of the exception and its message.
        trace.extend([kind, ": ", message]);
        if !failure.details.is_empty() {
            trace.extend(["\n", cut(&failure.details)]);
        }
        let fingerprint = self.fingerprints.of(&self.fields[Field::Trace as usize], failure);
        self.fields[Field::Fingerprint as usize].push_str(fingerprint);
    }

    /// Cuts `input_json` to what there is room for. Tells whether that is enough.
    fn cut_input(&mut self, record: Record<'_>, message: &str, kept_header_bytes: usize) -> bool {
        let Some(input) = record.value() else { return false };
        self.say_cut(&format!("input_json: {} bytes", input.len()));
        self.envelope.write(Some(input), message, 0);
        let headers = kept_header_bytes + headers_bytes(self.own_headers());
        let without = record_bytes(record.key(), Some(self.envelope.bytes()), headers);
        let Some(room) = self.max_bytes.checked_sub(without) else { return false };
        self.envelope.write(Some(input), message, room);
        true
    }

    /// Leaves out the input altogether, and as much of the message as it takes.
    fn cut_all(&mut self, message: &str, max_bytes: usize) {
        self.say_cut("input_json, headers and key");
        self.envelope.write(None, message, 0);
        let over = |letters: &Self| {
            record_bytes(None, Some(letters.envelope.bytes()), headers_bytes(letters.own_headers())) > max_bytes
        };
        if over(self) {
            self.field(Field::Trace).clear();
            self.field(Field::Message).clear();
            self.envelope.write(None, "(cut)", 0);
        }
    }

    fn say_cut(&mut self, what: &str) {
        let field = self.field(Field::Cut);
        field.clear();
        field.push_str(what);
    }
}

fn attempts_before(record: Record<'_>) -> u32 {
    let attempt = record.headers().filter(|(name, _)| *name == ATTEMPT).last();
    attempt.and_then(|(_, value)| std::str::from_utf8(value?).ok()?.parse().ok()).unwrap_or(0)
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

#[cfg(test)]
mod tests;
