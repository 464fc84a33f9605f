//! The queue of requests, with one entry, and the results of the last requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::Refusal;
use crate::history::Trigger;
use crate::notification::Notify;
use crate::shadow::View;
use mapper_api::versions::{Report, Step, SwapOutcome};

pub enum Request {
    /// Activates a new version.
    Swap {
        bytes: Vec<u8>,
        by: Trigger,
        /// Skips the try-out.
        force: bool,
        /// Ends after the try-out.
        dry_run: bool,
    },
    /// Activates an earlier version.
    Rollback {
        /// See [`plan_rollback`](crate::rollback::plan_rollback); `None` is the version before.
        to: Option<String>,
        /// The digest that the client expects to be active. Another swap can precede the request.
        from: Option<String>,
    },
    /// Runs a version beside the active one, without outputs.
    Shadow {
        bytes: Vec<u8>,
    },
    StopShadow,
}

/// The reason of a rejected request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    #[error("another swap is in progress (step {}). Try again when it has ended", .0.name())]
    Swapping(Step),
    #[error("the host is ending")]
    Ending,
    #[error(
        "the swap thread panicked and the host shuts down: see the error in its log. Restart the host and try again"
    )]
    Panicked,
}

#[derive(Debug)]
pub enum Reply {
    /// Answers a swap or a rollback.
    Report(Box<Report>),
    /// Answers a request about a shadow.
    Shadow(Result<(), Refusal>),
    /// The swap thread panicked.
    Panicked,
}

/// The sender of an answer; empty if no client waits for one.
pub(crate) struct Answer(Option<oneshot::Sender<Reply>>);

impl Answer {
    pub(super) fn without_client() -> Self {
        Self(None)
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.is_some()
    }

    fn send(&mut self, reply: Reply) {
        if let Some(sender) = self.0.take() {
            // A client that has disconnected finds the report in `/status`.
            let _ = sender.send(reply);
        }
    }

    /// Answers a swap or a rollback. Later answers are dropped.
    pub(super) fn send_report(&mut self, report: Report) {
        self.send(Reply::Report(Box::new(report)));
    }

    pub(super) fn send_shadow(&mut self, done: Result<(), Refusal>) {
        self.send(Reply::Shadow(done));
    }
}

impl Drop for Answer {
    /// A panic of the swap thread is an answer, too.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.send(Reply::Panicked);
        }
    }
}

#[derive(Default)]
struct State {
    pending: Option<(Request, Answer)>,
    /// The step of the request in progress.
    busy: Option<Step>,
    /// The reason why no request is accepted any more.
    closed: Option<Busy>,
    last: Option<Report>,
    shadow: Option<View>,
    counts: SwapCounts,
}

/// The outcomes of swaps since the start.
#[derive(Debug, Clone, Default)]
pub struct SwapCounts {
    /// All swaps and rollbacks, by outcome.
    pub ended: BTreeMap<SwapOutcome, u64>,
    /// Refused swaps, by step.
    pub refused: BTreeMap<Step, u64>,
    /// Rollbacks by request, and rollbacks after a failed probation.
    pub rolled_back: [u64; 2],
}

impl SwapCounts {
    fn add(&mut self, report: &Report) {
        *self.ended.entry(report.outcome).or_default() += 1;
        if let Some(step) = report.step {
            *self.refused.entry(step).or_default() += 1;
        }
        match (report.outcome, report.by) {
            (SwapOutcome::Swapped, Trigger::Rollback) => self.rolled_back[0] += 1,
            (SwapOutcome::Swapped, Trigger::Probation) => self.rolled_back[1] += 1,
            _ => {}
        }
    }
}

/// A queue with one entry: a second request is rejected while the first one is in progress.
pub struct RequestQueue {
    state: Mutex<State>,
    wakeup: Arc<Notify>,
}

impl RequestQueue {
    /// Each request notifies `wakeup`.
    pub fn new(wakeup: Arc<Notify>) -> Self {
        Self { state: Mutex::default(), wakeup }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wakeup(&self) -> &Notify {
        &self.wakeup
    }

    /// Adds a request. The receiver gets exactly one answer, or an error when the host shuts down.
    ///
    /// # Errors
    /// If another request is in progress, the host is shutting down, or the swap thread panicked.
    pub fn submit(&self, request: Request) -> Result<oneshot::Receiver<Reply>, Busy> {
        let mut state = self.lock();
        if let Some(reason) = &state.closed {
            return Err(reason.clone());
        }
        if let Some(step) = state.busy {
            return Err(Busy::Swapping(step));
        }
        let (sender, receiver) = oneshot::channel();
        state.busy = Some(Step::Read);
        state.pending = Some((request, Answer(Some(sender))));
        drop(state);
        self.wakeup.notify();
        Ok(receiver)
    }

    pub(super) fn take(&self) -> Option<(Request, Answer)> {
        self.lock().pending.take()
    }

    pub(super) fn set_step(&self, step: Step) {
        self.lock().busy = Some(step);
    }

    /// Publishes the result of a swap.
    pub(super) fn publish(&self, report: Report) {
        let mut state = self.lock();
        state.counts.add(&report);
        state.last = Some(report);
    }

    /// Ends the request in progress. A request that was added before an automatic rollback is next.
    pub(super) fn set_idle(&self) {
        let mut state = self.lock();
        state.busy = state.pending.as_ref().map(|_| Step::Read);
    }

    pub(super) fn set_shadow(&self, view: View) {
        self.lock().shadow = Some(view);
    }

    /// Rejects all requests from now on. The receiver of a pending request gets an error.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = Some(Busy::Ending);
        state.pending = None;
        state.busy = None;
    }

    /// Rejects all requests from now on, as the swap thread panicked. A pending request gets this answer, too.
    pub fn close_after_panic(&self) {
        let mut state = self.lock();
        state.closed = Some(Busy::Panicked);
        state.busy = None;
        if let Some((_, mut answer)) = state.pending.take() {
            answer.send(Reply::Panicked);
        }
    }

    /// The step of the request in progress.
    pub fn current_step(&self) -> Option<Step> {
        self.lock().busy
    }

    pub fn counts(&self) -> SwapCounts {
        self.lock().counts.clone()
    }

    pub fn last_report(&self) -> Option<Report> {
        self.lock().last.clone()
    }

    /// The running shadow, or the last one.
    pub fn shadow_view(&self) -> Option<View> {
        self.lock().shadow.clone()
    }
}
