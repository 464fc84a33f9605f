//! Counts what a redrive has done.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Instant;

use chrono::{DateTime, Utc};

use mapper_api::redrives::{LeftOutLetters, RedriveProgress};
use mapper_core::counts::Counts;
use mapper_core::shutdown::Shutdown;
use mapper_pipeline::{CommittedTransaction, FailedRecord, Observer};

use super::reporter::{NewGroups, RedriveReporter, RedriveSummary};
use super::sink::TransactionCounts;

/// Shared by the observer and the redrive.
pub(super) struct Progress {
    pub(super) total: u64,
    pub(super) done: u64,
    pub(super) counts: Counts,
    /// Failures of groups that no letter had before.
    pub(super) new_groups: NewGroups,
    reporter: Box<dyn RedriveReporter>,
    started: Instant,
}

impl Progress {
    /// Reports the start.
    pub(super) fn start(total: u64, mut reporter: Box<dyn RedriveReporter>) -> Self {
        reporter.started(&RedriveProgress { letters: total, ..RedriveProgress::default() });
        Self {
            total,
            done: 0,
            counts: Counts::default(),
            new_groups: NewGroups::new(),
            reporter,
            started: Instant::now(),
        }
    }

    fn committed(&mut self, committed: &CommittedTransaction<'_>) {
        self.done += committed.records as u64;
        self.counts.add(committed.counts);
        let now = self.now();
        self.reporter.committed(&now, &self.new_groups);
    }

    fn now(&self) -> RedriveProgress {
        let per_second = self.done as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let left = self.total.saturating_sub(self.done) as f64;
        RedriveProgress {
            letters: self.total,
            done: self.done,
            outputs: self.counts.records_out,
            skipped: self.counts.skipped,
            failed_again: self.counts.dead_letters(),
            per_second: (per_second * 10.0).round() / 10.0,
            seconds_left: (per_second > 0.0).then_some((left / per_second).round()),
        }
    }

    /// Whether the next batch may begin.
    pub(super) fn may_continue(&mut self) -> bool {
        let now = self.now();
        self.reporter.may_continue(&now, &self.new_groups)
    }

    /// Reports the end.
    pub(super) fn end(&mut self, is_stopped: bool, left_out: LeftOutLetters) {
        let progress = self.now();
        let Self { reporter, new_groups, started, .. } = self;
        reporter.ended(&RedriveSummary { progress, new_groups, left_out, elapsed: started.elapsed(), is_stopped });
    }
}

/// Reports transactions and failures.
pub(super) struct RedriveObserver {
    pub(super) progress: Rc<RefCell<Progress>>,
    pub(super) transaction: Rc<RefCell<TransactionCounts>>,
    pub(super) known: HashSet<String>,
    /// Requested when a group is new.
    pub(super) stop: Option<Shutdown>,
}

impl Observer for RedriveObserver {
    fn records_failed(&mut self, failed: &[FailedRecord<'_>], _at: DateTime<Utc>) {
        for FailedRecord { failure, fingerprint, .. } in failed {
            *self.transaction.borrow_mut().kinds.entry(failure.kind.name()).or_default() += 1;
            if self.known.contains(fingerprint) {
                continue;
            }
            let message = failure.message.lines().next().unwrap_or_default();
            let mut progress = self.progress.borrow_mut();
            progress.new_groups.entry(fingerprint.clone()).or_insert_with(|| format!("{}: {message}", failure.kind));
            if let Some(stop) = &self.stop {
                stop.request();
            }
        }
    }

    fn transaction_committed(&mut self, committed: CommittedTransaction<'_>) {
        self.progress.borrow_mut().committed(&committed);
    }
}
