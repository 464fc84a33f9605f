//! The only version of a redrive.

use std::marker::PhantomData;
use std::ops::Range;

use mapper_core::counts::Counts;
use mapper_core::decision::Decision;
use mapper_core::identity::ActiveVersion;
use mapper_core::record::{Batch, Positions, Record, SourcePositions};
use mapper_core::verdict::{FailureKind, Verdicts};
use mapper_pipeline::VersionSlot;

/// A version that is never exchanged.
pub(super) struct FixedVersion<M> {
    active: ActiveVersion,
    mapper: PhantomData<M>,
}

impl<M> FixedVersion<M> {
    pub(super) fn new(active: ActiveVersion) -> Self {
        Self { active, mapper: PhantomData }
    }
}

impl<M> VersionSlot for FixedVersion<M> {
    type Mapper = M;

    fn active(&self) -> &ActiveVersion {
        &self.active
    }

    fn is_due(&self) -> bool {
        false
    }

    fn is_withdrawn(&self) -> bool {
        false
    }

    fn is_on_probation(&self) -> bool {
        false
    }

    fn is_visible_at_once(&self) -> bool {
        false
    }

    fn is_withdrawn_by(&mut self, _crash: FailureKind) -> bool {
        false
    }

    fn take(&mut self, _mapper: &mut M, _positions: SourcePositions) -> Option<&ActiveVersion> {
        None
    }

    fn began(&mut self, _first: &Positions) {}

    fn committing(&mut self, _next: &Positions) {}

    fn committed(&mut self, _next: &Positions, _counts: &Counts) {}

    fn rewound(&mut self, _positions: &SourcePositions) {}

    fn assigned(&mut self, _positions: &SourcePositions) {}

    fn record_judged(&mut self, _failure: Option<FailureKind>) {}

    fn record_decided(&mut self, _record: Record<'_>, _decision: &Decision<'_>) {}

    fn batch_judged(&mut self) {}

    fn offer_to_shadow(&self, _batch: &Batch, _records: Range<usize>, _verdicts: &mut Verdicts) {}
}
