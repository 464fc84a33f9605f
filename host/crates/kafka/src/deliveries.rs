//! Which records a producer could not deliver, by the number that each was produced with.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};

use super::client;
use super::native::events::DeliveryReport;
use mapper_core::rejection::RejectionCause;

/// What failed since it was last asked.
#[derive(Default)]
pub(super) struct Deliveries {
    failed: AtomicBool,
    has_rejection: AtomicBool,
    failures: Mutex<Failures>,
    changed: Condvar,
}

/// The deliveries that failed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Failures {
    /// Records that the broker rejected for what they are.
    pub(super) rejected: Vec<RejectedRecords>,
    /// The first record that failed for another reason, and its error.
    pub(super) other: Option<(RDKafkaErrorCode, usize)>,
    /// The address of the text that librdkafka gives to records that were in a request with a rejected one.
    innocent: Option<usize>,
}

/// Records of one produce request of which one at least is rejected; if there is one only, that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RejectedRecords {
    pub(super) code: RDKafkaErrorCode,
    pub(super) cause: RejectionCause,
    pub(super) numbers: Vec<usize>,
}

impl Deliveries {
    /// Notes the records of a produce request that were not delivered.
    pub(super) fn note(&self, reports: &[DeliveryReport]) {
        let mut failures = self.lock();
        if failures.note(reports) {
            self.has_rejection.fetch_or(!failures.rejected.is_empty(), Ordering::AcqRel);
            self.failed.store(true, Ordering::Release);
            self.changed.notify_all();
        }
    }

    /// Whether a request of the producer was rejected, ever. Its next one has a gap in its sequence numbers, which no broker takes.
    pub(super) fn has_rejection(&self) -> bool {
        self.has_rejection.load(Ordering::Acquire)
    }

    /// What failed since the last call.
    pub(super) fn take(&self) -> Option<Failures> {
        if !self.failed.swap(false, Ordering::Acquire) {
            return None;
        }
        let mut failures = self.lock();
        let innocent = failures.innocent;
        Some(std::mem::replace(&mut failures, Failures { innocent, ..Failures::default() }))
    }

    /// The same; waits for it, as librdkafka makes a transaction fail a moment before it reports the record that did it.
    pub(super) fn take_within(&self, wait: Duration) -> Option<Failures> {
        let none_yet = |_: &mut Failures| !self.failed.load(Ordering::Acquire);
        drop(self.changed.wait_timeout_while(self.lock(), wait, none_yet));
        self.take()
    }

    fn lock(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failures {
    /// Whether there was anything to note.
    fn note(&mut self, reports: &[DeliveryReport]) -> bool {
        use RDKafkaErrorCode as Code;
        // What is purged is purged because of what failed before.
        let is_failure = |report: &&DeliveryReport| !matches!(report.code, Code::PurgeQueue | Code::PurgeInflight);
        let Some(first) = reports.iter().filter(is_failure).find(|report| report.code != Code::InvalidDifferentRecord)
        else {
            return false;
        };
        let Some(cause) = rejection_cause(first.code) else {
            self.other.get_or_insert((first.code, first.number));
            return true;
        };
        let rejected = |numbers| RejectedRecords { code: first.code, cause, numbers };
        // With several rejected records in a request, their codes tell them from the others; with one, only the text does.
        let named: Vec<usize> = if reports.iter().any(|report| report.code == Code::InvalidDifferentRecord) {
            reports
                .iter()
                .filter(|report| report.code != Code::InvalidDifferentRecord)
                .map(|report| report.number)
                .collect()
        } else {
            self.innocent = self.innocent.or_else(|| innocent_address(reports));
            let is_innocent = |report: &&DeliveryReport| Some(report.message_address) == self.innocent;
            match reports.iter().filter(is_innocent).count() {
                0 => Vec::new(),
                _ => reports.iter().filter(|report| !is_innocent(report)).map(|report| report.number).collect(),
            }
        };
        match named.is_empty() {
            true => self.rejected.push(rejected(reports.iter().map(|report| report.number).collect())),
            false => self.rejected.extend(named.into_iter().map(|number| rejected(vec![number]))),
        }
        true
    }
}

/// The address of the text of the records that are not at fault, in a request with one rejected record: it is the one that
/// several have, while another record has another.
fn innocent_address(reports: &[DeliveryReport]) -> Option<usize> {
    let mut addresses: Vec<usize> = reports.iter().map(|report| report.message_address).collect();
    addresses.sort_unstable();
    let differ = addresses.first() != addresses.last();
    let shared = addresses.windows(2).find(|pair| pair[0] == pair[1] && pair[0] != 0)?;
    differ.then_some(shared[0])
}

/// Why a broker rejects a record for what it is; `None` for an error that is about anything else.
pub(super) fn rejection_cause(code: RDKafkaErrorCode) -> Option<RejectionCause> {
    use RDKafkaErrorCode as Code;
    match code {
        Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => {
            Some(RejectionCause::TooLarge)
        }
        Code::InvalidTimestamp => Some(RejectionCause::Timestamp),
        Code::InvalidMessage | Code::InvalidRecord | Code::PolicyViolation | Code::UnsupportedForMessageFormat => {
            Some(RejectionCause::Other)
        }
        _ => None,
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::report(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    /// Only called while the producer is dropped, for what is purged then.
    fn delivery(&self, _: &DeliveryResult<'_>, _: usize) {}
}

#[cfg(test)]
mod tests {
    use RDKafkaErrorCode as Code;

    use super::*;

    const INNOCENT: usize = 0x1000;

    fn noted(requests: &[&[(Code, usize)]]) -> Vec<(Code, Vec<usize>)> {
        let deliveries = Deliveries::default();
        let mut number = 0;
        for request in requests {
            let report = |&(code, message_address): &(Code, usize)| {
                number += 1;
                DeliveryReport { number, code, message_address }
            };
            deliveries.note(&request.iter().map(report).collect::<Vec<_>>());
        }
        let failures = deliveries.take().unwrap_or_default();
        assert_eq!(deliveries.take(), None, "told once");
        assert_eq!(deliveries.has_rejection(), !failures.rejected.is_empty());
        failures.rejected.into_iter().map(|rejected| (rejected.code, rejected.numbers)).collect()
    }

    #[test]
    fn rejected_records_of_a_request_are_named_where_librdkafka_tells() {
        use Code::{InvalidDifferentRecord, InvalidRecord, MessageSizeTooLarge};
        let several =
            [(InvalidDifferentRecord, 1), (InvalidRecord, 2), (InvalidRecord, 3), (InvalidDifferentRecord, 1)];
        assert_eq!(noted(&[&several]), [(InvalidRecord, vec![2]), (InvalidRecord, vec![3])]);
        let one_of_three = [(InvalidRecord, INNOCENT), (InvalidRecord, 7), (InvalidRecord, INNOCENT)];
        assert_eq!(noted(&[&one_of_three]), [(InvalidRecord, vec![2])]);
        let without_text = [(InvalidRecord, INNOCENT), (InvalidRecord, INNOCENT), (InvalidRecord, 0)];
        assert_eq!(noted(&[&without_text]), [(InvalidRecord, vec![3])]);
        let one_of_two = [(InvalidRecord, INNOCENT), (InvalidRecord, 7)];
        assert_eq!(noted(&[&one_of_two]), [(InvalidRecord, vec![1, 2])], "either may be the one");
        assert_eq!(
            noted(&[&one_of_three, &one_of_two]),
            [(InvalidRecord, vec![2]), (InvalidRecord, vec![5])],
            "what is known of librdkafka's text is remembered"
        );
        assert_eq!(noted(&[&[(InvalidRecord, 7)]]), [(InvalidRecord, vec![1])]);
        for address in [0, 7] {
            let request = [(MessageSizeTooLarge, address); 3];
            assert_eq!(noted(&[&request]), [(MessageSizeTooLarge, vec![1, 2, 3])], "nobody is named");
        }
    }

    #[test]
    fn what_is_purged_is_no_failure_and_the_first_other_error_is_kept() {
        let deliveries = Deliveries::default();
        let note = |number, code| deliveries.note(&[DeliveryReport { number, code, message_address: 0 }]);
        note(1, Code::PurgeQueue);
        note(2, Code::PurgeInflight);
        note(3, Code::InvalidDifferentRecord);
        deliveries.note(&[]);
        assert_eq!(deliveries.take_within(Duration::ZERO), None);
        note(4, Code::MessageTimedOut);
        note(5, Code::UnknownTopic);
        let failures = deliveries.take_within(Duration::from_secs(60)).expect("a failure");
        assert_eq!((failures.other, failures.rejected), (Some((Code::MessageTimedOut, 4)), vec![]));
    }

    #[test]
    fn only_an_error_about_the_record_is_a_rejection() {
        for (code, expected) in [
            (Code::MessageSizeTooLarge, Some(RejectionCause::TooLarge)),
            (Code::MessageBatchTooLarge, Some(RejectionCause::TooLarge)),
            (Code::InvalidTimestamp, Some(RejectionCause::Timestamp)),
            (Code::InvalidRecord, Some(RejectionCause::Other)),
            (Code::PolicyViolation, Some(RejectionCause::Other)),
            (Code::Unknown, None),
            (Code::NotEnoughReplicas, None),
            (Code::TopicAuthorizationFailed, None),
        ] {
            assert_eq!(rejection_cause(code), expected, "{code:?}");
        }
    }
}
