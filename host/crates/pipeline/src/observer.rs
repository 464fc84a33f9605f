//! What a pipeline reports to metrics, spans, logs and the step trace. Nothing that it reports changes what it does.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::activity::Activity;
use mapper_core::counts::Counts;
use mapper_core::record::{Positions, Record};
use mapper_core::trace_context::Traceparent;
use mapper_core::verdict::{Failure, FailureKind};

/// A record that becomes a dead letter.
#[derive(Debug, Clone)]
pub struct FailedRecord<'a> {
    /// The record.
    pub record: Record<'a>,
    /// How it failed.
    pub failure: Failure<'a>,
    /// The fingerprint of the failure.
    pub fingerprint: String,
}

/// A transaction that is committed.
#[derive(Debug, Clone, Copy)]
pub struct CommittedTransaction<'a> {
    /// The number of input records.
    pub records: usize,
    /// Per partition, the offset after the last record.
    pub next: &'a Positions,
    /// What became of the records.
    pub counts: &'a Counts,
    /// How long the commit took.
    pub took: Duration,
}

/// Watches a pipeline. Each call is about a batch or a transaction, none about a single record that is mapped.
pub trait Observer {
    /// The pipeline does something else from now on.
    fn activity_changed(&mut self, _activity: Activity) {}

    /// A batch was fetched.
    fn batch_fetched(&mut self, _records: usize) {}

    /// The mapper has returned verdicts on so many records.
    fn batch_mapped(&mut self, _records: usize, _took: Duration) {}

    /// Traces the records of the batch that was mapped last; `None` if their traces go on unchanged.
    fn record_tracer(&mut self) -> Option<Box<dyn RecordTracer>> {
        None
    }

    /// The verdicts on a batch, or on a part of it, are carried out.
    fn batch_produced(&mut self) {}

    /// These records of a batch become dead letters of the open transaction, which say that they failed at this time.
    fn records_failed(&mut self, _failed: &[FailedRecord<'_>], _at: DateTime<Utc>) {}

    /// The sink has begun a transaction.
    fn transaction_begun(&mut self) {}

    /// The open transaction is committed.
    fn transaction_committed(&mut self, _committed: CommittedTransaction<'_>) {}

    /// The open transaction, if there is one, is about to be aborted.
    fn transaction_aborting(&mut self, _reason: &'static str) {}

    /// The sink has aborted what was open when something failed.
    fn transaction_aborted(&mut self) {}

    /// After a failure, the source is back at the committed offsets.
    fn source_rewound(&mut self) {}

    /// Everything since the last commit is discarded; its records come again.
    fn work_discarded(&mut self) {}

    /// Partitions were revoked.
    fn partitions_revoked(&mut self) {}

    /// The breaker opens: the mapper is not called until a probe.
    fn breaker_opened(&mut self, _reason: &str) {}

    /// The record that the mapper was probed with has failed; the next probe comes after this time.
    fn breaker_probe_failed(&mut self, _kind: FailureKind, _next: Duration) {}

    /// The breaker closes.
    fn breaker_closed(&mut self, _reason: &str) {}

    /// The mapper lacks something that it gets from elsewhere, and is asked again after this time.
    fn mapper_unavailable(&mut self, _reason: &str, _next: Duration) {}

    /// The mapper has what it lacked.
    fn mapper_available(&mut self) {}
}

/// Traces records of one batch: the traces that they come with go on through spans of the host.
pub trait RecordTracer {
    /// A record was decided on. Returns the trace context of its span, if it gets one, for what is made of the record.
    fn trace(&mut self, record: Record<'_>, failure: Option<FailureKind>) -> Option<Traceparent>;
}

/// Reports to several observers in turn.
#[derive(Default)]
pub struct Observers(Vec<Box<dyn Observer>>);

impl Observers {
    /// Adds an observer, which gets each event after those before it.
    #[must_use]
    pub fn and(mut self, observer: impl Observer + 'static) -> Self {
        self.0.push(Box::new(observer));
        self
    }

    fn each(&mut self, mut report: impl FnMut(&mut dyn Observer)) {
        self.0.iter_mut().for_each(|observer| report(&mut **observer));
    }
}

impl Observer for Observers {
    fn activity_changed(&mut self, activity: Activity) {
        self.each(|observer| observer.activity_changed(activity));
    }

    fn batch_fetched(&mut self, records: usize) {
        self.each(|observer| observer.batch_fetched(records));
    }

    fn batch_mapped(&mut self, records: usize, took: Duration) {
        self.each(|observer| observer.batch_mapped(records, took));
    }

    fn record_tracer(&mut self) -> Option<Box<dyn RecordTracer>> {
        self.0.iter_mut().find_map(|observer| observer.record_tracer())
    }

    fn batch_produced(&mut self) {
        self.each(|observer| observer.batch_produced());
    }

    fn records_failed(&mut self, failed: &[FailedRecord<'_>], at: DateTime<Utc>) {
        self.each(|observer| observer.records_failed(failed, at));
    }

    fn transaction_begun(&mut self) {
        self.each(|observer| observer.transaction_begun());
    }

    fn transaction_committed(&mut self, committed: CommittedTransaction<'_>) {
        self.each(|observer| observer.transaction_committed(committed));
    }

    fn transaction_aborting(&mut self, reason: &'static str) {
        self.each(|observer| observer.transaction_aborting(reason));
    }

    fn transaction_aborted(&mut self) {
        self.each(|observer| observer.transaction_aborted());
    }

    fn source_rewound(&mut self) {
        self.each(|observer| observer.source_rewound());
    }

    fn work_discarded(&mut self) {
        self.each(|observer| observer.work_discarded());
    }

    fn partitions_revoked(&mut self) {
        self.each(|observer| observer.partitions_revoked());
    }

    fn breaker_opened(&mut self, reason: &str) {
        self.each(|observer| observer.breaker_opened(reason));
    }

    fn breaker_probe_failed(&mut self, kind: FailureKind, next: Duration) {
        self.each(|observer| observer.breaker_probe_failed(kind, next));
    }

    fn breaker_closed(&mut self, reason: &str) {
        self.each(|observer| observer.breaker_closed(reason));
    }

    fn mapper_unavailable(&mut self, reason: &str, next: Duration) {
        self.each(|observer| observer.mapper_unavailable(reason, next));
    }

    fn mapper_available(&mut self) {
        self.each(|observer| observer.mapper_available());
    }
}
