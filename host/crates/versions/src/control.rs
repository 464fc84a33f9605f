//! The interface of the admin server to versions: requests, status and history.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use mapper_api::recent::RecentRecords;
use mapper_api::versions::{ProbationStatus, RollbackPlan, SpanView, TermView, Versions};

use mapper_core::decision::Routes;
use mapper_core::partition_key::PartitionKey;

use super::history::{Span, Term};
use super::recent::{RecentFilter, recent_records};
use super::rollback::plan_rollback;
use super::sample::{Sampled, position};
use super::slot::Slot;
use super::store::Store;
use super::swapper::RequestQueue;
use super::uploads::Uploads;

/// The versions of a running host.
pub struct Control<M> {
    pub requests: Arc<RequestQueue>,
    pub uploads: Uploads,
    pub(super) slot: Arc<Slot<M>>,
    pub(super) routes: Arc<Routes>,
    /// The plugins that are kept for rollbacks; `None` without a state folder.
    pub store: Option<Store>,
}

impl<M> fmt::Debug for Control<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl<M> Control<M> {
    pub fn new(requests: Arc<RequestQueue>, slot: Arc<Slot<M>>, routes: Arc<Routes>, store: Option<Store>) -> Self {
        Self { requests, uploads: Uploads::default(), slot, routes, store }
    }

    pub fn status(&self) -> Option<Versions> {
        let term = self.slot.journal.read(|history| history.last().cloned())?;
        let probation = self.slot.probation().map(|probation| {
            let counts = probation.counts();
            ProbationStatus {
                records: counts.records,
                max_records: probation.max_records(),
                failed: counts.failed,
                ratio_before: probation.baseline_ratio(),
            }
        });
        Some(Versions {
            current: term.version,
            since: term.since,
            by: term.by,
            before: term.before,
            swapping: self.requests.current_step(),
            last: self.requests.last_report(),
            probation,
            shadow: self.requests.shadow_view().map(|view| view.status()),
            history_error: self.slot.journal.error(),
        })
    }

    /// Plans a rollback, see [`plan_rollback`].
    ///
    /// # Errors
    /// As [`plan_rollback`].
    pub fn rollback_plan(&self, to: Option<&str>) -> Result<RollbackPlan, String> {
        self.slot.journal.read(|history| plan_rollback(history, to))
    }

    /// The sampled records that the filter selects, the latest first.
    pub fn recent(&self, filter: &RecentFilter) -> RecentRecords {
        recent_records(self.slot.sample(), filter, &self.routes)
    }

    /// The sampled record at `TOPIC/PARTITION@OFFSET`; `None` if newer ones have replaced it.
    pub fn sampled(&self, at: &str) -> Option<Arc<Sampled>> {
        self.slot.sample().into_iter().find(|sampled| position(sampled.record()) == at)
    }

    /// The topics of outputs and dead letters.
    pub fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// The first input topic.
    pub fn input_topic(&self) -> Arc<str> {
        self.slot.topics.names().all().first().cloned().unwrap_or_else(|| "".into())
    }

    /// All terms, the latest one first.
    pub fn history(&self) -> Vec<TermView> {
        let topics = self.slot.topics.names();
        self.slot.journal.read(|history| {
            let last = history.last().map(|last| last.number);
            let view = |term: &Term| {
                let mut offsets: BTreeMap<PartitionKey, Vec<SpanView>> = BTreeMap::new();
                for (partition, Span { from, to, reached, .. }) in history.spans(term.number) {
                    let span = SpanView { from: *from, to: *to, reached: *reached };
                    offsets.entry(PartitionKey::new(&topics, partition)).or_default().push(span);
                }
                let Term { number, version, since, by, forced, before, probation_failure, tally, recreations } =
                    term.clone();
                TermView {
                    number,
                    version,
                    since,
                    by,
                    forced,
                    before,
                    probation_failure,
                    tally,
                    recreations: recreations.into(),
                    current: Some(number) == last,
                    offsets,
                }
            };
            history.terms().rev().map(view).collect()
        })
    }
}
