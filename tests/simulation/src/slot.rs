//! The version slot of a simulated worker: the real one, with a count of the verdicts that it is told about.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

use mapper_core::counts::Counts;
use mapper_core::decision::Decision;
use mapper_core::identity::ActiveVersion;
use mapper_core::record::{Batch, Positions, Record, SourcePositions};
use mapper_core::verdict::{FailureKind, Verdicts};
use mapper_pipeline::VersionSlot;
use mapper_versions::WorkerSlot;

use crate::guest::Guest;

/// Verdicts in a step: those that the mapper has given, less those that the versions were told about. A verdict that counts twice
/// makes it negative.
pub(crate) type UncountedVerdicts = Rc<Cell<i64>>;

/// A [`WorkerSlot`] that counts verdicts.
pub(crate) struct CountingSlot {
    pub(crate) slot: WorkerSlot<Guest>,
    pub(crate) uncounted: UncountedVerdicts,
}

impl VersionSlot for CountingSlot {
    type Mapper = Guest;

    fn active(&self) -> &ActiveVersion {
        self.slot.active()
    }

    fn is_due(&self) -> bool {
        self.slot.is_due()
    }

    fn is_withdrawn(&self) -> bool {
        self.slot.is_withdrawn()
    }

    fn is_on_probation(&self) -> bool {
        self.slot.is_on_probation()
    }

    fn is_visible_at_once(&self) -> bool {
        self.slot.is_visible_at_once()
    }

    fn is_withdrawn_by(&mut self, crash: FailureKind) -> bool {
        self.slot.is_withdrawn_by(crash)
    }

    fn take(&mut self, mapper: &mut Guest, positions: SourcePositions) -> Option<&ActiveVersion> {
        self.slot.take(mapper, positions)
    }

    fn began(&mut self, first: &Positions) {
        self.slot.began(first);
    }

    fn committing(&mut self, next: &Positions) {
        self.slot.committing(next);
    }

    fn committed(&mut self, next: &Positions, counts: &Counts) {
        self.slot.committed(next, counts);
    }

    fn rewound(&mut self, positions: &SourcePositions) {
        self.slot.rewound(positions);
    }

    fn assigned(&mut self, positions: &SourcePositions) {
        self.slot.assigned(positions);
    }

    fn record_judged(&mut self, failure: Option<FailureKind>) {
        self.uncounted.set(self.uncounted.get() - 1);
        self.slot.record_judged(failure);
    }

    fn record_decided(&mut self, record: Record<'_>, decision: &Decision<'_>) {
        self.slot.record_decided(record, decision);
    }

    fn batch_judged(&mut self) {
        self.slot.batch_judged();
    }

    fn offer_to_shadow(&self, batch: &Batch, records: Range<usize>, verdicts: &mut Verdicts) {
        self.slot.offer_to_shadow(batch, records, verdicts);
    }
}
