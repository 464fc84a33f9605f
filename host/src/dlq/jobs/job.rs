//! A redrive on a thread of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use mapper_api::redrives::{Redrive, RedriveProgress, RedriveState};
use mapper_core::identity::Version;
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_runtime::Plugin;
use mapper_versions::priority;
use tokio::sync::{oneshot, watch};

use super::super::pipeline::{PipelineLetters, who};
use super::super::redrive::redrive_with;
use super::super::states::now;
use super::reporter::JobReporter;
use crate::config::RedriveConfig;
use crate::pipelines::PipelineRegistry;

/// What maps the letters.
pub(crate) enum RedriveVersion {
    /// The plugin in these bytes.
    Uploaded(Vec<u8>),
    /// The version that the workers have.
    Active(Arc<Plugin>),
}

/// One redrive. The admin server and the thread of the redrive share it.
pub(crate) struct RedriveJob {
    view: watch::Sender<Redrive>,
    stop: Shutdown,
    /// Whether the next batch begins; `None` until there is an answer.
    answer: (Mutex<Option<bool>>, Condvar),
    /// Set when its thread starts.
    drain_timeout: OnceLock<Duration>,
}

impl std::fmt::Debug for RedriveJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RedriveJob").field(&self.view()).finish()
    }
}

impl RedriveJob {
    pub(super) fn new(id: String, to_input: bool) -> Arc<Self> {
        let view = Redrive {
            id,
            state: RedriveState::Starting,
            by: who(),
            started: now(),
            ended: None,
            version: None,
            to_input,
            progress: RedriveProgress::default(),
            new_groups: Default::default(),
            left_out: None,
            error: None,
        };
        Arc::new(Self {
            view: watch::Sender::new(view),
            stop: Shutdown::default(),
            answer: Default::default(),
            drain_timeout: OnceLock::new(),
        })
    }

    /// What it does now.
    pub(crate) fn view(&self) -> Redrive {
        self.view.borrow().clone()
    }

    pub(crate) fn state(&self) -> RedriveState {
        self.view.borrow().state
    }

    /// Follows what it does.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Redrive> {
        self.view.subscribe()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Redrive)) {
        self.view.send_modify(change);
    }

    pub(super) fn begin(&self, drain_timeout: Duration) {
        let _ = self.drain_timeout.set(drain_timeout);
    }

    pub(super) fn is_begun(&self) -> bool {
        self.drain_timeout.get().is_some()
    }

    pub(super) fn drain_timeout(&self) -> Duration {
        self.drain_timeout.get().copied().unwrap_or_default()
    }

    /// Ends it after the open transaction.
    pub(crate) fn stop(&self) {
        self.stop.request();
        self.change(|view| {
            if !view.state.is_ended() {
                view.state = RedriveState::Stopping;
            }
        });
        self.give_answer(false);
    }

    /// Begins the next batch. Returns false if it does not wait for that.
    pub(crate) fn continue_with_next_batch(&self) -> bool {
        let is_waiting = self.state() == RedriveState::Waiting;
        is_waiting && self.give_answer(true)
    }

    /// The first answer counts.
    fn give_answer(&self, answer: bool) -> bool {
        let (given, changed) = &self.answer;
        let mut given = given.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = given.is_none();
        given.get_or_insert(answer);
        changed.notify_all();
        is_first
    }

    /// Waits for the answer whether the next batch begins.
    pub(super) fn wait_for_answer(&self) -> bool {
        let (given, changed) = &self.answer;
        let mut given = given.lock().unwrap_or_else(PoisonError::into_inner);
        *given = self.stop.requested().then_some(false);
        self.set_state(RedriveState::Waiting);
        let mut given = changed.wait_while(given, |given| given.is_none()).unwrap_or_else(PoisonError::into_inner);
        let is_continued = given.take().unwrap_or_default();
        self.set_state(RedriveState::Running);
        is_continued
    }

    /// Sets the state, unless it was stopped.
    pub(super) fn set_state(&self, state: RedriveState) {
        let is_stopped = self.stop.requested();
        self.change(|view| view.state = if is_stopped { RedriveState::Stopping } else { state });
    }

    /// Records the end.
    pub(super) fn end(&self, result: Result<RedriveState, String>) {
        self.change(|view| {
            view.ended = Some(now());
            match result {
                Ok(state) => view.state = state,
                Err(error) => (view.state, view.error) = (RedriveState::Failed, Some(error)),
            }
        });
    }

    /// Runs it on a thread; without a version, the records go to their input topics. The receiver gets the result of the start: it has begun when no other redrive can begin. A redrive that has not
    /// begun is forgotten.
    ///
    /// # Errors
    /// If the thread can't be started.
    pub(crate) fn start(
        self: &Arc<Self>,
        registry: &Arc<PipelineRegistry>,
        (pipeline, letters): (String, Arc<PipelineLetters>),
        config: RedriveConfig,
        version: Option<RedriveVersion>,
    ) -> Result<oneshot::Receiver<Result<(), Halt>>, Halt> {
        let (begun, is_begun) = oneshot::channel();
        self.begin(letters.drain_timeout());
        let (job, jobs) = (self.clone(), registry.clone());
        let here = tracing::error_span!("redrive", pipeline, id = self.view().id);
        let work = move || {
            let _here = here.enter();
            priority::lower_current_thread();
            let reporter = JobReporter::new(job.clone(), begun);
            let outcome = reporter.outcome();
            let run = || job.run(&letters, &config, version, reporter);
            let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
                Err(Halt::internal(anyhow::anyhow!(
                    "the thread of the redrive panicked: this is a bug of the host; see the error in the log, and report it"
                )))
            });
            match (result, outcome.take_begun()) {
                (Err(halt), Some(begun)) => {
                    tracing::warn!(reason = halt.reason(), "the redrive did not begin");
                    job.end(Err(halt.reason()));
                    jobs.redrives.remove(&pipeline, &job);
                    // The client may be gone.
                    let _ = begun.send(Err(halt));
                }
                (Err(halt), None) => {
                    tracing::error!(reason = halt.reason(), "the redrive failed");
                    job.end(Err(halt.reason()));
                }
                (Ok(()), begun) => {
                    let state = if outcome.is_stopped() { RedriveState::Stopped } else { RedriveState::Finished };
                    let RedriveProgress { letters, done, failed_again, .. } = job.view().progress;
                    tracing::info!(state = state.name(), letters, done, failed_again, "the redrive ended");
                    job.end(Ok(state));
                    let _ = begun.map(|begun| begun.send(Ok(())));
                }
            }
        };
        let spawned = std::thread::Builder::new().name("redrive".into()).spawn(work);
        match spawned {
            Ok(_) => Ok(is_begun),
            Err(error) => {
                self.end(Err(error.to_string()));
                Err(Halt::internal(anyhow::Error::new(error).context("starting the thread of the redrive")))
            }
        }
    }

    fn run(
        &self,
        letters: &PipelineLetters,
        config: &RedriveConfig,
        version: Option<RedriveVersion>,
        reporter: JobReporter,
    ) -> Result<(), Halt> {
        let plugin = match version {
            Some(RedriveVersion::Uploaded(bytes)) => Some(letters.load(&bytes, &self.stop)?),
            Some(RedriveVersion::Active(plugin)) => Some(plugin),
            None => None,
        };
        if let Some(plugin) = &plugin {
            self.change(|view| view.version = Some(Version::from(&plugin.identity)));
        }
        let access = letters.connect_to_redrive(&self.stop)?;
        redrive_with(access, config, plugin, (Box::new(reporter), who()), &self.stop).map(drop)
    }
}
