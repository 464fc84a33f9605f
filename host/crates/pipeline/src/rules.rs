//! The rules of the loop: what to do next, and what follows from what has happened. They have no IO and no clock: the
//! driver takes one action at a time, and reports how it ended.
//!
//! A plan holds the tasks of the round. A task becomes an action, or more tasks, when its turn comes, by the facts of that
//! moment. A failure replaces the plan by a recovery.

mod adaptive_batch_size;
mod backoff;
mod breaker;
mod error_ratio;
mod idle;
mod input;
mod outage;
mod pending_failures;
mod recovery;
mod rejections;
mod task;
mod transaction;
mod transaction_limit;

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

pub(crate) use breaker::{Breaker, GuestHealth};
pub(crate) use error_ratio::{ErrorRatio, Exceeded};
pub(crate) use pending_failures::PendingFailures;
pub(crate) use recovery::Reaction;
pub(crate) use rejections::{LIMITS_AGE, REJECTED_LIMITS_AGE, Rejections};
pub(crate) use task::{AbortReason, Action};
pub(crate) use transaction::Transaction;

use adaptive_batch_size::AdaptiveBatchSize;
use backoff::Backoff;
use idle::Idle;
use input::Asked;
use outage::Outage;
use recovery::Phase;
use task::Task;
use transaction_limit::TransactionLimit;

use crate::error::SinkError;
use crate::settings::{CommitPolicy, Settings};
use mapper_core::quotation::LAST_FAILURE;
use mapper_core::record::Batch;
use mapper_core::shutdown::Halt;
use mapper_core::verdict::FailureKind;

/// How long a fetch waits when nothing is due. A rebalance or a shutdown is noticed within this time.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// When the calls for a batch take longer than this, the group is answered, and what is due is committed, before the next call.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most records of a transaction during probation: what is committed of a version that is withdrawn later stays.
const PROBATION_RECORDS: usize = 100;

/// What the rules need to know of the moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) now: Instant,
    pub(crate) is_shutdown_requested: bool,
    /// Another version waits.
    pub(crate) is_version_due: bool,
    /// The active version must not map any more.
    pub(crate) is_withdrawn: bool,
    pub(crate) is_on_probation: bool,
    /// Outputs are visible before they are committed.
    pub(crate) is_visible_at_once: bool,
}

/// How far the verdicts of a call were carried out.
#[derive(Debug, PartialEq)]
pub(crate) enum Progress {
    /// All records before this index are judged.
    Judged(usize),
    /// All records before this index are judged, and the last failure opens the breaker.
    BreakerTripped { judged: usize, last_failure: String },
    /// The record that a mapper behind an open breaker was probed with has failed.
    ProbeFailed(FailureKind),
    /// Too many of the last records failed.
    ErrorRatioExceeded(Exceeded),
}

/// The state of a pipeline, and what follows from it.
pub(crate) struct Rules {
    commit: CommitPolicy,
    batch_records: usize,
    ends_by_itself: bool,
    plan: VecDeque<Task>,
    phase: Phase,
    asked: Asked,
    /// The source is rewinding, to recover from a failure.
    is_rewinding: bool,
    /// Records of the batch, and how many of them are judged.
    fetched: usize,
    judged: usize,
    /// When the first call for the batch began, or for the rest of it.
    judging_since: Option<Instant>,
    pub(crate) transaction: Transaction,
    pub(crate) breaker: Breaker,
    pub(crate) pending: PendingFailures,
    pub(crate) rejections: Rejections,
    idle: Idle,
    /// The mapper lacks something; `None` if it does not.
    outage: Option<Outage>,
    batch_size: AdaptiveBatchSize,
    transaction_limit: Option<TransactionLimit>,
    /// Failures since the last commit.
    failures: u32,
    backoff: Backoff,
}

impl Rules {
    /// The rules of a pipeline that has done nothing yet.
    pub(crate) fn new(settings: &Settings) -> Self {
        let breaker = settings.failures.breaker;
        Self {
            commit: settings.commit,
            batch_records: settings.batch_records,
            ends_by_itself: settings.ends_by_itself,
            plan: VecDeque::new(),
            phase: Phase::Working,
            asked: Asked::Records,
            is_rewinding: false,
            fetched: 0,
            judged: 0,
            judging_since: None,
            transaction: Transaction::default(),
            breaker: Breaker::new(breaker.after, breaker.retry),
            pending: PendingFailures::default(),
            rejections: Rejections::default(),
            idle: Idle::default(),
            outage: None,
            batch_size: AdaptiveBatchSize::default(),
            transaction_limit: None,
            failures: 0,
            backoff: Backoff::default(),
        }
    }

    /// The next action.
    ///
    /// # Errors
    /// The failure that a recovery was put off for.
    pub(crate) fn next(&mut self, facts: &Facts) -> Result<Action, SinkError> {
        self.is_rewinding = false;
        loop {
            let Some(task) = self.plan.pop_front() else {
                self.plan_round(facts);
                continue;
            };
            if let Some(action) = self.start(task, facts)? {
                return Ok(action);
            }
        }
    }

    fn plan_round(&mut self, facts: &Facts) {
        if facts.is_shutdown_requested {
            self.phase = Phase::Finishing;
            self.plan.extend([Task::Commit, Task::Do(Action::Finish)]);
        } else {
            self.phase = Phase::Working;
            self.plan.extend([Task::CommitWithdrawn, Task::TakeVersion, Task::Receive]);
        }
    }

    /// Puts tasks before those of the plan.
    fn plan_first<const N: usize>(&mut self, tasks: [Task; N]) {
        tasks.into_iter().rev().for_each(|task| self.plan.push_front(task));
    }

    /// The action of a task, if it needs one.
    fn start(&mut self, task: Task, facts: &Facts) -> Result<Option<Action>, SinkError> {
        match task {
            Task::Do(action) => return Ok(Some(action)),
            Task::Fail(error) => return Err(error),
            Task::CommitWithdrawn if facts.is_withdrawn => self.plan_first([Task::Commit]),
            Task::TakeVersion if facts.is_version_due => {
                self.plan_first([Task::Commit, Task::RewindPending, Task::Do(Action::TakeVersion)]);
            }
            Task::RewindPending if !self.pending.is_empty() => self.plan_first([Task::Rewind]),
            Task::CommitWithdrawn | Task::TakeVersion | Task::RewindPending => {}
            Task::Receive => return Ok(Some(self.receive(facts))),
            Task::Judge => return Ok(Some(self.judge(facts))),
            Task::FlushPending => return Ok((!self.pending.is_empty()).then_some(Action::FlushPending)),
            Task::Advance(ends) => self.transaction.advance(&ends),
            Task::DropPartitions(gone) => self.transaction.drop_partitions(&gone),
            Task::Commit => return Ok(self.commit_action(facts)),
            Task::CommitIfDue => {
                if self.is_commit_due(facts) {
                    self.plan_first([Task::Commit]);
                }
            }
            Task::CommitEnds => {
                let is_due = self.transaction.is_empty() && self.pending.is_empty() && self.idle.is_due(facts.now);
                return Ok(is_due.then_some(Action::CheckEnds));
            }
            Task::Abandon(reason) => return Ok(self.transaction.is_open().then_some(Action::Abort(reason))),
            Task::Rewind => {
                self.plan_first([Task::Do(Action::Discard)]);
                return Ok((!self.transaction.first().is_empty()).then_some(Action::Rewind));
            }
            Task::RewindAll => {
                self.is_rewinding = true;
                return Ok(Some(Action::Rewind));
            }
            Task::OpenBreaker(reason) => return Ok(Some(self.open_breaker(reason, facts))),
            Task::ForgetRejections => self.rejections = Rejections::default(),
            Task::FinishUnlessWithdrawn => return Ok((!facts.is_withdrawn).then_some(Action::Finish)),
        }
        Ok(None)
    }

    /// The next call with records of the batch.
    fn judge(&mut self, facts: &Facts) -> Action {
        self.judging_since.get_or_insert(facts.now);
        // Only the rest of a batch, as after a swap in the middle of it, is more than a transaction may have.
        let left = self.most_records(facts).saturating_sub(self.transaction.records()).max(1);
        Action::Judge(self.judged..self.fetched.min(self.judged.saturating_add(left)))
    }

    /// The mapper has returned verdicts on so many records.
    pub(crate) fn mapped(&mut self, records: usize, took: Duration) {
        self.batch_size.took(records, took);
        self.transaction.counts.mapping += took;
    }

    /// Verdicts are carried out. Returns whether the next action judges more records of the batch.
    pub(crate) fn progressed(&mut self, progress: Progress, facts: &Facts) -> bool {
        match progress {
            Progress::Judged(judged) => {
                self.judged = judged;
                let is_full = self.transaction.records() >= self.most_records(facts);
                let took =
                    self.judging_since.map_or(Duration::ZERO, |since| facts.now.saturating_duration_since(since));
                if judged < self.fetched && !is_full && !facts.is_withdrawn && took < PATIENCE {
                    self.plan_first([Task::Judge]);
                    return true;
                }
            }
            Progress::BreakerTripped { judged, last_failure } => {
                self.judged = judged;
                let is_aborted = self.has_only_crashes() && !facts.is_visible_at_once;
                let run = self.breaker.run();
                let again = if is_aborted { self.breaker.uncommitted() } else { self.pending.len() };
                let fate = match again {
                    0 => "they are dead letters".to_owned(),
                    again if again < run => format!("{again} of them will be read again, the others are dead letters"),
                    _ => "they are read again later".to_owned(),
                };
                let reason = format!(
                    "{run} records in a row trapped, timed out or ran out of memory; {fate}{LAST_FAILURE}{last_failure}"
                );
                // What was judged before is committed, and the rest waits. Letters of a broken plugin stay invisible if nothing
                // else depends on their transaction.
                let end = if is_aborted { Task::Abandon(AbortReason::BreakerTripped) } else { Task::Commit };
                self.plan_first([end, Task::Rewind, Task::OpenBreaker(reason)]);
            }
            Progress::ProbeFailed(_) => {}
            Progress::ErrorRatioExceeded(exceeded) => {
                let halt = Task::Do(Action::Halt(exceeded.halt()));
                self.plan_first([Task::Abandon(AbortReason::ErrorRatio), halt]);
            }
        }
        false
    }

    /// Whether each record of the open transaction is one of the crashes that open the breaker.
    fn has_only_crashes(&self) -> bool {
        let (records, pending) = (self.transaction.records(), self.pending.len() as usize);
        self.transaction.is_open() && records + pending == self.breaker.uncommitted() as usize
    }

    fn open_breaker(&mut self, reason: String, facts: &Facts) -> Action {
        if self.ends_by_itself {
            return Action::Halt(Halt::failing(format!(
                "the plugin is broken: {reason}. Nothing beyond them is done. Repair the plugin, or give another \
                 --breaker-after, and start again"
            )));
        }
        self.breaker.open(facts.now);
        Action::OpenBreaker(reason)
    }

    /// Another version is active.
    pub(crate) fn version_taken(&mut self) -> bool {
        self.breaker.close()
    }

    fn commit_action(&mut self, facts: &Facts) -> Option<Action> {
        if self.transaction.is_empty() {
            return None;
        }
        if facts.is_withdrawn && !facts.is_visible_at_once {
            // The version that comes maps these records again, also those that became dead letters.
            self.plan_first([
                Task::Abandon(AbortReason::VersionWithdrawn),
                Task::Rewind,
                Task::Do(Action::RewindHistory),
            ]);
            return None;
        }
        Some(Action::Commit)
    }

    fn is_commit_due(&self, facts: &Facts) -> bool {
        let due = self.transaction.due_in(&self.commit, facts.now);
        self.batch_budget(facts) == 0 || due.is_some_and(|due| due.is_zero())
    }

    /// The open transaction is committed. `batch` holds the records that are left.
    pub(crate) fn committed(&mut self, batch: &Batch) {
        self.rejections.committed(self.transaction.next());
        self.transaction = Transaction::default();
        self.transaction.reach_back(self.pending.first());
        self.transaction.reach(batch, self.judged..self.fetched);
        self.breaker.committed(self.pending.len());
        self.failures = 0;
        self.backoff = Backoff::default();
        self.transaction_limit = self.transaction_limit.take().and_then(|limit| limit.relaxed(self.commit.records));
    }

    /// Everything since the last commit is discarded.
    pub(crate) fn discarded(&mut self) {
        self.transaction = Transaction::default();
        self.pending.take();
        self.judged = self.fetched;
        self.breaker.rewound();
    }

    /// The most records of a transaction.
    fn most_records(&self, facts: &Facts) -> usize {
        let usual = self.commit.records;
        if facts.is_on_probation { usual.min(PROBATION_RECORDS) } else { usual }
    }

    /// How many records the next batch may have.
    fn batch_budget(&self, facts: &Facts) -> usize {
        if self.breaker.is_open() {
            return 1;
        }
        let limit = self.transaction_limit.as_ref().map_or(usize::MAX, TransactionLimit::records);
        let most = self.most_records(facts).min(limit).min(self.rejections.transaction_records());
        let left = most.saturating_sub(self.transaction.records());
        left.min(self.batch_records).min(self.batch_size.records())
    }

    /// The records of the batch that are not judged yet.
    pub(crate) fn rest(&self) -> Range<usize> {
        self.judged..self.fetched
    }
}

#[cfg(test)]
mod tests;
