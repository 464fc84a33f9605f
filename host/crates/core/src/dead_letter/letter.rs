//! A dead letter, read from a record of a dead-letter topic.

mod foreign;
mod headers;

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::envelope::{input_of, message_of, processing_time_ms};
use super::fingerprint::foreign_fingerprint;
use super::names::{GENERATED, OWN_PREFIX};
use super::read::source_timestamp_ms;
use super::recognize::is_envelope;
use crate::record::{Header, Record};
use headers::LetterHeaders;

/// The kind of a dead letter whose headers do not name one.
pub const UNKNOWN_KIND: &str = "unknown";

/// The program that wrote a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LetterFormat {
    /// This host. Its headers have this version.
    MapperHost(u8),
    /// An envelope without headers of a host.
    Envelope,
    /// Kafka Connect (KIP-298).
    KafkaConnect,
    /// The `DeadLetterPublishingRecoverer` of Spring for Apache Kafka.
    Spring,
    /// Kafka Streams (KIP-1034).
    KafkaStreams,
}

impl LetterFormat {
    pub fn name(self) -> &'static str {
        match self {
            Self::MapperHost(1) => "mapper-host/1",
            Self::MapperHost(_) => "mapper-host/2",
            Self::Envelope => "envelope",
            Self::KafkaConnect => "kafka-connect",
            Self::Spring => "spring",
            Self::KafkaStreams => "kafka-streams",
        }
    }

    /// Whether the value of the letter is an envelope around the value of the record.
    fn has_envelope(self) -> bool {
        matches!(self, Self::MapperHost(_) | Self::Envelope)
    }
}

/// The position of a record: its topic, its partition and its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordPosition<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
}

impl<'a> RecordPosition<'a> {
    /// Parses `TOPIC/PARTITION@OFFSET`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (rest, offset) = text.rsplit_once('@')?;
        let (topic, partition) = rest.rsplit_once('/')?;
        let (partition, offset) = (partition.parse().ok()?, offset.parse().ok()?);
        (!topic.is_empty() && partition >= 0 && offset >= 0).then_some(Self { topic, partition, offset })
    }
}

impl std::fmt::Display for RecordPosition<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}@{}", self.topic, self.partition, self.offset)
    }
}

/// The plugin that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginName<'a> {
    pub name: &'a str,
    pub version: &'a str,
    /// The SHA-256 of its file, in hexadecimal.
    pub digest: &'a str,
}

/// What the headers of a dead letter say. The value is parsed on demand.
#[derive(Debug, Clone)]
pub struct DeadLetter<'a> {
    record: Record<'a>,
    headers: LetterHeaders<'a>,
    pub format: LetterFormat,
    /// The position of the failed record, if the headers name it.
    pub source: Option<RecordPosition<'a>>,
    /// The name of a [`FailureKind`](crate::verdict::FailureKind), the class of an exception, or [`UNKNOWN_KIND`].
    pub kind: Cow<'a, str>,
    /// The identity of the group of failures that the letter belongs to.
    pub fingerprint: Cow<'a, str>,
    pub plugin: Option<PluginName<'a>>,
    /// How many times the record has failed.
    pub attempt: u32,
}

/// The record that failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FailedInput {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub timestamp_ms: Option<i64>,
}

impl FailedInput {
    /// A record as it is in its topic.
    pub fn of(record: Record<'_>) -> Self {
        let owned = |(name, value): Header<'_>| (name.to_vec(), value.map(<[u8]>::to_vec));
        Self {
            key: record.key().map(<[u8]>::to_vec),
            value: record.value().map(<[u8]>::to_vec),
            headers: record.headers().map(owned).collect(),
            timestamp_ms: record.timestamp_ms(),
        }
    }
}

impl<'a> DeadLetter<'a> {
    /// Reads a record of a dead-letter topic. `None` if it is no dead letter in a known format.
    pub fn read(record: Record<'a>) -> Option<Self> {
        let headers = LetterHeaders::read(record);
        headers.own(record).or_else(|| foreign::read(record, headers)).or_else(|| Self::from_envelope(record, headers))
    }

    /// The envelope of the reference job has no headers.
    fn from_envelope(record: Record<'a>, headers: LetterHeaders<'a>) -> Option<Self> {
        let value = record.value().filter(|value| is_envelope(value))?;
        let fingerprint = foreign_fingerprint(UNKNOWN_KIND, &message_of(value)?, "");
        Some(Self {
            record,
            headers,
            format: LetterFormat::Envelope,
            source: None,
            kind: UNKNOWN_KIND.into(),
            fingerprint: fingerprint.into(),
            plugin: None,
            attempt: 1,
        })
    }

    /// The letter as it is in its topic.
    pub fn record(&self) -> Record<'a> {
        self.record
    }

    /// The position of the letter in its dead-letter topic.
    pub fn position(&self) -> RecordPosition<'a> {
        RecordPosition { topic: self.record.topic(), partition: self.record.partition(), offset: self.record.offset() }
    }

    /// The identity of the failed record: its position, or if that is unknown, the position of the letter.
    pub fn source_or_self(&self) -> RecordPosition<'a> {
        self.source.unwrap_or_else(|| self.position())
    }

    /// The key of the letter, which can be generated or cut.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.record.key()
    }

    /// When the record failed, in milliseconds since 1970. Without an envelope, the timestamp of the letter.
    pub fn failed_at_ms(&self) -> Option<i64> {
        let envelope = self.record.value().filter(|_| self.format.has_envelope());
        envelope.and_then(processing_time_ms).or_else(|| self.record.timestamp_ms())
    }

    /// The message of the failure; empty if it can't be read.
    pub fn message(&self) -> Cow<'a, str> {
        let message = if self.format.has_envelope() {
            self.record.value().and_then(message_of)
        } else {
            self.headers.message.map(String::from_utf8_lossy)
        };
        message.unwrap_or_default()
    }

    /// The backtrace and the last log lines of the plugin, or the stack trace of the exception.
    pub fn backtrace(&self) -> Option<Cow<'a, str>> {
        let text = self.headers.backtrace.or(self.headers.trace)?;
        Some(String::from_utf8_lossy(text))
    }

    /// The parts of the record that did not fit into the letter, with their sizes.
    pub fn cut(&self) -> Option<Cow<'a, str>> {
        self.headers.cut.map(String::from_utf8_lossy)
    }

    /// Whether the letter has the whole record, so that the record can be mapped again from it.
    pub fn is_complete(&self) -> bool {
        self.cut().is_none_or(|cut| !["input_json", "headers", "key"].iter().any(|part| cut.contains(part)))
    }

    /// The failed record, without the headers of the letter.
    ///
    /// # Errors
    /// The value is not an envelope.
    pub fn input(&self) -> Result<FailedInput, String> {
        let value = if self.format.has_envelope() {
            input_of(self.record.value().unwrap_or_default())?
        } else {
            self.record.value().map(<[u8]>::to_vec)
        };
        let is_generated = self.headers.key == Some(GENERATED.as_bytes());
        let headers = self.record.headers().filter(|(name, _)| !self.is_letter_header(name));
        let owned = |(name, value): Header<'_>| (name.to_vec(), value.map(<[u8]>::to_vec));
        Ok(FailedInput {
            key: self.record.key().filter(|_| !is_generated).map(<[u8]>::to_vec),
            value,
            headers: headers.map(owned).collect(),
            timestamp_ms: self.source_timestamp_ms(),
        })
    }

    /// The timestamp of the failed record.
    pub fn source_timestamp_ms(&self) -> Option<i64> {
        source_timestamp_ms(self.record.headers(), self.record.timestamp_ms())
    }

    /// Whether a record in the place of the failed one is that record: its topic can have been deleted and created again. Compares what
    /// the letter still has of it.
    pub fn is_of(&self, record: Record<'_>) -> bool {
        let timestamp = self.source_timestamp_ms();
        let has_key = self.cut().is_none_or(|cut| !cut.contains("key")) && self.headers.key.is_none();
        timestamp == record.timestamp_ms() && (!has_key || self.record.key() == record.key())
    }

    /// Whether a header describes the failure. Those of foreign formats are removed only from letters in that format.
    fn is_letter_header(&self, name: &[u8]) -> bool {
        name.starts_with(OWN_PREFIX) || foreign::is_header_of(self.format, name)
    }

    /// When the record failed.
    pub fn failed_at(&self) -> Option<DateTime<Utc>> {
        self.failed_at_ms().and_then(DateTime::from_timestamp_millis)
    }
}
