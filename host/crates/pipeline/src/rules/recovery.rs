//! What the rules do about a failure: everything goes back to the last commit.

use std::time::Duration;

use super::input::Asked;
use super::{AbortReason, Action, Facts, Rules, Task, TransactionLimit};
use crate::error::SinkError;
use mapper_core::shutdown::Halt;

/// What the rules make of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// The source is rewound to the last commit.
    Recovery,
    /// The same at once, for records that the broker rejected: these are logged one by one.
    Rejection,
    /// The next start goes on from the last commit, as a shutdown is requested.
    Abandonment,
    /// The last transaction is aborted, as a shutdown is requested.
    FinalAbort,
    /// What keeps the source from rewinding is settled first.
    Postponement,
}

/// What a pipeline is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Working,
    Recovering,
    /// A shutdown is requested: the last transaction is about to be committed.
    Finishing,
    /// That has failed.
    Aborting,
}

impl Rules {
    /// An action has failed.
    ///
    /// # Errors
    /// When nothing can be done from here.
    pub(crate) fn failed(&mut self, error: SinkError, facts: &Facts) -> Result<Reaction, Halt> {
        self.plan.clear();
        let phase = self.phase;
        let rejections = match error {
            SinkError::Fatal(halt) => return Err(halt),
            _ if phase == Phase::Finishing => {
                self.phase = Phase::Aborting;
                self.plan.extend([Action::Abort(AbortReason::Failure), Action::Finish].map(Task::Do));
                return Ok(Reaction::FinalAbort);
            }
            _ if phase == Phase::Aborting => {
                self.plan.push_back(Task::Do(Action::Finish));
                return Ok(Reaction::FinalAbort);
            }
            SinkError::Retriable(error) if self.is_rewinding => {
                // Nothing is open, so partitions may go; and what waits to go may be what can't be rewound.
                self.is_rewinding = false;
                self.asked = Asked::BeforeRecovery;
                self.plan.push_back(Task::Do(Action::Attend(Duration::ZERO)));
                self.plan.push_back(Task::Fail(SinkError::Retriable(error)));
                return Ok(Reaction::Postponement);
            }
            SinkError::Retriable(_) if phase == Phase::Recovering && facts.is_shutdown_requested => {
                // There is nothing left that the last commit may take along.
                self.plan.push_back(Task::Do(Action::Discard));
                return Ok(Reaction::Abandonment);
            }
            SinkError::Retriable(_) => {
                if phase == Phase::Working {
                    self.count_failure();
                }
                self.plan.push_back(Task::Do(Action::Backoff(self.backoff.next())));
                None
            }
            SinkError::RecordsRejected(rejections) => Some(rejections),
        };
        self.phase = Phase::Recovering;
        let is_rejected = rejections.is_some();
        self.plan.extend(rejections.map(|rejections| Task::Do(Action::NoteRejections(rejections))));
        self.plan.extend([
            Task::Do(Action::Abort(AbortReason::Failure)),
            Task::RewindAll,
            Task::Do(Action::Discard),
            Task::Do(Action::RewindHistory),
        ]);
        self.plan.extend(is_rejected.then_some(Task::Do(Action::RefreshLimits)));
        Ok(if is_rejected { Reaction::Rejection } else { Reaction::Recovery })
    }

    fn count_failure(&mut self) {
        self.failures += 1;
        // Once is an outage. Twice it may be the transaction: that it takes longer than it may, for what is slow in it.
        if self.failures > 1 && self.transaction.records() > 1 {
            self.transaction_limit = Some(TransactionLimit::below(self.transaction.records()));
        }
    }
}
