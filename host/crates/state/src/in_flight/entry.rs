//! The binary format of an in-flight marker: the offsets of one call, written with a single write.

use std::ops::Range;

use mapper_core::record::Batch;

/// Size of a marker in the file. A crash of the process doesn't tear a write within one page.
pub(super) const ENTRY_BYTES: usize = 4096;
/// Length and checksum.
const HEADER_BYTES: usize = 8;
/// Process id and the flag for a single record.
const FIXED_BYTES: usize = 9;
const SPAN_BYTES: usize = 20;
/// Partitions per marker. Further partitions of a call are omitted.
const MAX_SPANS: usize = (ENTRY_BYTES - HEADER_BYTES - FIXED_BYTES) / SPAN_BYTES;

/// A range of offsets in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) partition: i32,
    pub(super) first: i64,
    /// Inclusive.
    pub(super) last: i64,
}

/// A call of the plugin that did not return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// A random number that identifies the process.
    pub(super) process: u64,
    /// The call had a single record.
    pub(super) is_alone: bool,
    pub(super) spans: Vec<Span>,
}

impl Entry {
    /// Replaces `bytes` with the marker of a call.
    pub(super) fn write(bytes: &mut Vec<u8>, process: u64, batch: &Batch, records: Range<usize>) {
        bytes.clear();
        bytes.extend_from_slice(&[0; HEADER_BYTES]);
        bytes.extend_from_slice(&process.to_le_bytes());
        bytes.push(u8::from(records.len() == 1));
        let body = bytes.len();
        // Partition and position of the span of the previous record.
        let mut previous: Option<(i32, usize)> = None;
        for (&partition, &offset) in batch.partitions[records.clone()].iter().zip(&batch.offsets[records]) {
            let known = previous.filter(|(last, _)| *last == partition).map(|(_, start)| start);
            let known = known.or_else(|| {
                let found = |span: &[u8]| span[..4] == partition.to_le_bytes();
                bytes[body..].chunks(SPAN_BYTES).position(found).map(|index| body + index * SPAN_BYTES)
            });
            let start = match known {
                Some(start) => start,
                None if (bytes.len() - body) / SPAN_BYTES < MAX_SPANS => {
                    let start = bytes.len();
                    bytes.extend_from_slice(&partition.to_le_bytes());
                    bytes.extend_from_slice(&offset.to_le_bytes());
                    bytes.extend_from_slice(&offset.to_le_bytes());
                    start
                }
                None => continue,
            };
            bytes[start + 12..start + SPAN_BYTES].copy_from_slice(&offset.to_le_bytes());
            previous = Some((partition, start));
        }
        let length = (bytes.len() - HEADER_BYTES) as u32;
        let sum = checksum(&bytes[HEADER_BYTES..]);
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    }

    /// `None` if there is no marker, or it is incomplete.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..HEADER_BYTES)?;
        let length = u32::from_le_bytes(header[..4].try_into().ok()?) as usize;
        let body = bytes.get(HEADER_BYTES..HEADER_BYTES.checked_add(length)?)?;
        let (fixed, spans) = body.split_at_checked(FIXED_BYTES)?;
        if checksum(body).to_le_bytes() != header[4..] || spans.len() % SPAN_BYTES != 0 {
            return None;
        }
        let span = |bytes: &[u8]| {
            Some(Span {
                partition: i32::from_le_bytes(bytes[..4].try_into().ok()?),
                first: i64::from_le_bytes(bytes[4..12].try_into().ok()?),
                last: i64::from_le_bytes(bytes[12..].try_into().ok()?),
            })
        };
        let spans = spans.chunks(SPAN_BYTES).map(span).collect::<Option<Vec<_>>>()?;
        Some(Self { process: u64::from_le_bytes(fixed[..8].try_into().ok()?), is_alone: fixed[8] == 1, spans })
    }
}

/// FNV-1a, which suffices to detect incomplete markers.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) fn batch(records: &[(i32, i64)]) -> Batch {
        let mut batch = Batch::new("visits");
        for at in records {
            batch.push(*at, 0, None, None, std::iter::empty());
        }
        batch
    }

    fn written(records: &[(i32, i64)]) -> Vec<u8> {
        let mut bytes = vec![7; 3];
        Entry::write(&mut bytes, 99, &batch(records), 0..records.len());
        bytes
    }

    #[test]
    fn marker_round_trips() {
        let entry = Entry::read(&written(&[(1, 5), (1, 6), (0, 9), (1, 8)])).unwrap();
        let spans = vec![Span { partition: 1, first: 5, last: 8 }, Span { partition: 0, first: 9, last: 9 }];
        assert_eq!(entry, Entry { process: 99, is_alone: false, spans });
        assert!(Entry::read(&written(&[(0, 3)])).unwrap().is_alone);
    }

    #[test]
    fn partitions_beyond_the_maximum_are_omitted() {
        let records: Vec<(i32, i64)> = (0..1000).map(|partition| (partition, 1)).collect();
        let bytes = written(&records);
        assert!(bytes.len() <= ENTRY_BYTES);
        assert_eq!(Entry::read(&bytes).unwrap().spans.len(), MAX_SPANS);
    }

    proptest! {
        #[test]
        fn damaged_marker_is_none(bytes in proptest::collection::vec(any::<u8>(), 0..60), at in 0_usize..49) {
            prop_assert_eq!(Entry::read(&bytes), None);
            let mut entry = written(&[(0, 3), (2, 4)]);
            let at = at % entry.len();
            entry[at] ^= 1;
            prop_assert_eq!(Entry::read(&entry), None);
            prop_assert_eq!(Entry::read(&[0; ENTRY_BYTES]), None);
        }
    }
}
