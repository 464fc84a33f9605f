//! Where requests are made, one at a time, and where one sees what became of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::Refused;
use crate::history::By;
use crate::notification::Notify;
use crate::report::{Ended, Report, Step};
use crate::shadow::View;

/// What may be asked for.
pub enum Request {
    /// Another version.
    Swap {
        /// The plugin.
        bytes: Vec<u8>,
        /// Who asks.
        by: By,
        /// Whether to skip the try-out.
        force: bool,
        /// Whether to do all but the swap.
        dry_run: bool,
    },
    /// An earlier version.
    Rollback {
        /// Which, see [`RollbackPlan::new`](crate::rollback::RollbackPlan::new); `None`: the one before.
        to: Option<String>,
        /// The digest of the version that must be active, if that matters: another swap may have come first.
        from: Option<String>,
    },
    /// Another version beside the one that speaks, without outputs.
    Shadow {
        /// The plugin.
        bytes: Vec<u8>,
    },
    /// The end of that.
    StopShadow,
}

/// Why a request is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// Another one is being served.
    #[error("another swap is going on (at the step {}); ask again when it has ended", .0.name())]
    Swapping(Step),
    /// Nobody will serve it.
    #[error("the host is ending")]
    Ending,
}

/// What comes back.
#[derive(Debug)]
pub enum Reply {
    /// Of a swap or a rollback.
    Report(Box<Report>),
    /// Of a shadow.
    Shadow(Result<(), Refused>),
}

/// Who waits for an answer, if somebody still does.
pub(crate) struct Answer(Option<oneshot::Sender<Reply>>);

impl Answer {
    /// Nobody asked.
    pub(super) fn nobody() -> Self {
        Self(None)
    }

    pub(super) fn waits(&self) -> bool {
        self.0.is_some()
    }

    fn give(&mut self, reply: Reply) {
        if let Some(sender) = self.0.take() {
            // Who has gone meanwhile finds it in `/status`.
            let _ = sender.send(reply);
        }
    }

    /// The answer to a swap or a rollback; only the first one counts.
    pub(super) fn report(&mut self, report: Report) {
        self.give(Reply::Report(Box::new(report)));
    }

    /// The answer to a request about a shadow.
    pub(super) fn shadow(&mut self, done: Result<(), Refused>) {
        self.give(Reply::Shadow(done));
    }
}

#[derive(Default)]
struct Desk {
    waiting: Option<(Request, Answer)>,
    /// The step that something is at.
    busy: Option<Step>,
    ended: bool,
    last: Option<Report>,
    shadow: Option<View>,
    counts: SwapCounts,
}

/// How swaps have ended since the start.
#[derive(Debug, Clone, Default)]
pub struct SwapCounts {
    /// All, rollbacks among them.
    pub ended: BTreeMap<Ended, u64>,
    /// Those that were refused, by the step that did.
    pub refused: BTreeMap<Step, u64>,
    /// Rollbacks: those that were asked for, and those after a probation.
    pub rolled_back: [u64; 2],
}

impl SwapCounts {
    fn add(&mut self, report: &Report) {
        *self.ended.entry(report.outcome).or_default() += 1;
        if let Some(step) = report.step {
            *self.refused.entry(step).or_default() += 1;
        }
        match (report.outcome, report.by) {
            (Ended::Swapped, By::Rollback) => self.rolled_back[0] += 1,
            (Ended::Swapped, By::Probation) => self.rolled_back[1] += 1,
            _ => {}
        }
    }
}

/// The desk at which requests are made.
pub struct RequestQueue {
    desk: Mutex<Desk>,
    wakeup: Arc<Notify>,
}

impl RequestQueue {
    /// A desk whose requests ring this wakeup.
    pub fn new(wakeup: Arc<Notify>) -> Self {
        Self { desk: Mutex::default(), wakeup }
    }

    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wakeup(&self) -> &Notify {
        &self.wakeup
    }

    /// Asks for something. The answer comes by itself; it is never left out while the receiver lives.
    ///
    /// # Errors
    /// When another request is being served, or the host is ending.
    pub fn ask(&self, request: Request) -> Result<oneshot::Receiver<Reply>, Busy> {
        let mut desk = self.lock();
        if desk.ended {
            return Err(Busy::Ending);
        }
        if let Some(step) = desk.busy {
            return Err(Busy::Swapping(step));
        }
        let (sender, receiver) = oneshot::channel();
        desk.busy = Some(Step::Read);
        desk.waiting = Some((request, Answer(Some(sender))));
        drop(desk);
        self.wakeup.notify();
        Ok(receiver)
    }

    pub(super) fn take(&self) -> Option<(Request, Answer)> {
        self.lock().waiting.take()
    }

    /// Something is done that nobody asked for. A request that waits already stays, and is served after it.
    pub(super) fn occupy(&self) {
        self.lock().busy = Some(Step::Read);
    }

    pub(super) fn at(&self, step: Step) {
        self.lock().busy = Some(step);
    }

    pub(super) fn report(&self, report: Report) {
        let mut desk = self.lock();
        desk.counts.add(&report);
        desk.last = Some(report);
    }

    pub(super) fn done(&self) {
        let mut desk = self.lock();
        desk.busy = desk.waiting.as_ref().map(|_| Step::Read);
    }

    pub(super) fn shadow(&self, view: View) {
        self.lock().shadow = Some(view);
    }

    /// Nothing is served any more. Who waits is told by the end of the channel.
    pub(super) fn close(&self) {
        let mut desk = self.lock();
        desk.ended = true;
        desk.waiting = None;
        desk.busy = None;
    }

    /// The step that something is at.
    pub fn busy(&self) -> Option<Step> {
        self.lock().busy
    }

    /// How swaps have ended.
    pub fn counts(&self) -> SwapCounts {
        self.lock().counts.clone()
    }

    /// How the last swap ended.
    pub fn last(&self) -> Option<Report> {
        self.lock().last.clone()
    }

    /// The shadow, or the last one.
    pub fn shadow_view(&self) -> Option<View> {
        self.lock().shadow.clone()
    }
}
