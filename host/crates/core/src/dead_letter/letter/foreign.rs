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
const SPRING_NAMES: [&[u8]; 6] = [
    b"original-topic",
    b"original-partition",
    b"original-offset",
    b"exception-fqcn",
    b"exception-message",
    b"exception-stacktrace",
];
const STREAMS_PREFIX: &[u8] = b"__streams.errors.";
const STREAMS_NAMES: [&[u8]; 6] = [b"topic", b"partition", b"offset", b"exception", b"message", b"stacktrace"];

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
    let (spring, streams) = (find(record, SPRING_PREFIX, SPRING_NAMES), find(record, STREAMS_PREFIX, STREAMS_NAMES));
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

/// Finds the last header of each name with this prefix. The names are those of topic, partition, offset, exception, message and stack trace.
fn find<'a>(record: Record<'a>, prefix: &[u8], names: [&[u8]; 6]) -> LetterHeaders<'a> {
    let mut values = [None; 6];
    for (name, value) in record.headers() {
        let known = name.strip_prefix(prefix).and_then(|name| names.iter().position(|known| *known == name));
        if let Some(index) = known {
            values[index] = value;
        }
    }
    let [topic, partition, offset, exception, message, trace] = values;
    LetterHeaders { topic, partition, offset, exception, message, trace, ..LetterHeaders::default() }
}

fn binary_position(headers: LetterHeaders<'_>) -> Option<RecordPosition<'_>> {
    let partition = i32::from_be_bytes(headers.partition?.try_into().ok()?);
    let offset = i64::from_be_bytes(headers.offset?.try_into().ok()?);
    let topic = text(headers.topic)?;
    (partition >= 0 && offset >= 0).then_some(RecordPosition { topic, partition, offset })
}
