//! What a plan consists of, and what the driver does.

use std::ops::Range;
use std::time::Duration;

use crate::error::{Rejection, SinkError};
use mapper_core::record::Positions;
use mapper_core::shutdown::Halt;

/// What the driver does next. Each is about a batch or a transaction, none about a single record.
#[derive(Debug)]
pub(crate) enum Action {
    /// Exchange the mapper for the one that waits.
    TakeVersion,
    /// Fetch a batch.
    Fetch {
        /// The most records.
        most: usize,
        /// How long to wait for the first record.
        wait: Duration,
    },
    /// Answer the group, without fetching a record.
    Attend(Duration),
    /// Carry out what the source has announced.
    Settle,
    /// Ask the source whether it is finished.
    CheckFinished,
    /// Tell the history of versions which records of the batch the active version begins with.
    BeginBatch,
    /// Have some records of the batch judged, and carry out the verdicts.
    Judge(Range<usize>),
    /// Make dead letters of the pending failures.
    FlushPending,
    /// Commit the transaction.
    Commit,
    /// Ask the source for the ends of partitions that were read to their end.
    CheckEnds,
    /// Abort the transaction.
    Abort(AbortReason),
    /// Rewind the source to the committed offsets.
    Rewind,
    /// Forget everything since the last commit.
    Discard,
    /// Tell the history of versions that the source is at the committed offsets.
    RewindHistory,
    /// End what the history of versions says of the assigned partitions, as their offsets will stand for other records.
    EndHistory,
    /// Choose another way to write the records that the broker rejected.
    NoteRejections(Vec<Rejection>),
    /// Read what the topics take.
    RefreshLimits,
    /// Report that the breaker is open, for this reason.
    OpenBreaker(String),
    /// Wait, but not beyond a shutdown.
    Backoff(Duration),
    /// End: everything that can be done is done.
    Finish,
    /// End for a reason that a person must look at.
    Halt(Halt),
}

/// Why a transaction is aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AbortReason {
    /// Its partitions are lost.
    PartitionsLost,
    /// Too many records failed.
    ErrorRatio,
    /// The version that made it is withdrawn.
    VersionWithdrawn,
    /// It has only dead letters of the records that open the breaker.
    BreakerTripped,
    /// Something failed.
    Failure,
}

impl AbortReason {
    /// The reason in words.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::PartitionsLost => "its partitions are lost",
            Self::ErrorRatio => "too many records failed",
            Self::VersionWithdrawn => "its version is withdrawn",
            Self::BreakerTripped => "the breaker opens, and it has only the records that failed",
            Self::Failure => "it failed; its records are mapped again",
        }
    }
}

/// A task of a plan.
#[derive(Debug)]
pub(super) enum Task {
    /// This action, in any case.
    Do(Action),
    /// Recover from this failure.
    Fail(SinkError),
    /// Commit, if the active version is withdrawn.
    CommitWithdrawn,
    /// Exchange the mapper, if another one waits. A transaction holds outputs of one version only, so what there is of the old
    /// one is committed first; pending failures are for the new one to judge.
    TakeVersion,
    /// Rewind, if there are pending failures.
    RewindPending,
    /// Ask the source for a batch, or for what else there is.
    Receive,
    /// Have the next records of the batch judged.
    Judge,
    /// Make dead letters of the pending failures, if there are any.
    FlushPending,
    /// Commit up to these offsets, too: there are no records before them.
    Advance(Positions),
    /// Commit no offset of these partitions: the topic has them no longer.
    DropPartitions(Range<i32>),
    /// Commit, if there is anything to commit.
    Commit,
    /// Commit, if it is time for that.
    CommitIfDue,
    /// Commit the ends of partitions, if it is time for that.
    CommitEnds,
    /// Abort, if a transaction is open.
    Abandon(AbortReason),
    /// Rewind what was fetched and is not committed, and discard it.
    Rewind,
    /// Rewind, to recover from a failure.
    RewindAll,
    /// Open the breaker for this reason.
    OpenBreaker(String),
    /// Forget what was rejected: the offsets stand for other records.
    ForgetRejections,
    /// End, unless the active version is withdrawn: the next one has work to do.
    FinishUnlessWithdrawn,
}
