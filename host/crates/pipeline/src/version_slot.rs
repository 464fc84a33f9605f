//! What a pipeline needs of versions: it takes a new one between two transactions, and reports what the active one has done.

use std::ops::Range;

use mapper_core::decision::Decision;
use mapper_core::identity::ActiveVersion;
use mapper_core::record::{Batch, Positions, Record, SourcePositions};
use mapper_core::verdict::{FailureKind, Verdicts};

/// Where a worker finds the next version of its mapper, and reports what the active version does.
pub trait VersionSlot {
    /// The mappers of all versions.
    type Mapper;

    /// The active version.
    fn active(&self) -> &ActiveVersion;

    /// Whether another version waits.
    fn is_due(&self) -> bool;

    /// Whether the active version must not map any more, as the version before it comes back.
    fn is_withdrawn(&self) -> bool;

    /// Whether the active version is on probation.
    fn is_on_probation(&self) -> bool;

    /// Whether outputs are visible before they are committed, so that an abort does not undo them.
    fn is_visible_at_once(&self) -> bool;

    /// Whether the active version is withdrawn, also because of this crash on a record that has no dead letter yet. Then the
    /// record gets none: the next version maps it.
    fn is_withdrawn_by(&mut self, crash: FailureKind) -> bool;

    /// Replaces the mapper by the one that waits; everything before `positions` is committed. Returns the version that is
    /// active from now on, if one waited.
    fn take(&mut self, mapper: &mut Self::Mapper, positions: SourcePositions) -> Option<&ActiveVersion>;

    /// The first records of a transaction, before the mapper gets them. If outputs are visible at once, returns when the
    /// history of versions is durable.
    fn began(&mut self, first: &Positions);

    /// All up to these offsets is about to be committed. Returns when the history of versions is durable.
    fn committing(&mut self, next: &Positions);

    /// All up to these offsets is committed.
    fn committed(&mut self, next: &Positions, counts: &mapper_core::counts::Counts);

    /// The source is back at these committed offsets, whatever was answered to a commit before.
    fn rewound(&mut self, positions: &SourcePositions);

    /// The worker has these partitions now.
    fn assigned(&mut self, positions: &SourcePositions);

    /// The active version has judged a record: how it failed, if it did.
    fn record_judged(&mut self, failure: Option<FailureKind>);

    /// What is done with a record that was judged.
    fn record_decided(&mut self, record: Record<'_>, decision: &Decision<'_>);

    /// The records that were judged since the last call are complete.
    fn batch_judged(&mut self);

    /// Offers some records of a batch to a shadow version, with the verdicts on them, which it may take.
    fn offer_to_shadow(&self, batch: &Batch, records: Range<usize>, verdicts: &mut Verdicts);
}
