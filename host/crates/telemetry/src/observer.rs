//! Counts what a pipeline reports.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{EventKind, Failures, Telemetry, Worker};
use mapper_core::verdict::FailureKind;
use mapper_pipeline::activity::Activity;
use mapper_pipeline::{CommittedTransaction, FailedRecord, Observer};

/// Counts what the pipeline of one worker reports.
pub struct TelemetryObserver {
    telemetry: Arc<Telemetry>,
    number: usize,
    worker: Arc<Worker>,
    /// The failures of the open transaction.
    failures: Failures,
}

impl TelemetryObserver {
    /// Counts for the worker of this number.
    pub fn new(telemetry: Arc<Telemetry>, number: usize) -> Self {
        let worker = telemetry.workers.worker(number);
        Self { telemetry, number, worker, failures: Failures::default() }
    }

    fn add_event(&self, kind: EventKind, reason: &str) {
        self.telemetry.timeline.add(kind, self.number, reason, Utc::now());
    }
}

impl Observer for TelemetryObserver {
    fn activity_changed(&mut self, activity: Activity) {
        self.worker.set_activity(activity);
    }

    fn batch_mapped(&mut self, records: usize, took: Duration) {
        self.telemetry.mapped(records, took);
    }

    fn records_failed(&mut self, failed: &[FailedRecord<'_>], at: DateTime<Utc>) {
        for FailedRecord { record, failure, fingerprint } in failed {
            self.telemetry.failed(*record, failure, fingerprint);
            self.failures.note(fingerprint, *record, failure, at);
        }
    }

    fn transaction_committed(&mut self, committed: CommittedTransaction<'_>) {
        self.telemetry.committed_failures(std::mem::take(&mut self.failures));
        self.worker.committed(committed.next);
        // Last: an observer of these counts finds the failures and offsets of the same records.
        self.telemetry.committed(committed.counts, committed.took);
    }

    fn transaction_aborting(&mut self, reason: &'static str) {
        self.telemetry.aborted();
        self.add_event(EventKind::TransactionAborted, reason);
    }

    fn work_discarded(&mut self) {
        self.failures = Failures::default();
    }

    fn partitions_revoked(&mut self) {
        self.telemetry.rebalanced();
        self.add_event(EventKind::PartitionsRevoked, "rebalance");
    }

    fn breaker_opened(&mut self, reason: &str) {
        self.telemetry.breakers.opened(&self.telemetry.health, self.number, reason);
        self.add_event(EventKind::BreakerOpened, reason);
    }

    fn breaker_probe_failed(&mut self, kind: FailureKind, next: Duration) {
        let wait = humantime::format_duration(next).to_string();
        tracing::warn!(worker = self.number, kind = kind.name(), wait, "the breaker stays open");
    }

    fn breaker_closed(&mut self, reason: &str) {
        self.telemetry.breakers.closed(&self.telemetry.health, self.number, reason);
        self.add_event(EventKind::BreakerClosed, reason);
    }

    fn mapper_unavailable(&mut self, reason: &str, next: Duration) {
        if self.telemetry.outages.began(&self.telemetry.health, self.number, reason, next) {
            self.add_event(EventKind::RegistryUnavailable, reason);
        }
    }

    fn mapper_available(&mut self) {
        self.telemetry.outages.ended(&self.telemetry.health, self.number);
        self.add_event(EventKind::RegistryAvailable, "it answers again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mapper_core::counts::Counts;
    use mapper_core::record::{Batch, Positions};
    use mapper_core::verdict::Failure;

    fn fail(observer: &mut TelemetryObserver) {
        let mut batch = Batch::new("visits");
        batch.push((0, 3), 0, None, None, std::iter::empty());
        let failure = Failure::new(FailureKind::Rejected, "no");
        let failed = [FailedRecord { record: batch.record(0), failure, fingerprint: "0a".to_owned() }];
        observer.records_failed(&failed, DateTime::UNIX_EPOCH);
    }

    #[test]
    fn failures_of_a_transaction_are_counted_when_it_is_committed_and_not_if_it_is_discarded() {
        let telemetry = Arc::new(Telemetry::default());
        let mut observer = TelemetryObserver::new(telemetry.clone(), 7);
        fail(&mut observer);
        observer.work_discarded();
        let (next, counts) = (Positions::new(), Counts::default());
        let committed = CommittedTransaction { records: 1, next: &next, counts: &counts, took: Duration::ZERO };
        observer.transaction_committed(committed);
        assert_eq!(telemetry.failures().latest().len(), 0);
        fail(&mut observer);
        observer.transaction_committed(committed);
        assert_eq!(telemetry.failures().latest()[0].1.count, 1);
        assert_eq!(telemetry.transactions(), 2);
    }

    #[test]
    fn open_breaker_makes_the_host_not_ready_and_names_the_worker() {
        let telemetry = Arc::new(Telemetry::default());
        let mut observer = TelemetryObserver::new(telemetry.clone(), 7);
        observer.breaker_opened("trap");
        assert!(telemetry.health.reasons()[0].1.contains("worker 7"), "{:?}", telemetry.health.reasons());
        observer.breaker_closed("a probe succeeded");
        assert_eq!(telemetry.health.reasons(), []);
        let events: Vec<&str> = telemetry.timeline.latest().iter().map(|event| event.kind.name()).collect();
        assert_eq!(events, ["breaker-closed", "breaker-opened"]);
    }
}
