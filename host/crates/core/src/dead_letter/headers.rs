//! The headers that a dead letter adds to those of its record, and what they say of a record that is a dead letter itself.

use crate::record::{Header, Record};

const CONNECT_PREFIX: &[u8] = b"__connect.errors.";
const OWN_PREFIX: &[u8] = b"mapper-host.";
/// The header of a dead letter with a generated key.
pub(super) const KEY: &str = "mapper-host.key";
pub(super) const GENERATED: &str = "generated";
pub(super) const SOURCE_TIMESTAMP: &str = "mapper-host.source.timestamp-ms";
const ATTEMPT: &[u8] = b"mapper-host.attempt";

/// The headers of a record, without those of a dead letter.
pub fn kept_headers(record: Record<'_>) -> impl Iterator<Item = Header<'_>> {
    record.headers().filter(|(name, _)| !is_own_header(name))
}

/// Whether a header with this name belongs to a dead letter.
pub fn is_own_header(name: &[u8]) -> bool {
    name.starts_with(CONNECT_PREFIX) || name.starts_with(OWN_PREFIX)
}

/// The timestamp of the input, from the headers of its dead letter.
pub fn source_timestamp_ms<'h>(headers: impl Iterator<Item = Header<'h>>) -> Option<i64> {
    let timestamp = headers.filter(|(name, _)| *name == SOURCE_TIMESTAMP.as_bytes()).last()?;
    std::str::from_utf8(timestamp.1?).ok()?.parse().ok().filter(|timestamp| *timestamp >= 0)
}

/// Whether the key of a dead letter is generated.
pub fn has_generated_key<'h>(mut headers: impl Iterator<Item = Header<'h>>) -> bool {
    headers.any(|(name, value)| name == KEY.as_bytes() && value == Some(GENERATED.as_bytes()))
}

pub(super) fn attempts_before(record: Record<'_>) -> u32 {
    let attempt = record.headers().filter(|(name, _)| *name == ATTEMPT).last();
    attempt.and_then(|(_, value)| std::str::from_utf8(value?).ok()?.parse().ok()).unwrap_or(0)
}
