//! The thread that swaps: it takes one request at a time through its steps, off the record path, and looks after probation.

mod answer;
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use requests::Answer;
pub use requests::{Busy, Reply, Request, RequestQueue, SwapCounts};

use super::history::{By, Version};
use super::probation::{ProbationTerms, Standing};
use super::report::{Ended, Step, TryOut};
use super::rollback::{RollbackPlan, previous};
use super::shadow::Shadow;
use super::slot::{ActiveVersion, Slot, Taken};
use super::store::Store;
use super::tryout::Trial;
use answer::Draft;
use mapper_core::decision::Routes;
use mapper_core::record::Positions;
use mapper_core::shutdown::Shutdown;
use mapper_pipeline::contracts::Mapper;

/// How long the thread sleeps when nothing happens. What happens rings.
const IDLE: Duration = Duration::from_secs(1);

/// Why a step refuses.
pub type Refused = (Step, String);

/// What can be made of the bytes of a plugin. The swap itself knows nothing of WebAssembly.
pub trait VersionLoader: Send + 'static {
    /// A plugin that was checked.
    type Plugin: Send + Sync;
    /// One worker's mapper of it.
    type Mapper: Mapper + Send + 'static;

    /// Checks the bytes, compiles them, and gives them their settings.
    ///
    /// # Errors
    /// The step that refuses, and why.
    fn load(&self, bytes: &[u8]) -> Result<Self::Plugin, Refused>;

    /// Who it is, and the version of its contract.
    fn identify(&self, plugin: &Self::Plugin) -> (Version, &'static str);

    /// A mapper, ready to be called, for a worker; or for nobody's records.
    ///
    /// # Errors
    /// As [`VersionLoader::load`].
    fn mapper(&self, plugin: &Arc<Self::Plugin>, worker: Option<usize>) -> Result<Self::Mapper, Refused>;

    /// Runs the cases that lie beside the plugin file, if there are any.
    ///
    /// # Errors
    /// When there are cases that can't be read, or the plugin can't be used with the settings of one.
    fn run_cases(&self, plugin: &Self::Plugin, trial: &mut Trial) -> Result<(), Refused>;

    /// All workers have it now. `kept`: where its file is kept.
    fn set_active(&self, plugin: &Self::Plugin, by: By, kept: Option<PathBuf>);

    /// The committed offsets of these partitions, as far as the broker tells.
    fn committed(&self, partitions: &[i32]) -> Positions;
}

/// By what a swap is judged.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Records that used to pass and may fail.
    pub max_broken: usize,
    /// What a new version has to prove.
    pub probation: ProbationTerms,
    /// How long an answer waits for workers that are kept by something else; the swap itself waits on.
    pub patience: Duration,
}

/// A version with what it takes to run it.
struct Held<P> {
    plugin: Arc<P>,
    speaker: Arc<ActiveVersion>,
}

/// Swaps versions of one host. It lives on a thread of its own.
pub struct Swapper<W: VersionLoader> {
    loader: W,
    slot: Arc<Slot<W::Mapper>>,
    requests: Arc<RequestQueue>,
    routes: Arc<Routes>,
    policy: Policy,
    store: Option<Store>,
    current: Held<W::Plugin>,
    /// The version before, compiled, as long as no other takes its room.
    previous: Option<Held<W::Plugin>>,
    shadow: Option<Shadow>,
}

impl<W: VersionLoader> Swapper<W> {
    /// A swapper for a host that begins with this plugin.
    pub fn new(
        loader: W,
        (plugin, speaker): (Arc<W::Plugin>, Arc<ActiveVersion>),
        slot: Arc<Slot<W::Mapper>>,
        requests: Arc<RequestQueue>,
        (routes, policy, store): (Arc<Routes>, Policy, Option<Store>),
    ) -> Self {
        let current = Held { plugin, speaker };
        Self { loader, slot, requests, routes, policy, store, current, previous: None, shadow: None }
    }

    /// Keeps the file of the version that the host began with, so that one can return to it.
    pub fn keep_first(&self, bytes: &[u8]) {
        self.keep(&self.current.speaker.version, bytes);
    }

    /// Works until the shutdown, or until all workers have ended.
    pub fn run(mut self, shutdown: &Shutdown) {
        loop {
            let generation = self.requests.wakeup().generation();
            drop(self.slot.retired());
            if shutdown.requested() || self.slot.is_over() {
                break;
            }
            self.look_after_probation(shutdown);
            self.look_after_shadow();
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
                let mut draft = Draft::new(by, force, self.current.speaker.version.clone());
                let ended = self.swap(&bytes, dry_run, &mut draft, &mut answer, shutdown);
                self.finish(draft, ended, answer);
            }
            Request::Rollback { to, from } => self.roll_back((to.as_deref(), from.as_deref()), answer, shutdown),
            Request::Shadow { bytes } => {
                let started = self.start_shadow(&bytes);
                self.requests.done();
                answer.shadow(started);
            }
            Request::StopShadow => {
                self.stop_shadow("it was stopped");
                self.requests.done();
                answer.shadow(Ok(()));
            }
        }
    }

    /// Gives the answer, and says it to all others who may want to know.
    fn finish(&mut self, draft: Draft, ended: Result<Ended, Refused>, mut answer: Answer) {
        let report = draft.end(ended);
        answer::log(&report);
        self.requests.report(report.clone());
        // Who has the answer may ask for the next at once.
        self.requests.done();
        answer.report(report);
    }

    fn swap(
        &mut self,
        bytes: &[u8],
        dry_run: bool,
        draft: &mut Draft,
        answer: &mut Answer,
        shutdown: &Shutdown,
    ) -> Result<Ended, Refused> {
        self.requests.at(Step::Compile);
        if self.store.is_some() {
            // Old and new are held at once, but nothing older: it can be had from the disk again.
            self.previous = None;
        }
        let plugin = Arc::new(self.loader.load(bytes)?);
        let (version, contract) = self.loader.identify(&plugin);
        draft.to = Some(version.clone());
        if version.digest == self.current.speaker.version.digest {
            return Ok(Ended::Unchanged);
        }
        if !draft.forced {
            self.check_active_version()?;
            self.requests.at(Step::TryOut);
            let (found, refused) = self.try_out(&plugin)?;
            draft.try_out = Some(found);
            // Of a dry run the findings are what was asked for.
            if let Some(reason) = refused {
                return Err((Step::TryOut, reason));
            }
        }
        if dry_run {
            return Ok(Ended::Tried);
        }
        self.check_active_version()?;
        self.keep(&version, bytes);
        self.switch(plugin, (version, contract), Some(self.policy.probation), draft, answer, shutdown)
    }

    /// Refuses while the active version is to be rolled back: the workers wait for that, and the way back from a new version
    /// would lead to it.
    fn check_active_version(&self) -> Result<(), Refused> {
        if !self.slot.is_withdrawn(self.current.speaker.term) {
            return Ok(());
        }
        let reason = "the active version has failed its probation meanwhile and is rolled back first; ask again";
        Err((Step::Switch, reason.to_owned()))
    }

    fn try_out(&self, plugin: &Arc<W::Plugin>) -> Result<(TryOut, Option<String>), Refused> {
        let (slot, term) = (self.slot.clone(), self.current.speaker.term);
        let mut trial = Trial::until(move || slot.is_withdrawn(term));
        let mut mapper = self.loader.mapper(plugin, None)?;
        trial.map(&mut mapper, &self.slot.sample(), &self.routes);
        self.loader.run_cases(plugin, &mut trial)?;
        Ok(trial.end(self.policy.max_broken))
    }

    /// Gives every worker the version, and waits until all have taken it.
    fn switch(
        &mut self,
        plugin: Arc<W::Plugin>,
        (version, contract): (Version, &'static str),
        probation: Option<ProbationTerms>,
        draft: &mut Draft,
        answer: &mut Answer,
        shutdown: &Shutdown,
    ) -> Result<Ended, Refused> {
        self.requests.at(Step::Configure);
        let mappers = (0..self.slot.workers()).map(|worker| self.loader.mapper(&plugin, Some(worker)));
        let mappers = mappers.collect::<Result<Vec<_>, _>>()?;
        self.requests.at(Step::Switch);
        self.stop_shadow("the version that it was held against was swapped");
        let term = self.slot.journal.begin(version.clone(), draft.by, draft.forced);
        let speaker = Arc::new(ActiveVersion { term: term.number, version, contract });
        if matches!(draft.by, By::Rollback | By::Probation) {
            // What it has made and not committed is not wanted any more.
            self.slot.withdraw(self.current.speaker.term);
        }
        self.slot.begin(term.number, probation);
        let new = Held { plugin, speaker };
        self.slot.offer(mappers, &new.speaker);
        self.previous = Some(std::mem::replace(&mut self.current, new));
        let began = Instant::now();
        loop {
            let generation = self.requests.wakeup().generation();
            drop(self.slot.retired());
            let (taken, waiting) = self.slot.progress();
            if waiting.is_empty() {
                draft.taken(&taken, &self.offsets(&taken));
                let kept = self.store.as_ref().map(|store| store.path(&self.current.speaker.version.digest));
                self.loader.set_active(&self.current.plugin, draft.by, kept);
                return Ok(Ended::Swapped);
            }
            if shutdown.requested() {
                draft.taken(&taken, &self.offsets(&taken));
                return Err((
                    Step::Switch,
                    format!(
                        "the host is ending: {} of {} workers have taken it, and the others end with the old version",
                        taken.len(),
                        taken.len() + waiting.len()
                    ),
                ));
            }
            if began.elapsed() > self.policy.patience && answer.waits() {
                let mut early = draft.clone();
                early.taken(&taken, &self.offsets(&taken));
                early.reason = Some(format!(
                    "{} of {} workers have not come to the end of their transaction yet, as when Kafka does not answer; they \
                     take the new version as soon as they do. See /status",
                    waiting.len(),
                    taken.len() + waiting.len()
                ));
                answer.report(early.end(Ok(Ended::Switching)));
            }
            self.requests.wakeup().wait(generation, IDLE);
        }
    }

    /// Per partition, the offset that was the first for the new version.
    fn offsets(&self, taken: &[Taken]) -> BTreeMap<i32, Option<i64>> {
        let mut offsets: BTreeMap<i32, Option<i64>> = taken.iter().flat_map(|taken| taken.places.clone()).collect();
        // Of these nothing was fetched since they were assigned: the broker knows where they stand.
        let unknown: Vec<i32> = offsets.iter().filter(|(_, place)| place.is_none()).map(|(p, _)| *p).collect();
        if !unknown.is_empty() {
            offsets.extend(self.loader.committed(&unknown).into_iter().map(|(p, offset)| (p, Some(offset))));
        }
        offsets
    }

    /// Keeps a file for a later way back. Without it the swap is as good, so a full disk is no reason to refuse it.
    fn keep(&self, version: &Version, bytes: &[u8]) {
        let Some(store) = &self.store else { return };
        let before = self.slot.journal.read(|history| history.last().and_then(|last| last.before.clone()));
        let needed: BTreeSet<&str> =
            [self.current.speaker.version.digest.as_str()].into_iter().chain(before.as_deref()).collect();
        if let Err(error) = store.put(&version.digest, bytes, &needed) {
            tracing::warn!(%error, dir = %store.dir().display(), "the plugin could not be kept for a rollback after a restart");
        }
    }

    fn roll_back(&mut self, (to, from): (Option<&str>, Option<&str>), mut answer: Answer, shutdown: &Shutdown) {
        let mut draft = Draft::new(By::Rollback, false, self.current.speaker.version.clone());
        let plan = self.slot.journal.read(|history| RollbackPlan::new(history, to));
        let ended = match plan {
            Err(reason) => Err((Step::Read, reason)),
            Ok(plan) if from.is_some_and(|from| from != plan.from.digest) => Err((
                Step::Read,
                format!(
                    "the active version is {} by now, another one than when this was asked for. Ask again",
                    plan.from
                ),
            )),
            Ok(plan) if plan.to.digest == plan.from.digest => {
                draft.to = Some(plan.to);
                Ok(Ended::Unchanged)
            }
            Ok(plan) => {
                // It proves again what it did not prove then.
                let probation = plan.probation_failure.map(|_| self.policy.probation);
                self.return_to(&plan.to.digest, probation, &mut draft, &mut answer, shutdown)
            }
        };
        self.finish(draft, ended, answer);
    }

    /// Swaps to a version that was active before.
    fn return_to(
        &mut self,
        digest: &str,
        probation: Option<ProbationTerms>,
        draft: &mut Draft,
        answer: &mut Answer,
        shutdown: &Shutdown,
    ) -> Result<Ended, Refused> {
        self.requests.at(Step::Read);
        let previous = self.previous.take().filter(|held| held.speaker.version.digest == digest);
        let plugin = match previous {
            Some(held) => held.plugin,
            None => {
                let store = self.store.as_ref().ok_or_else(|| {
                    let reason = format!(
                        "version {digest} is not in memory any more, and there is no --state-dir to read it from"
                    );
                    (Step::Read, reason)
                })?;
                let bytes = store.get(digest).map_err(|error| {
                    let dir = store.dir().display();
                    (Step::Read, format!("version {digest} can't be read from {dir}: {error}"))
                })?;
                self.requests.at(Step::Compile);
                Arc::new(self.loader.load(&bytes)?)
            }
        };
        let who = self.loader.identify(&plugin);
        draft.to = Some(who.0.clone());
        self.switch(plugin, who, probation, draft, answer, shutdown)
    }

    fn look_after_probation(&mut self, shutdown: &Shutdown) {
        let version = self.current.speaker.version.to_string();
        match self.slot.decided(self.current.speaker.term) {
            None | Some(Standing::On) => {}
            Some(Standing::Passed) => tracing::info!(version, "the new version has passed its probation"),
            Some(Standing::Failed(reason)) => {
                tracing::error!(version, reason, "the new version does not pass its probation and is rolled back");
                self.withdraw(reason, shutdown);
            }
        }
    }

    /// Returns from a version that failed its probation.
    fn withdraw(&mut self, reason: String, shutdown: &Shutdown) {
        let term = self.current.speaker.term;
        self.slot.journal.probation_failed(term, &reason);
        let mut draft = Draft::new(By::Probation, false, self.current.speaker.version.clone());
        let mut answer = Answer::nobody();
        self.requests.occupy();
        let ended = match self.slot.journal.read(previous) {
            Ok(version) => self.return_to(&version.digest, None, &mut draft, &mut answer, shutdown),
            Err(reason) => Err((Step::Read, reason)),
        };
        if ended.is_err() {
            // A version that fails on some records is better than none.
            self.slot.reinstate(term);
        }
        draft.reason = Some(reason);
        self.finish(draft, ended, answer);
    }

    fn start_shadow(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        if self.shadow.as_ref().is_some_and(Shadow::is_running) {
            return Err((
                Step::Read,
                "a shadow is running already; stop it first (mapper-host shadow --stop)".to_owned(),
            ));
        }
        self.requests.at(Step::Compile);
        let plugin = Arc::new(self.loader.load(bytes)?);
        let (version, _) = self.loader.identify(&plugin);
        self.requests.at(Step::Configure);
        let mapper = self.loader.mapper(&plugin, None)?;
        let against = self.current.speaker.version.clone();
        tracing::info!(version = %version, against = %against, "a shadow begins");
        let shadow = Shadow::start(mapper, (version, against), self.routes.clone(), self.slot.clone());
        let shadow = shadow.map_err(|error| (Step::Configure, format!("no thread for it: {error}")))?;
        self.requests.shadow(shadow.view());
        self.shadow = Some(shadow);
        Ok(())
    }

    fn look_after_shadow(&mut self) {
        if self.shadow.as_ref().is_some_and(|shadow| !shadow.is_running()) {
            self.stop_shadow("");
        }
    }

    fn stop_shadow(&mut self, why: &str) {
        if let Some(shadow) = self.shadow.take() {
            shadow.stop(why);
            tracing::info!(why, "the shadow has ended");
        }
    }
}

#[cfg(test)]
mod tests;
