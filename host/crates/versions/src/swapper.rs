//! The swap thread: it serves one request at a time outside of the record path, and acts on the result of a probation.

mod draft;
mod loader;
mod requests;
mod rollback;
mod swap;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::history::{Trigger, Version};
use super::probation::{ProbationSettings, ProbationState};
use super::shadow::Shadow;
use super::slot::Slot;
use super::store::Store;
use draft::Draft;
use mapper_api::versions::{Step, SwapOutcome};
use mapper_core::decision::Routes;
use mapper_core::shutdown::Shutdown;
use requests::Answer;

pub use loader::{LoadedVersion, Refusal, VersionLoader};
pub use requests::{Busy, Reply, Request, RequestQueue, SwapCounts};

/// The longest wait of the thread for a notification.
const IDLE: Duration = Duration::from_secs(1);

/// The settings of all swaps.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The most records that may fail only with the new version.
    pub max_broken: usize,
    pub probation: ProbationSettings,
    /// A client gets its answer after this time, even if some workers have not switched yet. The swap continues.
    pub answer_timeout: Duration,
}

/// The environment of a [`Swapper`].
pub struct SwapContext {
    pub routes: Arc<Routes>,
    pub policy: Policy,
    /// `None`: a rollback works only for a version that is in memory.
    pub store: Option<Store>,
}

/// Swaps the versions of one pipeline, on a thread of its own.
pub struct Swapper<L: VersionLoader> {
    loader: L,
    slot: Arc<Slot<L::Mapper>>,
    requests: Arc<RequestQueue>,
    context: SwapContext,
    current: LoadedVersion<L::Plugin>,
    /// The version before, for a fast rollback. A new version replaces it if the store has its file.
    previous: Option<LoadedVersion<L::Plugin>>,
    shadow: Option<Shadow>,
}

impl<L: VersionLoader> Swapper<L> {
    pub fn new(
        loader: L,
        current: LoadedVersion<L::Plugin>,
        slot: Arc<Slot<L::Mapper>>,
        requests: Arc<RequestQueue>,
        context: SwapContext,
    ) -> Self {
        Self { loader, slot, requests, context, current, previous: None, shadow: None }
    }

    /// Stores the file of the first version, so that a later rollback can load it.
    pub fn store_first(&self, bytes: &[u8]) {
        self.store_plugin(&self.current.active.version, bytes);
    }

    /// Serves requests until the shutdown, or until all workers have ended.
    pub fn run(mut self, shutdown: &Shutdown) {
        loop {
            let generation = self.requests.wakeup().generation();
            drop(self.slot.take_retired());
            if shutdown.requested() || self.slot.is_over() {
                break;
            }
            self.check_probation(shutdown);
            self.check_shadow();
            match self.requests.take() {
                Some((request, answer)) => self.serve(request, answer, shutdown),
                None => self.requests.wakeup().wait(generation, IDLE),
            }
        }
        self.stop_shadow("the host is ending");
        self.requests.close();
    }

    fn serve(&mut self, request: Request, mut answer: Answer, shutdown: &Shutdown) {
        match request {
            Request::Swap { bytes, by, force, dry_run } => {
                let mut draft = Draft::new(by, force, self.current.active.version.clone());
                let result = self.swap(&bytes, dry_run, &mut draft, &mut answer, shutdown);
                self.finish(draft, result, answer);
            }
            Request::Rollback { to, from } => {
                let mut draft = Draft::new(Trigger::Rollback, false, self.current.active.version.clone());
                let result = self.roll_back(to.as_deref(), from.as_deref(), &mut draft, &mut answer, shutdown);
                self.finish(draft, result, answer);
            }
            Request::Shadow { bytes } => {
                let started = self.start_shadow(&bytes);
                self.requests.set_idle();
                answer.send_shadow(started);
            }
            Request::StopShadow => {
                self.stop_shadow("it was stopped");
                self.requests.set_idle();
                answer.send_shadow(Ok(()));
            }
        }
    }

    /// Logs and publishes the result, and answers the client.
    fn finish(&mut self, draft: Draft, result: Result<SwapOutcome, Refusal>, mut answer: Answer) {
        let report = draft.finish(result);
        draft::log(&report);
        self.requests.publish(report.clone());
        // The client can send its next request as soon as it has the answer.
        self.requests.set_idle();
        answer.send_report(report);
    }

    fn check_probation(&mut self, shutdown: &Shutdown) {
        let version = self.current.active.version.to_string();
        match self.slot.take_probation_result(self.current.active.term) {
            None | Some(ProbationState::Running) => {}
            Some(ProbationState::Passed) => tracing::info!(version, "the new version has passed its probation"),
            Some(ProbationState::Failed(reason)) => {
                tracing::error!(version, reason, "the new version has failed its probation; rolling back");
                self.roll_back_failed_probation(reason, shutdown);
            }
        }
    }

    fn start_shadow(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if self.shadow.as_ref().is_some_and(Shadow::is_running) {
            return Err(Refusal::new(
                Step::Read,
                "a shadow is running already; stop it first (mapper-host shadow --stop)",
            ));
        }
        self.requests.set_step(Step::Compile);
        let plugin = Arc::new(self.loader.load(bytes)?);
        let version = Version::from(self.loader.identity(&plugin));
        self.requests.set_step(Step::Configure);
        let mapper = self.loader.create_mapper(&plugin, None)?;
        let against = self.current.active.version.clone();
        tracing::info!(version = %version, against = %against, "started a shadow");
        let shadow = Shadow::start(mapper, version, against, self.context.routes.clone(), self.slot.clone());
        let shadow =
            shadow.map_err(|error| Refusal::new(Step::Configure, format!("failed to start a thread: {error}")))?;
        self.requests.set_shadow(shadow.view());
        self.shadow = Some(shadow);
        Ok(())
    }

    /// Removes a shadow whose thread has ended.
    fn check_shadow(&mut self) {
        if self.shadow.as_ref().is_some_and(|shadow| !shadow.is_running()) {
            self.stop_shadow("");
        }
    }

    fn stop_shadow(&mut self, reason: &str) {
        if let Some(shadow) = self.shadow.take() {
            shadow.stop(reason);
            tracing::info!(reason, "stopped the shadow");
        }
    }
}

#[cfg(test)]
mod tests;
