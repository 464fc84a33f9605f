//! The failed deliveries of a producer. Each record has the number that it was produced with.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};

use super::client;
use super::error_class::ErrorClass;
use super::native::events::DeliveryReport;
use mapper_core::rejection::RejectionCause;

/// The failures since the last [`Deliveries::take`].
#[derive(Default)]
pub(super) struct Deliveries {
    has_failures: AtomicBool,
    has_rejection: AtomicBool,
    failures: Mutex<Failures>,
    changed: Condvar,
    log_span: client::LogSpan,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Failures {
    /// Records that the broker rejected for their content.
    pub(super) rejected: Vec<RejectedRecords>,
    /// The first record that failed for another reason, and its error.
    pub(super) other: Option<(RDKafkaErrorCode, usize)>,
    /// The address of the error text of valid records in a request with a rejected one.
    valid_record_text: Option<usize>,
}

/// Records of one produce request, of which at least one is rejected. It has one record if the rejected one is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RejectedRecords {
    pub(super) code: RDKafkaErrorCode,
    pub(super) cause: RejectionCause,
    pub(super) numbers: Vec<usize>,
}

impl Deliveries {
    /// Records the failed deliveries of a produce request.
    pub(super) fn record(&self, reports: &[DeliveryReport]) {
        let mut failures = self.lock();
        if failures.record(reports) {
            self.has_rejection.fetch_or(!failures.rejected.is_empty(), Ordering::AcqRel);
            self.has_failures.store(true, Ordering::Release);
            self.changed.notify_all();
        }
    }

    /// Whether a request of the producer was ever rejected. Then its next request has a gap in its sequence numbers, which every
    /// broker refuses.
    pub(super) fn has_rejection(&self) -> bool {
        self.has_rejection.load(Ordering::Acquire)
    }

    /// Takes the failures since the last call.
    pub(super) fn take(&self) -> Option<Failures> {
        if !self.has_failures.swap(false, Ordering::Acquire) {
            return None;
        }
        let mut failures = self.lock();
        let valid_record_text = failures.valid_record_text;
        Some(std::mem::replace(&mut failures, Failures { valid_record_text, ..Failures::default() }))
    }

    /// The same, but waits for a failure. librdkafka fails a transaction shortly before it reports the failed record.
    pub(super) fn take_within(&self, wait: Duration) -> Option<Failures> {
        let has_none = |_: &mut Failures| !self.has_failures.load(Ordering::Acquire);
        drop(self.changed.wait_timeout_while(self.lock(), wait, has_none));
        self.take()
    }

    fn lock(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failures {
    /// Returns whether there was a failure.
    fn record(&mut self, reports: &[DeliveryReport]) -> bool {
        use RDKafkaErrorCode as Code;
        // A record is purged only after another record failed.
        let is_failure = |report: &&DeliveryReport| !matches!(report.code, Code::PurgeQueue | Code::PurgeInflight);
        let Some(first) = reports.iter().filter(is_failure).find(|report| report.code != Code::InvalidDifferentRecord)
        else {
            return false;
        };
        let Some(cause) = ErrorClass::of(first.code).rejection_cause() else {
            self.other.get_or_insert((first.code, first.number));
            return true;
        };
        let rejected = |numbers| RejectedRecords { code: first.code, cause, numbers };
        // If a request has several rejected records, their codes differ from the others. If it has one, only its text differs.
        let known: Vec<usize> = if reports.iter().any(|report| report.code == Code::InvalidDifferentRecord) {
            reports
                .iter()
                .filter(|report| report.code != Code::InvalidDifferentRecord)
                .map(|report| report.number)
                .collect()
        } else {
            self.valid_record_text = self.valid_record_text.or_else(|| find_valid_record_text(reports));
            let is_valid = |report: &&DeliveryReport| Some(report.message_address) == self.valid_record_text;
            match reports.iter().filter(is_valid).count() {
                0 => Vec::new(),
                _ => reports.iter().filter(|report| !is_valid(report)).map(|report| report.number).collect(),
            }
        };
        match known.is_empty() {
            true => self.rejected.push(rejected(reports.iter().map(|report| report.number).collect())),
            false => self.rejected.extend(known.into_iter().map(|number| rejected(vec![number]))),
        }
        true
    }
}

/// Finds the address of the error text of valid records in a request with one rejected record. Several records share it, and
/// the rejected one has another.
fn find_valid_record_text(reports: &[DeliveryReport]) -> Option<usize> {
    let mut addresses: Vec<usize> = reports.iter().map(|report| report.message_address).collect();
    addresses.sort_unstable();
    let differ = addresses.first() != addresses.last();
    let shared = addresses.windows(2).find(|pair| pair[0] == pair[1] && pair[0] != 0)?;
    differ.then_some(shared[0])
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log_span.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log_span.log_error(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    /// rdkafka calls it only for records that are purged when the producer is dropped.
    fn delivery(&self, _: &DeliveryResult<'_>, _: usize) {}
}

#[cfg(test)]
mod tests {
    use RDKafkaErrorCode as Code;

    use super::*;

    const VALID: usize = 0x1000;

    fn rejected_numbers(requests: &[&[(Code, usize)]]) -> Vec<(Code, Vec<usize>)> {
        let deliveries = Deliveries::default();
        let mut number = 0;
        for request in requests {
            let report = |&(code, message_address): &(Code, usize)| {
                number += 1;
                DeliveryReport { number, code, message_address }
            };
            deliveries.record(&request.iter().map(report).collect::<Vec<_>>());
        }
        let failures = deliveries.take().unwrap_or_default();
        assert_eq!(deliveries.take(), None, "a failure is taken once");
        assert_eq!(deliveries.has_rejection(), !failures.rejected.is_empty());
        failures.rejected.into_iter().map(|rejected| (rejected.code, rejected.numbers)).collect()
    }

    #[test]
    fn rejected_record_is_identified_if_the_report_allows_it() {
        use Code::{InvalidDifferentRecord, InvalidRecord, MessageSizeTooLarge};
        let several =
            [(InvalidDifferentRecord, 1), (InvalidRecord, 2), (InvalidRecord, 3), (InvalidDifferentRecord, 1)];
        assert_eq!(rejected_numbers(&[&several]), [(InvalidRecord, vec![2]), (InvalidRecord, vec![3])]);
        let one_of_three = [(InvalidRecord, VALID), (InvalidRecord, 7), (InvalidRecord, VALID)];
        assert_eq!(rejected_numbers(&[&one_of_three]), [(InvalidRecord, vec![2])]);
        let without_text = [(InvalidRecord, VALID), (InvalidRecord, VALID), (InvalidRecord, 0)];
        assert_eq!(rejected_numbers(&[&without_text]), [(InvalidRecord, vec![3])]);
        let one_of_two = [(InvalidRecord, VALID), (InvalidRecord, 7)];
        assert_eq!(
            rejected_numbers(&[&one_of_two]),
            [(InvalidRecord, vec![1, 2])],
            "either record can be the rejected one"
        );
        assert_eq!(
            rejected_numbers(&[&one_of_three, &one_of_two]),
            [(InvalidRecord, vec![2]), (InvalidRecord, vec![5])],
            "the text of valid records is remembered"
        );
        assert_eq!(rejected_numbers(&[&[(InvalidRecord, 7)]]), [(InvalidRecord, vec![1])]);
        for address in [0, 7] {
            let request = [(MessageSizeTooLarge, address); 3];
            assert_eq!(
                rejected_numbers(&[&request]),
                [(MessageSizeTooLarge, vec![1, 2, 3])],
                "the rejected record is unknown"
            );
        }
    }

    #[test]
    fn purged_record_is_no_failure_and_the_first_other_error_is_kept() {
        let deliveries = Deliveries::default();
        let record = |number, code| deliveries.record(&[DeliveryReport { number, code, message_address: 0 }]);
        record(1, Code::PurgeQueue);
        record(2, Code::PurgeInflight);
        record(3, Code::InvalidDifferentRecord);
        deliveries.record(&[]);
        assert_eq!(deliveries.take_within(Duration::ZERO), None);
        record(4, Code::MessageTimedOut);
        record(5, Code::UnknownTopic);
        let failures = deliveries.take_within(Duration::from_secs(60)).expect("a failure");
        assert_eq!((failures.other, failures.rejected), (Some((Code::MessageTimedOut, 4)), vec![]));
    }
}
