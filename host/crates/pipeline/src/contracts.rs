//! What the loop is written against: where records come from, what maps them, and where they go.

use std::ops::Range;
use std::time::Duration;

pub use mapper_core::rejection::RejectionCause;

pub use crate::error::{Rejection, SinkError, SourceError};

use mapper_core::decision::{RouteIndex, TopicLimits};
use mapper_core::record::{Batch, Header, Position, Positions, SourcePositions};
use mapper_core::topics::TopicId;
use mapper_core::verdict::Verdicts;

/// The target under which each step of the loop is logged, at the level trace, once it is done.
pub const STEP: &str = "step";

/// What a fetch brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The batch has records.
    Records,
    /// Nothing within the time.
    Idle,
    /// Partitions are about to come; they do with [`Source::settle`].
    Assigned,
    /// Partitions are about to go; they do with [`Source::settle`]. If they are `lost`, another member has them already.
    Revoked {
        /// Whether it is too late to commit.
        lost: bool,
    },
    /// The topic was deleted and created again; nothing of the new one was handed on. [`Source::settle`] begins to read it.
    TopicRecreated {
        /// The numbers of partitions that the new topic does not have, as far as that is known.
        missing: Range<i32>,
    },
    /// A partition does not have the offset that is to be read next. [`Source::settle`] goes on where there are records.
    OffsetOutOfRange,
}

/// What a source knows of the offsets of a partition that the next commit advances, for the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommittedRange {
    /// The committed offset; `None` if nothing is committed.
    pub committed: Option<i64>,
    /// Whether the partition lost records, so that the committed offset went back.
    pub is_truncated: bool,
    /// Offsets that were removed before the source read them.
    pub missed: Range<i64>,
    /// The id of the topic of the committed offset, if it is known.
    pub topic_id: Option<TopicId>,
}

/// The input topics.
pub trait Source {
    /// Replaces the batch with the next records, `most` of them at most; waits for the first one only. Returns the same
    /// rebalance, or what else is to be settled, until it is settled.
    ///
    /// # Errors
    /// See [`SourceError`].
    fn fetch(&mut self, batch: &mut Batch, most: usize, wait: Duration) -> Result<Fetched, SourceError>;

    /// Like a fetch, but brings no records: for when none are wanted, yet the group must be answered.
    ///
    /// # Errors
    /// See [`SourceError`].
    fn attend(&mut self, wait: Duration) -> Result<Fetched, SourceError>;

    /// Carries out what the last fetch announced: a rebalance, or a change of what the topic holds.
    ///
    /// # Errors
    /// See [`SourceError`].
    fn settle(&mut self) -> Result<(), SourceError>;

    /// Goes back to the committed offsets of these partitions, or where nothing was ever committed, to the offsets given.
    ///
    /// # Errors
    /// See [`SourceError`].
    fn rewind(&mut self, firsts: &Positions) -> Result<(), SourceError>;

    /// The ends of partitions that were read to their end, where transactions left more than records: beyond the last committed
    /// offset there is nothing but their markers. All records before must be committed. An end that is committed is no longer among them.
    fn uncommitted_ends(&mut self) -> Positions;

    /// Offsets beyond the last record that was fetched, up to which there is nothing to do, once all of this source's work
    /// is done; `None` as long as it isn't, or if it never is.
    fn finished(&mut self) -> Option<Positions>;

    /// Where the next record of each partition is that this source has now; `None` when it has fetched none yet.
    fn positions(&self) -> SourcePositions;

    /// What is committed of a partition, for the ledger.
    fn committed_range(&self, partition: i32) -> CommittedRange;
}

/// The longest time that [`Mapper::prepare`] takes.
pub const PREPARE_LIMIT: Duration = Duration::from_secs(10);

/// Why a mapper can map no record now, such as a schema registry that does not answer. No record is to blame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// The reason, for an operator.
    pub reason: String,
}

/// From record to verdict. Whatever happens in there, each record gets its verdict.
pub trait Mapper {
    /// Gets what the mapper needs for these records from elsewhere, within [`PREPARE_LIMIT`]. After an error, the loop waits, serves the group meanwhile,
    /// and asks again.
    ///
    /// # Errors
    /// If it can't be had now.
    fn prepare(&mut self, _batch: &Batch, _records: Range<usize>) -> Result<(), Unavailable> {
        Ok(())
    }

    /// Adds verdicts on the first of these records of the batch, on one at least, in order: on all, or up to and including the
    /// first that made a call fail. That may have taken its time, and what is done about it may be to leave the others alone.
    /// Or on as many as have outputs that should be held at once.
    fn map_until_failure(&mut self, batch: &Batch, records: Range<usize>, verdicts: &mut Verdicts);

    /// Adds one verdict per record of the batch, in order.
    fn map(&mut self, batch: &Batch, verdicts: &mut Verdicts) {
        let before = verdicts.len();
        while verdicts.len() - before < batch.len() {
            self.map_until_failure(batch, verdicts.len() - before..batch.len(), verdicts);
        }
    }
}

/// One record to produce.
pub struct Outgoing<'a> {
    /// The input record that it was made of.
    pub input: Position,
    /// Where to.
    pub route: RouteIndex,
    /// `None` is Kafka's null.
    pub key: Option<&'a [u8]>,
    /// `None` is Kafka's null.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since 1970, or [`NO_TIMESTAMP`](mapper_core::record::NO_TIMESTAMP); `None` is now.
    pub timestamp_ms: Option<i64>,
}

/// Where outputs, dead letters and offsets go.
pub trait Sink {
    /// Begins a transaction.
    ///
    /// # Errors
    /// See [`SinkError`].
    fn begin(&mut self) -> Result<(), SinkError>;

    /// Adds a record, with its headers in order, to the transaction.
    ///
    /// # Errors
    /// See [`SinkError`].
    fn send<'h>(
        &mut self,
        record: Outgoing<'_>,
        headers: &mut dyn Iterator<Item = Header<'h>>,
    ) -> Result<(), SinkError>;

    /// Commits the records and the offsets, both or neither.
    ///
    /// # Errors
    /// See [`SinkError`]; then whether it was committed is only known after [`Sink::abort`].
    fn commit(&mut self, next: &Positions) -> Result<(), SinkError>;

    /// Leaves nothing of the transaction behind, if it is not committed.
    ///
    /// # Errors
    /// See [`SinkError`].
    fn abort(&mut self) -> Result<(), SinkError>;

    /// What the topics take now, in the order of the routes, as far as the broker says. May take its time.
    fn topic_limits(&mut self) -> Vec<Option<TopicLimits>>;
}

/// Where a source is in one of its partitions. Offsets are those of the next record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionPosition {
    /// The partition.
    pub partition: i32,
    /// The record to be fetched next; `None` until one was fetched.
    pub position: Option<i64>,
    /// The end of the partition (its high watermark); `None` until the source knows it.
    pub end: Option<i64>,
}

/// Gets what a source knows of its group and of its partitions.
pub trait SourceObserver: Send + Sync {
    /// Whether the source is a member of the group now.
    fn set_member(&self, is_member: bool);

    /// The partitions that the source has now, and where it is in each.
    fn set_positions(&self, positions: &mut dyn Iterator<Item = PartitionPosition>);
}
