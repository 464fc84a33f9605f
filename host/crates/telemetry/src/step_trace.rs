//! Logs each completed step of a pipeline, so that a test can kill the process after it.

use std::time::Duration;

use mapper_pipeline::{CommittedTransaction, Observer, STEP};

/// Logs the steps of one worker, at the level trace.
pub struct StepTrace {
    worker: usize,
}

impl StepTrace {
    /// Logs for the worker of this number.
    pub fn new(worker: usize) -> Self {
        Self { worker }
    }
}

impl Observer for StepTrace {
    fn batch_fetched(&mut self, records: usize) {
        tracing::trace!(target: STEP, worker = self.worker, records, "fetched");
    }

    fn batch_mapped(&mut self, records: usize, _: Duration) {
        tracing::trace!(target: STEP, worker = self.worker, judged = records, "mapped");
    }

    fn batch_produced(&mut self) {
        tracing::trace!(target: STEP, worker = self.worker, "sent");
    }

    fn transaction_begun(&mut self) {
        tracing::trace!(target: STEP, worker = self.worker, "begun");
    }

    fn transaction_committed(&mut self, committed: CommittedTransaction<'_>) {
        tracing::trace!(target: STEP, worker = self.worker, records = committed.records, "committed");
    }

    fn transaction_aborted(&mut self) {
        tracing::trace!(target: STEP, worker = self.worker, "aborted");
    }

    fn source_rewound(&mut self) {
        tracing::trace!(target: STEP, worker = self.worker, "rewound");
    }
}
