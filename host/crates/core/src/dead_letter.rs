//! The dead letter of a record: its envelope, as the reference job writes it, and its headers.
//!
//! Headers: first those of the input, byte for byte and in order; then those that Kafka Connect writes (KIP-298:
//! `__connect.errors.*`), so that tools for its dead letters read ours; then our own versioned set. A record that was a
//! dead letter before gets these replaced, not added to.
//!
//! A dead letter can always be written: what its topic would not take is replaced or cut, and a header says so.

mod envelope;
mod fingerprint;
mod form;
mod layout;
mod recognize;

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use crate::decision::{TopicLimits, headers_bytes, record_bytes};
use crate::identity::{ActiveVersion, Version};
use crate::record::{Header, NO_TIMESTAMP, Record};
use crate::rejection::RejectionCause;
use crate::verdict::Failure;

pub use envelope::input_of;
pub use form::{LetterForm, LetterTimestamp};
pub use recognize::DeadLetterDetector;

use envelope::Envelope;
use fingerprint::Fingerprints;
use layout::{ESSENTIAL, FIELDS, Field, Value, layout};

const CONNECT_PREFIX: &[u8] = b"__connect.errors.";
const OWN_PREFIX: &[u8] = b"mapper-host.";
const ATTEMPT: &[u8] = b"mapper-host.attempt";
/// Whose key a dead letter has, if it is not its record's.
const KEY: &str = "mapper-host.key";
const GENERATED: &str = "generated";
const SOURCE_TIMESTAMP: &str = "mapper-host.source.timestamp-ms";
/// What a message, or a message with its backtrace, takes at most, in bytes.
const MAX_TEXT_BYTES: usize = 16 << 10;
/// The same where there is no room for the record otherwise.
const SHORT_TEXT_BYTES: usize = 256;
/// The beginning of a key that is cut.
const SOURCE_KEY: &[u8] = b"mapper-host.source.key";
/// What is kept of a key that is cut, in bytes.
const MAX_SOURCE_KEY_BYTES: usize = 256;

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

/// Writes dead letters, one at a time, into buffers of its own.
pub struct DeadLetters {
    origin: Origin,
    layout: Vec<(&'static str, Value)>,
    fields: [String; FIELDS],
    /// What the dead-letter topic takes.
    limits: TopicLimits,
    /// What every dead letter does without since some were rejected.
    least: LetterForm,
    /// Brokers don't take the present time: theirs is too different.
    is_present_rejected: bool,
    /// Only the essential headers are written.
    is_essential: bool,
    now_ms: i64,
    generated_key: String,
    envelope: Envelope,
    fingerprints: Fingerprints,
}

/// What is kept beside the value of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    text: bool,
    key: bool,
    headers: bool,
}

impl Kept {
    const ALL: Self = Self { text: true, key: true, headers: true };
    const NOTHING: Self = Self { text: false, key: false, headers: false };
    /// In the order in which it is tried: what is the record's own goes last.
    const CHOICES: [Self; 5] = [
        Self::ALL,
        Self { text: false, ..Self::ALL },
        Self { text: false, headers: false, ..Self::ALL },
        Self { text: false, key: false, ..Self::ALL },
        Self::NOTHING,
    ];
}

/// A dead letter.
pub struct Letter<'a> {
    /// The key of the record, or one that is generated because the topic takes no record without.
    pub key: Option<&'a [u8]>,
    /// The envelope.
    pub value: &'a [u8],
    /// The timestamp of the record, unless the topic does not take it; as in [`Outgoing`](crate::pipeline::Outgoing).
    pub timestamp_ms: Option<i64>,
    record: Record<'a>,
    kept: Kept,
    source_key: Option<&'a [u8]>,
    letters: &'a DeadLetters,
}

impl<'a> Letter<'a> {
    /// The same for failures of the same making: 16 hexadecimal digits.
    pub fn fingerprint(&self) -> &'a str {
        &self.letters.fields[Field::Fingerprint as usize]
    }

    /// All headers in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let kept = kept_headers(self.record).take(if self.kept.headers { usize::MAX } else { 0 });
        kept.chain(self.letters.own_headers()).chain(source_key_header(self.source_key))
    }
}

fn source_key_header(source_key: Option<&[u8]>) -> impl Iterator<Item = Header<'_>> {
    source_key.map(|key| (SOURCE_KEY, Some(key))).into_iter()
}

/// The headers of a record without those that make it a dead letter.
pub fn kept_headers(record: Record<'_>) -> impl Iterator<Item = Header<'_>> {
    record.headers().filter(|(name, _)| !is_own_header(name))
}

/// Whether a header with this name is one that makes a record a dead letter.
pub fn is_own_header(name: &[u8]) -> bool {
    name.starts_with(CONNECT_PREFIX) || name.starts_with(OWN_PREFIX)
}

/// The timestamp of the input of a dead letter, as its headers have it.
pub fn source_timestamp_ms<'h>(headers: impl Iterator<Item = Header<'h>>) -> Option<i64> {
    let timestamp = headers.filter(|(name, _)| *name == SOURCE_TIMESTAMP.as_bytes()).last()?;
    std::str::from_utf8(timestamp.1?).ok()?.parse().ok().filter(|timestamp| *timestamp >= 0)
}

/// Whether a dead letter has a key that its record had not.
pub fn has_generated_key<'h>(mut headers: impl Iterator<Item = Header<'h>>) -> bool {
    headers.any(|(name, value)| name == KEY.as_bytes() && value == Some(GENERATED.as_bytes()))
}

impl DeadLetters {
    /// Dead letters for a topic with these limits.
    pub fn new(origin: Origin, limits: TopicLimits) -> Self {
        Self {
            layout: layout(&origin),
            origin,
            fields: Default::default(),
            limits,
            least: LetterForm::default(),
            is_present_rejected: false,
            is_essential: false,
            now_ms: 0,
            generated_key: String::new(),
            envelope: Envelope::default(),
            fingerprints: Fingerprints::default(),
        }
    }

    /// From now on the topic takes this.
    pub fn set_limits(&mut self, limits: TopicLimits) {
        self.limits = limits;
    }

    /// How a dead letter of this form is written at the moment.
    pub fn effective(&self, form: LetterForm) -> LetterForm {
        form.and(self.least)
    }

    /// The form to write a dead letter in that was rejected in this effective form, and what is learned from that for others;
    /// `None` if there is none left.
    pub fn after_rejection(&mut self, form: LetterForm, cause: RejectionCause) -> Option<LetterForm> {
        let next = form.after(cause, self.limits.max_record_bytes)?;
        self.is_present_rejected |= next.timestamp == LetterTimestamp::Absent;
        self.least =
            self.least.and(LetterForm { has_key: next.has_key, shrinks: next.shrinks, ..LetterForm::default() });
        Some(next)
    }

    /// From now on another version of the plugin is who failed.
    pub fn set_plugin(&mut self, speaker: &ActiveVersion) {
        let Version { name, version, digest } = speaker.version.clone();
        (self.origin.plugin_name, self.origin.plugin_version, self.origin.plugin_digest) = (name, version, digest);
        self.origin.contract = speaker.contract;
        self.layout = layout(&self.origin);
    }

    /// The time at which the next records were processed: once per batch.
    pub fn set_time(&mut self, now: DateTime<Utc>) {
        self.envelope.set_time(now);
        self.now_ms = now.timestamp_millis();
    }

    /// The dead letter of a record. One that would be larger than its topic takes is cut, and a header says so: its
    /// `input_json` first; then the message, the headers of the record, its key.
    pub fn write<'a>(&'a mut self, record: Record<'a>, failure: &Failure<'_>, form: LetterForm) -> Letter<'a> {
        let form = self.effective(form);
        let max_bytes = form.max_bytes(self.limits.max_record_bytes);
        let needs_key = form.has_key || self.limits.needs_key;
        self.fill(record, failure);
        let fits = |kept: &Kept| self.write_keeping(record, failure, *kept, needs_key, max_bytes);
        let kept = if form.is_bare { None } else { Kept::CHOICES.into_iter().find(fits) };
        if kept.is_none() {
            self.write_bare(failure, form.is_bare, needs_key, max_bytes);
        }
        let source_key = kept.and_then(|kept| source_key(record, kept));
        let timestamp_ms = self.timestamp(record, form.timestamp);
        let kept = kept.unwrap_or(Kept::NOTHING);
        let (key, value) = (self.key(record, kept), self.envelope.bytes());
        Letter { key, value, timestamp_ms, record, kept, source_key, letters: self }
    }

    fn timestamp(&self, record: Record<'_>, timestamp: LetterTimestamp) -> Option<i64> {
        let is_taken = |at: &i64| *at >= 0 && self.limits.takes_timestamp(*at, self.now_ms);
        let source = record.timestamp_ms().filter(is_taken);
        match timestamp {
            LetterTimestamp::Source if source.is_some() => source,
            LetterTimestamp::Source | LetterTimestamp::Present if !self.is_present_rejected => None,
            _ => Some(NO_TIMESTAMP),
        }
    }

    /// The key of a letter that is written.
    fn key<'a>(&'a self, record: Record<'a>, kept: Kept) -> Option<&'a [u8]> {
        let is_generated = !self.fields[Field::Key as usize].is_empty();
        if is_generated { Some(self.generated_key.as_bytes()) } else { record.key().filter(|_| kept.key) }
    }

    /// Notes whether the key is generated.
    fn choose_key(&mut self, key: Option<&[u8]>, needs_key: bool) {
        let field = self.field(Field::Key);
        field.clear();
        if needs_key && key.is_none() {
            field.push_str(GENERATED);
        }
    }

    /// Writes a letter that keeps this. Returns whether it is small enough, possibly with a part of its `input_json` only.
    fn write_keeping(
        &mut self,
        record: Record<'_>,
        failure: &Failure<'_>,
        kept: Kept,
        needs_key: bool,
        max_bytes: usize,
    ) -> bool {
        let mut lost = String::new();
        if kept != Kept::ALL {
            let text_bytes = failure.message.len().max(failure.details.len());
            let headers_bytes = headers_bytes(kept_headers(record));
            let key_bytes = record.key().map_or(0, <[u8]>::len);
            for (what, is_lost, bytes) in [
                ("message", !kept.text && text_bytes > SHORT_TEXT_BYTES, text_bytes),
                ("headers", !kept.headers, headers_bytes),
                ("key", !kept.key, key_bytes),
            ] {
                if is_lost && bytes > 0 {
                    let comma = if lost.is_empty() { "" } else { ", " };
                    let _ = write!(lost, "{comma}{what}: {bytes} bytes");
                }
            }
            if lost.is_empty() {
                // There is nothing to win.
                return false;
            }
        }
        let message = if kept.text { cut(&failure.message, MAX_TEXT_BYTES) } else { self.shorten(failure) };
        self.choose_key(record.key().filter(|_| kept.key), needs_key);
        self.say_cut(&lost);
        self.envelope.write(record.value(), message, usize::MAX);
        if self.bytes(record, kept) <= max_bytes {
            return true;
        }
        let Some(input) = record.value() else { return false };
        let comma = if lost.is_empty() { "" } else { ", " };
        self.say_cut(&format!("input_json: {} bytes{comma}{lost}", input.len()));
        self.envelope.write(Some(input), message, 0);
        let Some(room) = max_bytes.checked_sub(self.bytes(record, kept)) else { return false };
        self.envelope.write(Some(input), message, room);
        true
    }

    /// Cuts the texts of a letter that is filled to the beginning of the message.
    fn shorten<'f>(&mut self, failure: &'f Failure<'_>) -> &'f str {
        let message = cut(&failure.message, SHORT_TEXT_BYTES);
        self.set_text(failure.kind.name(), message, "");
        message
    }

    fn set_text(&mut self, kind: &str, message: &str, details: &str) {
        let text = self.field(Field::Message);
        text.clear();
        text.push_str(message);
        let trace = self.field(Field::Trace);
        trace.clear();
        // As a Java stack trace begins: with the class of the exception and its message.
        trace.extend([kind, ": ", message]);
        if !details.is_empty() {
            trace.extend(["\n", details]);
        }
    }

    /// The size of what is written.
    fn bytes(&self, record: Record<'_>, kept: Kept) -> usize {
        let headers = if kept.headers { headers_bytes(kept_headers(record)) } else { 0 };
        let source_key = headers_bytes(source_key_header(source_key(record, kept)));
        let headers = headers + headers_bytes(self.own_headers()) + source_key;
        record_bytes(self.key(record, kept), Some(self.envelope.bytes()), headers)
    }

    fn own_headers(&self) -> impl Iterator<Item = Header<'_>> {
        let is_written = |name: &&str| !self.is_essential || ESSENTIAL.contains(name);
        self.layout.iter().filter(move |(name, _)| is_written(name)).filter_map(|(name, value)| {
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

    fn fill(&mut self, record: Record<'_>, failure: &Failure<'_>) {
        self.fields.iter_mut().for_each(String::clear);
        self.is_essential = false;
        self.generated_key.clear();
        let _ = write!(self.generated_key, "{}-{}-{}", record.topic(), record.partition(), record.offset());
        let kind = failure.kind.name();
        // Writing to a string can't fail.
        let _ = write!(self.field(Field::Partition), "{}", record.partition());
        let _ = write!(self.field(Field::Offset), "{}", record.offset());
        let _ = write!(self.field(Field::Attempt), "{}", attempts_before(record).saturating_add(1));
        if let Some(timestamp) = record.timestamp_ms() {
            let _ = write!(self.field(Field::TimestampMs), "{timestamp}");
        }
        self.field(Field::Kind).push_str(kind);
        self.set_text(kind, cut(&failure.message, MAX_TEXT_BYTES), cut(&failure.details, MAX_TEXT_BYTES));
        let fingerprint = self.fingerprints.of(&self.fields[Field::Trace as usize], failure);
        self.fields[Field::Fingerprint as usize].push_str(fingerprint);
    }

    /// Leaves out all of the record, and as much of the rest as it takes; one that is wordless has no message either.
    fn write_bare(&mut self, failure: &Failure<'_>, is_wordless: bool, needs_key: bool, max_bytes: usize) {
        self.choose_key(None, needs_key);
        self.say_cut("input_json, headers and key");
        let message = self.shorten(failure);
        self.envelope.write(None, message, 0);
        let key_bytes = if needs_key { self.generated_key.len() } else { 0 };
        let is_over = |letters: &Self| {
            let headers = headers_bytes(letters.own_headers());
            record_bytes(None, Some(letters.envelope.bytes()), headers) + key_bytes > max_bytes
        };
        if is_wordless || is_over(self) {
            self.field(Field::Trace).clear();
            self.field(Field::Message).clear();
            self.envelope.write(None, "(cut)", 0);
        }
        self.is_essential = is_over(self);
    }

    fn say_cut(&mut self, what: &str) {
        let field = self.field(Field::Cut);
        field.clear();
        field.push_str(what);
    }
}

/// The beginning of the record's key, if that is not kept.
fn source_key<'a>(record: Record<'a>, kept: Kept) -> Option<&'a [u8]> {
    let key = record.key().filter(|_| !kept.key)?;
    Some(&key[..key.len().min(MAX_SOURCE_KEY_BYTES)])
}

fn attempts_before(record: Record<'_>) -> u32 {
    let attempt = record.headers().filter(|(name, _)| *name == ATTEMPT).last();
    attempt.and_then(|(_, value)| std::str::from_utf8(value?).ok()?.parse().ok()).unwrap_or(0)
}

fn cut(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

#[cfg(test)]
mod tests;
