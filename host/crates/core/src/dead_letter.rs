//! The dead letter of a record: the envelope of the reference job, and headers.
//!
//! The headers are, in this order:
//! - the headers of the input, byte for byte;
//! - the headers of Kafka Connect (KIP-298: `__connect.errors.*`), for tools that read its dead letters, if [`HeaderSet`] has them;
//! - the versioned headers of the host.
//!
//! If the input is a dead letter itself, the new headers replace the old ones.
//! A dead letter can always be written: parts that exceed a limit of the topic are replaced or cut, and a header lists them.

mod envelope;
mod fingerprint;
mod form;
mod kept;
mod layout;
mod letter;
mod names;
mod read;
mod recognize;

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use crate::decision::{TopicLimits, headers_bytes, record_bytes};
use crate::identity::{ActiveVersion, Version};
use crate::record::{Header, NO_TIMESTAMP, Record};
use crate::rejection::RejectionCause;
use crate::verdict::Failure;

pub use envelope::input_of;
pub use fingerprint::fingerprint_of;
pub use form::{DeadLetterForm, DeadLetterTimestamp};
pub use layout::HeaderSet;
pub use letter::{DeadLetter, FailedInput, LetterFormat, PluginName, RecordPosition, UNKNOWN_KIND};
pub use read::{has_generated_key, is_own_header, kept_headers, letter_source, source_timestamp_ms};
pub use recognize::DeadLetterDetector;

use envelope::Envelope;
use fingerprint::Fingerprints;
use kept::{Kept, source_key};
use layout::{ESSENTIAL, FIELDS, Field, Value, layout};
use names::{GENERATED, SOURCE_KEY};
use read::attempts_before;

/// The longest message, and the longest message with backtrace.
const MAX_TEXT_BYTES: usize = 16 << 10;
/// The same if the record does not fit otherwise.
const SHORT_TEXT_BYTES: usize = 256;
/// The origin of all dead letters of a worker.
#[derive(Debug, Clone)]
pub struct Origin {
    pub group: String,
    pub worker: usize,
    pub plugin_name: String,
    pub plugin_version: String,
    /// The SHA-256 of the plugin file.
    pub plugin_digest: String,
    pub contract: &'static str,
}

/// Writes dead letters, one at a time, into reused buffers.
pub struct DeadLetters {
    origin: Origin,
    header_set: HeaderSet,
    layout: Vec<(&'static str, Value)>,
    fields: [String; FIELDS],
    limits: TopicLimits,
    /// The reduction of every dead letter, from earlier rejections.
    min_reduction: DeadLetterForm,
    /// Whether brokers rejected the current time, because their clocks differ too much.
    is_present_rejected: bool,
    /// Whether only the essential headers fit.
    is_essential: bool,
    now_ms: i64,
    generated_key: String,
    /// The complete text of the failure, by which fingerprints are cached.
    failure_text: String,
    envelope: Envelope,
    fingerprints: Fingerprints,
}

pub struct Letter<'a> {
    /// The key of the record, or a generated key if the topic requires one.
    pub key: Option<&'a [u8]>,
    /// The envelope.
    pub value: &'a [u8],
    /// The timestamp of the record, if the topic accepts it. `None` is the time of the send.
    pub timestamp_ms: Option<i64>,
    record: Record<'a>,
    kept: Kept,
    source_key: Option<&'a [u8]>,
    letters: &'a DeadLetters,
}

impl<'a> Letter<'a> {
    /// 16 hexadecimal digits; failures with the same cause have the same fingerprint.
    pub fn fingerprint(&self) -> &'a str {
        &self.letters.fields[Field::Fingerprint as usize]
    }

    /// All headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let kept = kept_headers(self.record).take(if self.kept.headers { usize::MAX } else { 0 });
        kept.chain(self.letters.own_headers()).chain(source_key_header(self.source_key))
    }
}

fn source_key_header(source_key: Option<&[u8]>) -> impl Iterator<Item = Header<'_>> {
    source_key.map(|key| (SOURCE_KEY.as_bytes(), Some(key))).into_iter()
}

impl DeadLetters {
    /// `limits` are those of the dead-letter topic.
    pub fn new(origin: Origin, header_set: HeaderSet, limits: TopicLimits) -> Self {
        Self {
            layout: layout(header_set, &origin),
            header_set,
            origin,
            fields: Default::default(),
            limits,
            min_reduction: DeadLetterForm::default(),
            is_present_rejected: false,
            is_essential: false,
            now_ms: 0,
            generated_key: String::new(),
            failure_text: String::new(),
            envelope: Envelope::default(),
            fingerprints: Fingerprints::default(),
        }
    }

    pub fn set_limits(&mut self, limits: TopicLimits) {
        self.limits = limits;
    }

    /// The form, reduced by earlier rejections.
    pub fn effective(&self, form: DeadLetterForm) -> DeadLetterForm {
        form.and(self.min_reduction)
    }

    /// The next form after a rejection of this effective form; `None` if no form is left. Later dead letters are reduced
    /// accordingly.
    pub fn after_rejection(&mut self, form: DeadLetterForm, cause: RejectionCause) -> Option<DeadLetterForm> {
        let next = form.after(cause, self.limits.max_record_bytes)?;
        self.is_present_rejected |= next.timestamp == DeadLetterTimestamp::Absent;
        self.min_reduction = self.min_reduction.and(DeadLetterForm {
            has_key: next.has_key,
            shrinks: next.shrinks,
            ..DeadLetterForm::default()
        });
        Some(next)
    }

    /// Sets the version in the headers.
    pub fn set_plugin(&mut self, active: &ActiveVersion) {
        let Version { name, version, digest } = active.version.clone();
        (self.origin.plugin_name, self.origin.plugin_version, self.origin.plugin_digest) = (name, version, digest);
        self.origin.contract = active.contract;
        self.layout = layout(self.header_set, &self.origin);
    }

    /// Sets the processing time of the next dead letters, once per batch.
    pub fn set_time(&mut self, now: DateTime<Utc>) {
        self.envelope.set_time(now);
        self.now_ms = now.timestamp_millis();
    }

    /// Writes the dead letter of a record. One that exceeds the limit of its topic is cut: first `input_json`, then the message, the
    /// headers and the key. A header lists the cut parts.
    pub fn write<'a>(&'a mut self, record: Record<'a>, failure: &Failure<'_>, form: DeadLetterForm) -> Letter<'a> {
        let form = self.effective(form);
        let max_bytes = form.max_bytes(self.limits.max_record_bytes);
        let needs_key = form.has_key || self.limits.needs_key;
        let timestamp_ms = self.timestamp(record, form.timestamp);
        self.fill(record, failure, timestamp_ms);
        let fits = |kept: &Kept| self.write_keeping(record, failure, *kept, needs_key, max_bytes);
        let kept = if form.is_bare { None } else { Kept::CHOICES.into_iter().find(fits) };
        if kept.is_none() {
            self.write_bare(record, failure, (form.is_bare, needs_key), max_bytes);
        }
        let source_key = kept.and_then(|kept| source_key(record, kept));
        let kept = kept.unwrap_or(Kept::NOTHING);
        let (key, value) = (self.key(record, kept), self.envelope.bytes());
        Letter { key, value, timestamp_ms, record, kept, source_key, letters: self }
    }

    fn timestamp(&self, record: Record<'_>, timestamp: DeadLetterTimestamp) -> Option<i64> {
        let is_accepted = |at: &i64| *at >= 0 && self.limits.accepts_timestamp(*at, self.now_ms);
        let source = record.timestamp_ms().filter(is_accepted);
        match timestamp {
            DeadLetterTimestamp::Source if source.is_some() => source,
            DeadLetterTimestamp::Source | DeadLetterTimestamp::Present if !self.is_present_rejected => None,
            _ => Some(NO_TIMESTAMP),
        }
    }

    /// The key of the dead letter.
    fn key<'a>(&'a self, record: Record<'a>, kept: Kept) -> Option<&'a [u8]> {
        let is_generated = !self.fields[Field::Key as usize].is_empty();
        if is_generated { Some(self.generated_key.as_bytes()) } else { record.key().filter(|_| kept.key) }
    }

    /// Sets the header of a generated key.
    fn choose_key(&mut self, record: Record<'_>, key: Option<&[u8]>, needs_key: bool) {
        let field = self.field(Field::Key);
        field.clear();
        if needs_key && key.is_none() {
            field.push_str(GENERATED);
            self.generated_key.clear();
            // A write to a string cannot fail.
            let _ = write!(self.generated_key, "{}-{}-{}", record.topic(), record.partition(), record.offset());
        }
    }

    /// Writes a dead letter with these parts. Cuts `input_json` if necessary. Returns whether the dead letter fits.
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
                // Nothing is dropped, so the size is the same.
                return false;
            }
        }
        let message = if kept.text { cut(&failure.message, MAX_TEXT_BYTES) } else { self.shorten(failure) };
        self.choose_key(record, record.key().filter(|_| kept.key), needs_key);
        self.set_cut_header(&lost);
        self.envelope.write(record.value(), message, usize::MAX);
        if self.bytes(record, kept) <= max_bytes {
            return true;
        }
        let Some(input) = record.value() else { return false };
        let comma = if lost.is_empty() { "" } else { ", " };
        self.set_cut_header(&format!("input_json: {} bytes{comma}{lost}", input.len()));
        self.envelope.write(Some(input), message, 0);
        let Some(room) = max_bytes.checked_sub(self.bytes(record, kept)) else { return false };
        self.envelope.write(Some(input), message, room);
        true
    }

    /// Shortens the texts to the beginning of the message.
    fn shorten<'f>(&mut self, failure: &'f Failure<'_>) -> &'f str {
        let message = cut(&failure.message, SHORT_TEXT_BYTES);
        self.set_text(failure.kind.name(), message, "");
        message
    }

    fn set_text(&mut self, kind: &str, message: &str, details: &str) {
        self.fields[Field::Backtrace as usize].clear();
        if self.header_set == HeaderSet::Compact {
            self.field(Field::Backtrace).push_str(details);
            return;
        }
        let text = self.field(Field::Message);
        text.clear();
        text.push_str(message);
        let trace = self.field(Field::Trace);
        trace.clear();
        // A Java stack trace begins with the class and the message of the exception.
        trace.extend([kind, ": ", message]);
        if !details.is_empty() {
            trace.extend(["\n", details]);
        }
    }

    /// The size of the dead letter.
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

    fn fill(&mut self, record: Record<'_>, failure: &Failure<'_>, timestamp_ms: Option<i64>) {
        self.fields.iter_mut().for_each(String::clear);
        self.is_essential = false;
        let (kind, message) = (failure.kind.name(), cut(&failure.message, MAX_TEXT_BYTES));
        let details = cut(&failure.details, MAX_TEXT_BYTES);
        let text = &mut self.failure_text;
        text.clear();
        text.extend([kind, ": ", message, "\n", details]);
        let fingerprint = self.fingerprints.get(text, failure);
        self.fields[Field::Fingerprint as usize].push_str(fingerprint);
        if self.header_set != HeaderSet::Full {
            self.fields[Field::Failure as usize].extend([kind, " ", fingerprint]);
        }
        self.set_text(kind, message, details);
        let attempt = attempts_before(record).saturating_add(1);
        let (mut partition, mut offset) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (partition, offset) = (partition.format(record.partition()), offset.format(record.offset()));
        if self.header_set == HeaderSet::Full {
            self.field(Field::Attempt).push_str(itoa::Buffer::new().format(attempt));
            if let Some(timestamp) = record.timestamp_ms() {
                self.field(Field::TimestampMs).push_str(itoa::Buffer::new().format(timestamp));
            }
        } else {
            self.field(Field::Source).extend([record.topic(), "/", partition, "@", offset]);
            if attempt > 1 {
                self.field(Field::Attempt).push_str(itoa::Buffer::new().format(attempt));
            }
            // `None` is the time of the send.
            if timestamp_ms.is_none() || record.timestamp_ms() != timestamp_ms {
                let timestamp = record.timestamp_ms().unwrap_or(NO_TIMESTAMP);
                self.field(Field::TimestampMs).push_str(itoa::Buffer::new().format(timestamp));
            }
        }
        if self.header_set != HeaderSet::Compact {
            self.field(Field::Topic).push_str(record.topic());
            self.field(Field::Partition).push_str(partition);
            self.field(Field::Offset).push_str(offset);
            self.field(Field::Kind).push_str(kind);
        }
    }

    /// Writes a dead letter without the parts of the record, and drops texts and headers until it fits.
    fn write_bare(
        &mut self,
        record: Record<'_>,
        failure: &Failure<'_>,
        (drops_message, needs_key): (bool, bool),
        max_bytes: usize,
    ) {
        self.choose_key(record, None, needs_key);
        self.set_cut_header("input_json, headers and key");
        let message = self.shorten(failure);
        self.envelope.write(None, message, 0);
        let key_bytes = if needs_key { self.generated_key.len() } else { 0 };
        let exceeds_limit = |letters: &Self| {
            let headers = headers_bytes(letters.own_headers());
            record_bytes(None, Some(letters.envelope.bytes()), headers) + key_bytes > max_bytes
        };
        if drops_message || exceeds_limit(self) {
            for text in [Field::Trace, Field::Message, Field::Backtrace] {
                self.field(text).clear();
            }
            self.envelope.write(None, "(cut)", 0);
        }
        self.is_essential = exceeds_limit(self);
    }

    fn set_cut_header(&mut self, what: &str) {
        let field = self.field(Field::Cut);
        field.clear();
        field.push_str(what);
    }
}

fn cut(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

#[cfg(test)]
mod tests;
