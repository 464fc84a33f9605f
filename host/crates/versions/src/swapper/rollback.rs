//! Rollbacks: a client requests one, or a version fails its probation.

use super::*;
use crate::rollback::{plan_rollback, previous};

impl<L: VersionLoader> Swapper<L> {
    /// Activates `to`, or the version before. `from` is the digest that the client expects to be active.
    pub(super) fn roll_back(
        &mut self,
        to: Option<&str>,
        from: Option<&str>,
        draft: &mut Draft,
        answer: &mut Answer,
        shutdown: &Shutdown,
    ) -> Result<SwapOutcome, Refusal> {
        let plan = self.slot.journal.read(|history| plan_rollback(history, to));
        let plan = plan.map_err(|reason| Refusal::new(Step::Read, reason))?;
        if from.is_some_and(|from| from != plan.from.digest) {
            let reason = format!(
                "the active version is {} now, not the version that the request expects. Repeat the request",
                plan.from
            );
            return Err(Refusal::new(Step::Read, reason));
        }
        if plan.to.digest == plan.from.digest {
            draft.to = Some(plan.to);
            return Ok(SwapOutcome::Unchanged);
        }
        // A version that failed its probation gets another one.
        let probation = plan.probation_failure.map(|_| self.context.policy.probation);
        self.activate_earlier_version(&plan.to.digest, probation, draft, answer, shutdown)
    }

    fn activate_earlier_version(
        &mut self,
        digest: &str,
        probation: Option<ProbationSettings>,
        draft: &mut Draft,
        answer: &mut Answer,
        shutdown: &Shutdown,
    ) -> Result<SwapOutcome, Refusal> {
        self.requests.set_step(Step::Read);
        let previous = self.previous.take().filter(|previous| previous.active.version.digest == digest);
        let plugin = match previous {
            Some(previous) => previous.plugin,
            None => self.load_from_store(digest)?,
        };
        draft.to = Some(self.loader.identity(&plugin).into());
        self.switch(plugin, probation, draft, answer, shutdown)
    }

    fn load_from_store(&self, digest: &str) -> Result<Arc<L::Plugin>, Refusal> {
        let store = self.context.store.as_ref().ok_or_else(|| {
            let reason =
                format!("version {digest} is not in memory any more, and there is no --state-dir to read it from");
            Refusal::new(Step::Read, reason)
        })?;
        let bytes = store.read(digest).map_err(|error| {
            let dir = store.dir().display();
            Refusal::new(Step::Read, format!("version {digest} can't be read from {dir}: {error}"))
        })?;
        self.requests.set_step(Step::Compile);
        self.loader.load(&bytes).map(Arc::new)
    }

    pub(super) fn roll_back_failed_probation(&mut self, reason: String, shutdown: &Shutdown) {
        let term = self.current.active.term;
        self.slot.journal.record_probation_failure(term, &reason);
        let mut draft = Draft::new(Trigger::Probation, false, self.current.active.version.clone());
        let mut answer = Answer::without_client();
        self.requests.set_step(Step::Read);
        let result = match self.slot.journal.read(previous) {
            Ok(version) => self.activate_earlier_version(&version.digest, None, &mut draft, &mut answer, shutdown),
            Err(reason) => Err(Refusal::new(Step::Read, reason)),
        };
        if result.is_err() {
            // There is no version to activate. A version that fails on some records is better than no version.
            self.slot.reinstate(term);
        }
        draft.reason = Some(reason);
        self.finish(draft, result, answer);
    }
}
