//! Recognizes dead letters of a host among input records: mapping their envelopes would make dead letters of dead letters.

use serde_json::{Map, Value};

use crate::record::{Batch, Record};

/// Both are in every dead letter, also in those of version 0.1; one alone may be left of a record that was sent again.
const MARKS: [&[u8]; 2] = [b"mapper-host.headers", b"mapper-host.kind"];
const ENVELOPE_FIELDS: [&str; 3] = ["processing_time", "input_json", "error_message"];
/// After so many other records, an input topic is no dead-letter topic.
const ENOUGH_OTHERS: usize = 100;

/// Whether a record is a dead letter: it has our headers, or its value is the envelope that we and the reference job write.
fn is_dead_letter(record: Record<'_>) -> bool {
    let has = |mark: &[u8]| record.headers().any(|(name, _)| name == mark);
    MARKS.iter().all(|mark| has(mark)) || record.value().is_some_and(is_envelope)
}

fn is_envelope(value: &[u8]) -> bool {
    // Only what begins like one is parsed.
    if !value.starts_with(b"{\"processing_time\"") {
        return false;
    }
    let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(value) else { return false };
    let is_known = |name: &String| ENVELOPE_FIELDS.contains(&name.as_str()) || name == "input_encoding";
    ENVELOPE_FIELDS.iter().all(|field| fields.contains_key(*field)) && fields.keys().all(is_known)
}

/// Looks at the first records of an input topic, until it is clear that they are no dead letters.
#[derive(Debug, Default)]
pub struct DeadLetterDetector {
    letters: usize,
    others: usize,
}

impl DeadLetterDetector {
    /// Whether the input is a dead-letter topic, as of these records: at least half of all that it saw are dead letters. A few among
    /// others may have been sent again with their headers.
    pub fn detects(&mut self, batch: &Batch) -> bool {
        for record in batch.records() {
            if self.others >= ENOUGH_OTHERS {
                return false;
            }
            if is_dead_letter(record) { self.letters += 1 } else { self.others += 1 }
        }
        self.letters > 0 && self.letters >= self.others
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Header;

    const ENVELOPE: &[u8] =
        br#"{"processing_time": "2024-01-13T04:21:50.037894", "input_json": "x", "error_message": "y"}"#;
    const VISIT: &[u8] = br#"{"visit_id": "1"}"#;
    const OURS: &[Header<'static>] = &[
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
        DeadLetterDetector::default().detects(&batch(records))
    }

    #[test]
    fn dead_letters_are_recognized_by_our_headers_or_the_envelope() {
        assert!(detects(&[(ENVELOPE, OURS)]));
        assert!(detects(&[(b"cut", OURS)]));
        assert!(detects(&[(ENVELOPE, &[])]));
        let base64 =
            br#"{"processing_time": "x", "input_json": "//57", "error_message": "y", "input_encoding": "base64"}"#;
        assert!(detects(&[(base64, &[])]));
        let null = br#"{"processing_time": "x", "input_json": null, "error_message": "y"}"#;
        assert!(detects(&[(null, &[])]));
    }

    #[test]
    fn other_records_are_no_dead_letters() {
        assert!(!detects(&[]));
        assert!(!detects(&[(VISIT, &[])]));
        assert!(!detects(&[(VISIT, CONNECT)]), "dead letters of Kafka Connect have the input as value");
        assert!(!detects(&[(VISIT, &[(b"mapper-host.attempt", Some(b"1"))])]));
        assert!(!detects(&[(br#"{"processing_time": "x", "input_json": "x"}"#, &[])]));
        assert!(!detects(&[(br#"{"processing_time": "x", "input_json": "x", "error_message": "y", "id": 1}"#, &[])]));
        assert!(!detects(&[(b"{\"processing_time\"", &[])]));
    }

    #[test]
    fn a_few_letters_that_were_sent_again_are_let_pass() {
        assert!(!detects(&[(VISIT, &[]), (VISIT, &[]), (VISIT, OURS)]));
        assert!(detects(&[(VISIT, &[]), (VISIT, OURS)]));
        let mut detector = DeadLetterDetector::default();
        assert!(!detector.detects(&batch(&vec![(VISIT, &[][..]); ENOUGH_OTHERS])));
        assert!(!detector.detects(&batch(&vec![(ENVELOPE, OURS); 10 * ENOUGH_OTHERS])));
    }
}
