//! The interface of the admin server to versions: requests, status and history.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::history::{Span, Term};
use super::report::{ProbationStatus, Status};
use super::rollback::RollbackPlan;
use super::slot::Slot;
use super::swapper::RequestQueue;
use super::uploads::Uploads;

/// The versions of a running host.
pub struct Control<M> {
    pub requests: Arc<RequestQueue>,
    pub uploads: Uploads,
    pub(super) slot: Arc<Slot<M>>,
}

/// The time in which a version was active: an entry of `GET /history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TermView {
    /// The term.
    #[serde(flatten)]
    pub term: Term,
    /// Whether it is the present one.
    pub current: bool,
    /// Per partition, the offsets that the version mapped, in the order of time.
    pub offsets: BTreeMap<i32, Vec<SpanView>>,
}

/// A range of offsets of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpanView {
    /// The first offset.
    pub from: i64,
    /// The offset after the last; null while the range is open, and after a crash.
    pub to: Option<i64>,
    /// The offset up to which the range is committed.
    pub reached: i64,
}

impl<M> fmt::Debug for Control<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl<M> Control<M> {
    pub fn new(requests: Arc<RequestQueue>, slot: Arc<Slot<M>>) -> Self {
        Self { requests, uploads: Uploads::default(), slot }
    }

    pub fn status(&self) -> Option<Status> {
        let term = self.slot.journal.read(|history| history.last().cloned())?;
        let probation = self.slot.probation().map(|probation| {
            let counts = probation.counts();
            ProbationStatus {
                records: counts.records,
                of: probation.max_records(),
                failed: counts.failed,
                ratio_before: probation.baseline_ratio(),
            }
        });
        Some(Status {
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

    /// Plans a rollback, see [`RollbackPlan::new`].
    ///
    /// # Errors
    /// As [`RollbackPlan::new`].
    pub fn rollback_plan(&self, to: Option<&str>) -> Result<RollbackPlan, String> {
        self.slot.journal.read(|history| RollbackPlan::new(history, to))
    }

    /// All terms, the latest one first.
    pub fn history(&self) -> Vec<TermView> {
        self.slot.journal.read(|history| {
            let last = history.last().map(|last| last.number);
            let view = |term: &Term| {
                let mut offsets: BTreeMap<i32, Vec<SpanView>> = BTreeMap::new();
                for (partition, Span { from, to, reached, .. }) in history.spans(term.number) {
                    let span = SpanView { from: *from, to: *to, reached: *reached };
                    offsets.entry(partition).or_default().push(span);
                }
                TermView { term: term.clone(), current: Some(term.number) == last, offsets }
            };
            history.terms().rev().map(view).collect()
        })
    }
}
