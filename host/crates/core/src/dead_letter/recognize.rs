//! Detects dead letters among input records. A host that maps their envelopes would produce dead letters of dead letters.

use serde_json::{Map, Value};

use super::read::has_marks;
use crate::record::Record;

const ENVELOPE_FIELDS: [&str; 3] = ["processing_time", "input_json", "error_message"];
/// After this many other records, the detector stops.
const MAX_OTHERS: usize = 100;

/// Whether a record has the headers of a dead letter, or an envelope as value. The reference job writes the same envelope.
fn is_dead_letter(record: Record<'_>) -> bool {
    has_marks(record) || record.value().is_some_and(is_envelope)
}

pub(super) fn is_envelope(value: &[u8]) -> bool {
    // Only a value with this prefix is parsed.
    if !value.starts_with(b"{\"processing_time\"") {
        return false;
    }
    let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(value) else { return false };
    let is_known = |name: &String| ENVELOPE_FIELDS.contains(&name.as_str()) || name == "input_encoding";
    ENVELOPE_FIELDS.iter().all(|field| fields.contains_key(*field)) && fields.keys().all(is_known)
}

/// Checks the first records of an input topic for dead letters.
#[derive(Debug, Default)]
pub struct DeadLetterDetector {
    dead_letters: usize,
    others: usize,
}

impl DeadLetterDetector {
    /// Whether at least half of the records so far are dead letters. A few dead letters among other records can be replays.
    pub fn detects<'a>(&mut self, records: impl IntoIterator<Item = Record<'a>>) -> bool {
        for record in records {
            if self.others >= MAX_OTHERS {
                return false;
            }
            if is_dead_letter(record) { self.dead_letters += 1 } else { self.others += 1 }
        }
        self.dead_letters > 0 && self.dead_letters >= self.others
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Batch, Header};

    const ENVELOPE: &[u8] =
        br#"{"processing_time": "2024-01-13T04:21:50.037894", "input_json": "x", "error_message": "y"}"#;
    const VISIT: &[u8] = br#"{"visit_id": "1"}"#;
    const VERSION_2: &[Header<'static>] =
        &[(b"mapper-host.source", Some(b"visits/1@42")), (b"mapper-host.failure", Some(b"trap 5a4adfe3d6730200"))];
    const HOST: &[Header<'static>] = &[
        (b"__connect.errors.topic", Some(b"t")),
        (b"mapper-host.headers", Some(b"1")),
        (b"mapper-host.kind", Some(b"trap")),
    ];
    const CONNECT: &[Header<'static>] =
        &[(b"__connect.errors.topic", Some(b"t")), (b"__connect.errors.offset", Some(b"1"))];

    fn batch(records: &[(&[u8], &[Header<'static>])]) -> Batch {
        let mut batch = Batch::new("t");
        for (value, headers) in records {
            batch.push((0, batch.len() as i64), 0, None, Some(value), headers.iter().copied());
        }
        batch
    }

    fn detects(records: &[(&[u8], &[Header<'static>])]) -> bool {
        DeadLetterDetector::default().detects(batch(records).records())
    }

    #[test]
    fn dead_letter_is_detected_by_headers_or_envelope() {
        assert!(detects(&[(ENVELOPE, HOST)]));
        assert!(detects(&[(b"cut", HOST)]));
        assert!(detects(&[(b"cut", VERSION_2)]));
        assert!(!detects(&[(b"cut", &VERSION_2[..1])]));
        assert!(detects(&[(ENVELOPE, &[])]));
        let base64 =
            br#"{"processing_time": "x", "input_json": "//57", "error_message": "y", "input_encoding": "base64"}"#;
        assert!(detects(&[(base64, &[])]));
        let null = br#"{"processing_time": "x", "input_json": null, "error_message": "y"}"#;
        assert!(detects(&[(null, &[])]));
    }

    #[test]
    fn other_record_is_not_detected() {
        assert!(!detects(&[]));
        assert!(!detects(&[(VISIT, &[])]));
        assert!(!detects(&[(VISIT, CONNECT)]), "dead letters of Kafka Connect have the input as value");
        assert!(!detects(&[(VISIT, &[(b"mapper-host.attempt", Some(b"1"))])]));
        assert!(!detects(&[(br#"{"processing_time": "x", "input_json": "x"}"#, &[])]));
        assert!(!detects(&[(br#"{"processing_time": "x", "input_json": "x", "error_message": "y", "id": 1}"#, &[])]));
        assert!(!detects(&[(b"{\"processing_time\"", &[])]));
    }

    #[test]
    fn a_few_replayed_dead_letters_are_not_detected() {
        assert!(!detects(&[(VISIT, &[]), (VISIT, &[]), (VISIT, HOST)]));
        assert!(detects(&[(VISIT, &[]), (VISIT, HOST)]));
        let mut detector = DeadLetterDetector::default();
        assert!(!detector.detects(batch(&vec![(VISIT, &[][..]); MAX_OTHERS]).records()));
        assert!(!detector.detects(batch(&vec![(ENVELOPE, HOST); 10 * MAX_OTHERS]).records()));
    }
}
