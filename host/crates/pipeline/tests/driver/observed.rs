//! The reports of the pipelines of a test.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use mapper_core::counts::Counts;
use mapper_pipeline::{CommittedTransaction, Observer};

/// The sum of all reports.
#[derive(Default)]
pub(super) struct Observed(Mutex<Reports>);

#[derive(Default)]
struct Reports {
    counts: Counts,
    transactions: u64,
    breaker: Option<String>,
    times_opened: u64,
    /// What the mapper lacks, and how often it was unavailable.
    outage: (Option<String>, u64),
}

impl Observed {
    fn lock(&self) -> MutexGuard<'_, Reports> {
        self.0.lock().unwrap()
    }

    /// The results of the committed records.
    pub(super) fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    pub(super) fn transactions(&self) -> u64 {
        self.lock().transactions
    }

    /// Why the breaker is open; `None` if it is closed.
    pub(super) fn breaker(&self) -> Option<String> {
        self.lock().breaker.clone()
    }

    /// What the mapper lacks now, and how often it was asked in vain.
    pub(super) fn outage(&self) -> (Option<String>, u64) {
        self.lock().outage.clone()
    }

    pub(super) fn times_opened(&self) -> u64 {
        self.lock().times_opened
    }
}

/// Adds the reports of one pipeline.
pub(super) struct Watch(pub(super) Arc<Observed>);

impl Observer for Watch {
    fn transaction_committed(&mut self, committed: CommittedTransaction<'_>) {
        let mut reports = self.0.lock();
        reports.counts.add(committed.counts);
        reports.transactions += 1;
    }

    fn breaker_opened(&mut self, reason: &str) {
        let mut reports = self.0.lock();
        reports.breaker = Some(reason.to_owned());
        reports.times_opened += 1;
    }

    fn breaker_closed(&mut self, _: &str) {
        self.0.lock().breaker = None;
    }

    fn mapper_unavailable(&mut self, reason: &str, _: Duration) {
        let outage = &mut self.0.lock().outage;
        *outage = (Some(reason.to_owned()), outage.1 + 1);
    }

    fn mapper_available(&mut self) {
        self.0.lock().outage.0 = None;
    }
}
