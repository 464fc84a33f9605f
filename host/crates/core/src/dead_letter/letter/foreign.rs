//! Dead letters of other programs. Their value is that of the failed record.
//!
//! The names and the encodings are those of:
//! - Kafka Connect: KIP-298;
//! - Spring for Apache Kafka: `KafkaHeaders.DLT_*`; the partition is a 4-byte and the offset an 8-byte big-endian number;
//! - Kafka Streams: KIP-1034.

use super::super::fingerprint::foreign_fingerprint;
use super::super::names::CONNECT_PREFIX;
use super::headers::{LetterHeaders, text};
use super::{DeadLetter, LetterFormat, RecordPosition, UNKNOWN_KIND};
use crate::record::Record;

const SPRING_PREFIX: &[u8] = b"kafka_dlt-";
const STREAMS_PREFIX: &[u8] = b"__streams.errors.";

/// Whether a letter in this format has such a header to describe its failure.
pub(super) fn is_header_of(format: LetterFormat, name: &[u8]) -> bool {
    match format {
        LetterFormat::Spring => name.starts_with(SPRING_PREFIX),
        LetterFormat::KafkaStreams => name.starts_with(STREAMS_PREFIX),
        LetterFormat::KafkaConnect | LetterFormat::MapperHost(_) | LetterFormat::Envelope => {
            name.starts_with(CONNECT_PREFIX)
        }
    }
}

pub(super) fn read<'a>(record: Record<'a>, connect: LetterHeaders<'a>) -> Option<DeadLetter<'a>> {
    let (spring, streams) = (spring(record), streams(record));
    let (format, headers, source) = if connect.topic.is_some() || connect.exception.is_some() {
        (LetterFormat::KafkaConnect, connect, connect.text_position())
    } else if spring.topic.is_some() || spring.exception.is_some() {
        (LetterFormat::Spring, spring, binary_position(spring))
    } else if streams.topic.is_some() || streams.exception.is_some() {
        (LetterFormat::KafkaStreams, streams, streams.text_position())
    } else {
        return None;
    };
    let kind = text(headers.exception).filter(|kind| !kind.is_empty()).unwrap_or(UNKNOWN_KIND);
    let message = headers.message.map(String::from_utf8_lossy).unwrap_or_default();
    let trace = headers.trace.map(String::from_utf8_lossy).unwrap_or_default();
    Some(DeadLetter {
        record,
        headers,
        format,
        source,
        kind: kind.into(),
        fingerprint: foreign_fingerprint(kind, &message, &trace).into(),
        plugin: None,
        attempt: 1,
    })
}

fn spring(record: Record<'_>) -> LetterHeaders<'_> {
    let mut headers = LetterHeaders::default();
    for (name, value) in record.headers() {
        let Some(name) = name.strip_prefix(SPRING_PREFIX) else { continue };
        match name {
            b"original-topic" => headers.topic = value,
            b"original-partition" => headers.partition = value,
            b"original-offset" => headers.offset = value,
            b"exception-fqcn" => headers.exception = value,
            b"exception-message" => headers.message = value,
            b"exception-stacktrace" => headers.trace = value,
            _ => {}
        }
    }
    headers
}

fn streams(record: Record<'_>) -> LetterHeaders<'_> {
    let mut headers = LetterHeaders::default();
    for (name, value) in record.headers() {
        let Some(name) = name.strip_prefix(STREAMS_PREFIX) else { continue };
        match name {
            b"topic" => headers.topic = value,
            b"partition" => headers.partition = value,
            b"offset" => headers.offset = value,
            b"exception" => headers.exception = value,
            b"message" => headers.message = value,
            b"stacktrace" => headers.trace = value,
            _ => {}
        }
    }
    headers
}

fn binary_position(headers: LetterHeaders<'_>) -> Option<RecordPosition<'_>> {
    let partition = i32::from_be_bytes(headers.partition?.try_into().ok()?);
    let offset = i64::from_be_bytes(headers.offset?.try_into().ok()?);
    let topic = text(headers.topic)?;
    (partition >= 0 && offset >= 0).then_some(RecordPosition { topic, partition, offset })
}
