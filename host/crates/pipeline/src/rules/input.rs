//! What the rules ask the source for, and what follows from its answers.

use std::time::Duration;

use super::{AbortReason, Action, Facts, IDLE_WAIT, Rules, Task};
use crate::contracts::Fetched;
use mapper_core::record::Positions;

/// What the source was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Records.
    Records,
    /// To answer the group before the rest of the batch is judged.
    BeforeRest,
    /// To answer the group while no record may be judged.
    WhileWaiting,
    /// Whether a rebalance waits that keeps it from rewinding.
    BeforeRecovery,
}

impl Rules {
    /// What to ask the source for: nothing, while no record may be judged or while records are left of the batch; else a batch.
    pub(super) fn receive(&mut self, facts: &Facts) -> Action {
        let outage = self.outage.as_ref().map(|outage| outage.wait(facts.now));
        let waits = [self.breaker.wait(facts.now), outage];
        let until = waits.into_iter().flatten().filter(|wait| !wait.is_zero()).max();
        if facts.is_withdrawn || until.is_some() {
            self.asked = Asked::WhileWaiting;
            let wait = if facts.is_withdrawn { IDLE_WAIT } else { until.unwrap_or(IDLE_WAIT).min(IDLE_WAIT) };
            return Action::Attend(wait);
        }
        if self.judged < self.fetched {
            self.asked = Asked::BeforeRest;
            return Action::Attend(Duration::ZERO);
        }
        self.asked = Asked::Records;
        let due = self.transaction.due_in(&self.commit, facts.now);
        let wait = due.map_or(IDLE_WAIT, |due| due.min(IDLE_WAIT));
        Action::Fetch { most: self.batch_budget(facts), wait }
    }

    /// The source has filled a batch, or emptied it.
    pub(crate) fn batch_filled(&mut self, records: usize) {
        (self.judged, self.fetched) = (0, records);
    }

    /// The source has answered.
    pub(crate) fn received(&mut self, fetched: Fetched, facts: &Facts) {
        if self.asked == Asked::BeforeRecovery {
            if matches!(fetched, Fetched::Assigned | Fetched::Revoked { .. }) {
                self.plan_first([Task::Do(Action::Settle)]);
            }
            return;
        }
        match fetched {
            Fetched::Idle if self.asked == Asked::BeforeRest => self.plan_judging(),
            Fetched::Records => self.plan_judging(),
            Fetched::Idle if self.breaker.is_open() || self.outage.is_some() || facts.is_withdrawn => {
                self.plan_first([Task::CommitIfDue])
            }
            Fetched::Idle => self.plan_first([Task::Do(Action::CheckFinished)]),
            Fetched::TopicRecreated { missing } => {
                self.plan_first([
                    Task::FlushPending,
                    Task::DropPartitions(missing),
                    Task::Commit,
                    Task::Do(Action::EndHistory),
                    Task::Do(Action::Settle),
                    Task::Do(Action::Discard),
                    Task::ForgetRejections,
                    Task::CommitIfDue,
                ]);
            }
            Fetched::OffsetOutOfRange => {
                self.plan_first([
                    Task::Commit,
                    Task::Do(Action::EndHistory),
                    Task::Do(Action::Settle),
                    Task::CommitIfDue,
                ]);
            }
            Fetched::Assigned => self.plan_first([Task::Do(Action::Settle), Task::CommitIfDue]),
            Fetched::Revoked { lost } => {
                let before = if lost { Task::Abandon(AbortReason::PartitionsLost) } else { Task::Commit };
                self.plan_first([before, Task::Do(Action::Settle), Task::Rewind, Task::CommitIfDue]);
            }
        }
    }

    fn plan_judging(&mut self) {
        self.idle.end();
        self.judging_since = None;
        self.plan_first([Task::Do(Action::BeginBatch), Task::Judge, Task::CommitIfDue]);
    }

    /// The finished source has reported its end offsets.
    pub(crate) fn finished(&mut self, ends: Option<Positions>, facts: &Facts) {
        match ends {
            Some(ends) => {
                self.plan_first([Task::FlushPending, Task::Advance(ends), Task::Commit, Task::FinishUnlessWithdrawn]);
            }
            None if self.pending.is_due(facts.now) => {
                self.plan_first([Task::FlushPending, Task::CommitEnds, Task::CommitIfDue]);
            }
            None => self.plan_first([Task::CommitEnds, Task::CommitIfDue]),
        }
    }

    /// The source has ends of partitions to commit, or none. They go into a transaction, which fences a zombie, and which is ordered
    /// with those before and after it. The next ones have to wait as long as these.
    pub(crate) fn ends_found(&mut self, ends: Positions) {
        if !ends.is_empty() {
            self.idle.end();
            self.plan_first([Task::Advance(ends), Task::Commit]);
        }
    }
}
