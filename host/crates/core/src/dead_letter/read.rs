//! Reads the headers of dead letters, of versions 1 and 2.

use super::names::{
    ATTEMPT, CONNECT_OFFSET, CONNECT_PARTITION, CONNECT_PREFIX, CONNECT_TOPIC, FAILURE, GENERATED, KEY, KIND,
    OWN_PREFIX, SOURCE, SOURCE_TIMESTAMP, VERSION_1,
};
use crate::record::{Header, Record};
use crate::source::RecordSource;

/// Every dead letter of a version has both of its headers. A replayed record can have one of them.
const MARKS: [[&str; 2]; 2] = [[VERSION_1, KIND], [SOURCE, FAILURE]];

/// Whether a record has the headers of a dead letter of this host.
pub(super) fn has_marks(record: Record<'_>) -> bool {
    let has = |mark: &&str| record.headers().any(|(name, _)| name == mark.as_bytes());
    MARKS.iter().any(|marks| marks.iter().all(has))
}

/// The headers of a record, without those of a dead letter.
pub fn kept_headers(record: Record<'_>) -> impl Iterator<Item = Header<'_>> {
    record.headers().filter(|(name, _)| !is_own_header(name))
}

/// Whether a header with this name belongs to a dead letter.
pub fn is_own_header(name: &[u8]) -> bool {
    name.starts_with(CONNECT_PREFIX) || name.starts_with(OWN_PREFIX)
}

/// The last header with this name, as text.
fn last<'h>(headers: impl Iterator<Item = Header<'h>>, name: &str) -> Option<&'h str> {
    let header = headers.filter(|(known, _)| *known == name.as_bytes()).last()?;
    std::str::from_utf8(header.1?).ok()
}

/// The timestamp of the record, from the headers and the timestamp of its dead letter.
pub fn source_timestamp_ms<'h>(headers: impl Iterator<Item = Header<'h>>, letter_ms: Option<i64>) -> Option<i64> {
    match last(headers, SOURCE_TIMESTAMP).and_then(|text| text.parse::<i64>().ok()) {
        Some(timestamp) => Some(timestamp).filter(|timestamp| *timestamp >= 0),
        None => letter_ms,
    }
}

/// The input record of a dead letter and the kind of its failure. `None` if these are not the headers of a dead letter.
pub fn letter_source<'h>(headers: impl Iterator<Item = Header<'h>> + Clone) -> Option<(RecordSource<'h>, &'h str)> {
    let text = |name| last(headers.clone(), name);
    if let (Some(source), Some(failure)) = (text(SOURCE), text(FAILURE)) {
        return Some((RecordSource::parse(source.as_bytes())?, failure.split(' ').next()?));
    }
    let (partition, offset) = (text(CONNECT_PARTITION)?.parse().ok()?, text(CONNECT_OFFSET)?.parse().ok()?);
    Some((RecordSource { topic: text(CONNECT_TOPIC)?, partition, offset, output: 0 }, text(KIND)?))
}

/// Whether the key of a dead letter is generated.
pub fn has_generated_key<'h>(mut headers: impl Iterator<Item = Header<'h>>) -> bool {
    headers.any(|(name, value)| name == KEY.as_bytes() && value == Some(GENERATED.as_bytes()))
}

/// How many times a record has failed before: as its source says, or from the headers of its last dead letter.
pub(super) fn attempts_before(record: Record<'_>) -> u32 {
    if let Some(failures) = record.failures_before() {
        return failures;
    }
    let attempt = last(record.headers(), ATTEMPT).and_then(|text| text.parse().ok());
    let is_version_2 = || record.headers().any(|(name, _)| name == SOURCE.as_bytes());
    attempt.unwrap_or_else(|| u32::from(is_version_2()))
}
