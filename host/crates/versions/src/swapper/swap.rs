//! The steps of a swap: load the plugin, try it out, and switch each worker between two transactions.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::slot::Switched;
use crate::tryout::Trial;
use mapper_api::versions::TryOut;
use mapper_core::identity::ActiveVersion;
use mapper_core::partition_key::PartitionKey;

impl<L: VersionLoader> Swapper<L> {
    pub(super) fn swap(
        &mut self,
        bytes: &[u8],
        dry_run: bool,
        draft: &mut Draft,
        answer: &mut Answer,
        shutdown: &Shutdown,
    ) -> Result<SwapOutcome, Refusal> {
        self.requests.set_step(Step::Compile);
        if self.context.store.is_some() {
            // Only the active and the new version are in memory. The store has the version before.
            self.previous = None;
        }
        let plugin = Arc::new(self.loader.load(bytes)?);
        let version = Version::from(self.loader.identity(&plugin));
        draft.to = Some(version.clone());
        if version.digest == self.current.active.version.digest {
            return Ok(SwapOutcome::Unchanged);
        }
        if !draft.forced {
            self.check_active_version()?;
            self.requests.set_step(Step::TryOut);
            let (found, refused) = self.try_out(&plugin)?;
            draft.try_out = Some(found);
            if let Some(reason) = refused {
                return Err(Refusal::new(Step::TryOut, reason));
            }
        }
        if dry_run {
            return Ok(SwapOutcome::Tried);
        }
        self.check_active_version()?;
        self.store_plugin(&version, bytes);
        self.switch(plugin, Some(self.context.policy.probation), draft, answer, shutdown)
    }

    /// Refuses a swap while the workers wait for a rollback. A rollback from the new version would activate the failed one.
    fn check_active_version(&self) -> Result<(), Refusal> {
        if !self.slot.is_withdrawn(self.current.active.term) {
            return Ok(());
        }
        let reason =
            "the active version has failed its probation and is being rolled back. Try again after the rollback";
        Err(Refusal::new(Step::Switch, reason))
    }

    fn try_out(&self, plugin: &Arc<L::Plugin>) -> Result<(TryOut, Option<String>), Refusal> {
        let (slot, term) = (self.slot.clone(), self.current.active.term);
        let mut trial = Trial::with_cancellation(move || slot.is_withdrawn(term));
        let mut mapper = self.loader.create_mapper(plugin, None)?;
        trial.map(&mut mapper, &self.slot.sample(), &self.context.routes);
        self.loader.run_cases(plugin, &mut trial)?;
        Ok(trial.finish(self.context.policy.max_broken))
    }

    /// Gives each worker a mapper of the plugin, and waits until all have switched.
    pub(super) fn switch(
        &mut self,
        plugin: Arc<L::Plugin>,
        probation: Option<ProbationSettings>,
        draft: &mut Draft,
        answer: &mut Answer,
        shutdown: &Shutdown,
    ) -> Result<SwapOutcome, Refusal> {
        self.requests.set_step(Step::Configure);
        let mappers = (0..self.slot.workers()).map(|worker| self.loader.create_mapper(&plugin, Some(worker)));
        let mappers = mappers.collect::<Result<Vec<_>, _>>()?;
        self.requests.set_step(Step::Switch);
        self.stop_shadow("the version that it was held against was swapped");
        let identity = self.loader.identity(&plugin);
        let term = self.slot.journal.begin(identity.into(), draft.by, draft.forced);
        let active = Arc::new(ActiveVersion { term: term.number, version: term.version, contract: identity.contract });
        if matches!(draft.by, Trigger::Rollback | Trigger::Probation) {
            // The workers abort the transactions of the old version.
            self.slot.withdraw(self.current.active.term);
        }
        self.slot.begin(term.number, probation);
        self.slot.offer(mappers, &active);
        self.previous = Some(std::mem::replace(&mut self.current, LoadedVersion { plugin, active }));
        self.wait_for_workers(draft, answer, shutdown)
    }

    fn wait_for_workers(
        &self,
        draft: &mut Draft,
        answer: &mut Answer,
        shutdown: &Shutdown,
    ) -> Result<SwapOutcome, Refusal> {
        let began = Instant::now();
        loop {
            let generation = self.requests.wakeup().generation();
            drop(self.slot.take_retired());
            let (switched, waiting) = self.slot.progress();
            let workers = switched.len() + waiting.len();
            if waiting.is_empty() {
                draft.set_switched(&switched, self.first_offsets(&switched));
                let stored = self.context.store.as_ref().map(|store| store.path(&self.current.active.version.digest));
                self.loader.set_active(&self.current.plugin, draft.by, stored);
                return Ok(SwapOutcome::Swapped);
            }
            if shutdown.requested() {
                draft.set_switched(&switched, self.first_offsets(&switched));
                let switched = switched.len();
                return Err(Refusal::new(
                    Step::Switch,
                    format!(
                        "the host is ending: {switched} of {workers} workers have switched, the others end with the old version"
                    ),
                ));
            }
            if began.elapsed() > self.context.policy.answer_timeout && answer.is_open() {
                let mut early = draft.clone();
                early.set_switched(&switched, self.first_offsets(&switched));
                early.reason = Some(format!(
                    "{} of {workers} workers have not ended their transaction yet, for example because Kafka does not \
                     answer. They switch when it ends. See /status",
                    waiting.len()
                ));
                answer.send_report(early.finish(Ok(SwapOutcome::Switching)));
            }
            self.requests.wakeup().wait(generation, IDLE);
        }
    }

    /// The first offset of the new version in each partition.
    fn first_offsets(&self, switched: &[Switched]) -> BTreeMap<PartitionKey, Option<i64>> {
        let positions = switched.iter().flat_map(|switched| switched.positions.clone());
        let mut offsets: BTreeMap<i32, Option<i64>> = positions.collect();
        // The worker has fetched nothing of these partitions since their assignment. So the committed offset is the first.
        let unknown: Vec<i32> = offsets.iter().filter(|(_, offset)| offset.is_none()).map(|(p, _)| *p).collect();
        if !unknown.is_empty() {
            offsets.extend(self.loader.read_committed(&unknown).into_iter().map(|(p, offset)| (p, Some(offset))));
        }
        let topics = self.slot.topics.names();
        offsets.into_iter().map(|(number, offset)| (PartitionKey::new(&topics, number), offset)).collect()
    }

    /// Stores a plugin for a later rollback. An error, such as a full disk, does not refuse the swap.
    pub(super) fn store_plugin(&self, version: &Version, bytes: &[u8]) {
        let Some(store) = &self.context.store else { return };
        let before = self.slot.journal.read(|history| history.last().and_then(|last| last.before.clone()));
        let needed: BTreeSet<&str> =
            [self.current.active.version.digest.as_str()].into_iter().chain(before.as_deref()).collect();
        if let Err(error) = store.put(&version.digest, bytes, &needed) {
            tracing::warn!(%error, dir = %store.dir().display(), "failed to store the plugin; a rollback after a restart needs it");
        }
    }
}
