//! What can go wrong with a source or a sink, by what must be done about it.

use mapper_core::decision::RouteIndex;
use mapper_core::record::Position;
use mapper_core::rejection::RejectionCause;
use mapper_core::shutdown::Halt;

/// Why a source failed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// What was not committed must be done again; it may well succeed then.
    #[error("{0:#}")]
    Retriable(anyhow::Error),
    /// Nothing can be done from here.
    #[error(transparent)]
    Fatal(#[from] Halt),
}

/// Why a sink failed.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// What was not committed must be done again; it may well succeed then.
    #[error("{0:#}")]
    Retriable(anyhow::Error),
    /// The broker rejects records for what they are: sent again, they would be rejected again.
    #[error("the broker rejected records of {} requests", .0.len())]
    RecordsRejected(Vec<Rejection>),
    /// Nothing can be done from here.
    #[error(transparent)]
    Fatal(#[from] Halt),
}

impl From<SourceError> for SinkError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Retriable(error) => Self::Retriable(error),
            SourceError::Fatal(halt) => Self::Fatal(halt),
        }
    }
}

/// Records that the broker rejected together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Where they were sent to.
    pub route: RouteIndex,
    /// The input records that they were made of. If there are several, the broker didn't say which of them it is about: one at
    /// least.
    pub inputs: Vec<Position>,
    /// What kind of reason the broker has.
    pub cause: RejectionCause,
    /// The reason in words.
    pub reason: String,
}
