//! What is to go wrong in a case, and when.

/// The calls at which something can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Call {
    Fetch,
    Attend,
    Map,
    Settle,
    Rewind,
    Begin,
    Send,
    Commit,
    Abort,
}

/// What happens at a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Again,
    Refused,
    Halt,
    /// Of a commit: it is carried out, but reported as `Again`.
    Unanswered,
    Shutdown,
    /// Of a mapping: the process ends in the middle of it.
    Die,
    /// Another version of the mapper waits from now on.
    Swap,
    /// The same, on probation: if it fails that, the version before comes back.
    SwapOnProbation,
    /// Of a fetch or an attendance: partitions are about to go.
    Revoke(Revoke),
}

/// Partitions go to another member, who does some work there, and come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Revoke {
    pub(super) partitions: Vec<i32>,
    pub(super) lost: bool,
    /// How many records of each partition are done by the other member.
    pub(super) records_elsewhere: usize,
    /// In fetches.
    pub(super) back_after: usize,
}

/// What happens at the n-th call, counted from 1.
pub(super) type Script = Vec<(Call, usize, Event)>;
