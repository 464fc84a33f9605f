//! Reports a redrive to its job.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use mapper_api::redrives::{RedriveProgress, RedriveState};
use mapper_core::shutdown::Halt;
use tokio::sync::oneshot;

use super::job::RedriveJob;
use crate::dlq::redrive::reporter::{NewGroups, RedriveReporter, RedriveSummary};

/// The new groups that are shown.
const MAX_NEW_GROUPS: usize = 100;

/// Sent when the redrive has begun, or can't begin.
type Begun = oneshot::Sender<Result<(), Halt>>;

/// What the thread of a redrive learns from its reporter.
#[derive(Default)]
pub(super) struct JobOutcome {
    begun: RefCell<Option<Begun>>,
    is_stopped: Cell<bool>,
}

impl JobOutcome {
    /// `None` if the redrive has begun.
    pub(super) fn take_begun(&self) -> Option<Begun> {
        self.begun.borrow_mut().take()
    }

    /// Whether letters are left that it has not taken.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.get()
    }
}

pub(super) struct JobReporter {
    job: Arc<RedriveJob>,
    outcome: Rc<JobOutcome>,
}

impl JobReporter {
    pub(super) fn new(job: Arc<RedriveJob>, begun: Begun) -> Self {
        let outcome = JobOutcome { begun: RefCell::new(Some(begun)), is_stopped: Cell::new(false) };
        Self { job, outcome: Rc::new(outcome) }
    }

    pub(super) fn outcome(&self) -> Rc<JobOutcome> {
        self.outcome.clone()
    }

    fn begin(&self) {
        if let Some(begun) = self.outcome.take_begun() {
            tracing::info!("the redrive began");
            // The client may be gone; the redrive goes on.
            let _ = begun.send(Ok(()));
        }
    }
}

fn shown(new_groups: &NewGroups) -> NewGroups {
    new_groups
        .iter()
        .take(MAX_NEW_GROUPS)
        .map(|(fingerprint, failure)| (fingerprint.clone(), failure.clone()))
        .collect()
}

impl RedriveReporter for JobReporter {
    fn claimed(&mut self) {
        self.begin();
    }

    fn started(&mut self, progress: &RedriveProgress) {
        self.job.change(|view| view.progress = *progress);
        self.job.set_state(RedriveState::Running);
    }

    fn nothing_selected(&mut self) {
        self.begin();
    }

    fn committed(&mut self, progress: &RedriveProgress, new_groups: &NewGroups) {
        self.job.change(|view| {
            view.progress = *progress;
            view.new_groups = shown(new_groups);
        });
    }

    fn may_continue(&mut self, progress: &RedriveProgress, new_groups: &NewGroups) -> bool {
        self.committed(progress, new_groups);
        self.job.wait_for_answer()
    }

    fn ended(&mut self, summary: &RedriveSummary<'_>) {
        self.outcome.is_stopped.set(summary.is_stopped);
        self.job.change(|view| {
            view.progress = summary.progress;
            view.new_groups = shown(summary.new_groups);
            view.left_out = Some(summary.left_out);
        });
    }
}
