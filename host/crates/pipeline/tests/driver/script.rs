//! The scripted failures of a case.

/// The calls with scripted events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Call {
    Fetch,
    Attend,
    Prepare,
    Map,
    Settle,
    Rewind,
    Begin,
    Send,
    Commit,
    Abort,
}

/// The event at a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Again,
    Refused,
    Halt,
    /// At a commit: it succeeds, but is reported as `Again`.
    Unanswered,
    Shutdown,
    /// At a mapping: the process crashes during the call.
    Die,
    /// At a preparation: the mapper lacks something.
    Unavailable,
    /// Offers another version of the mapper.
    Swap,
    /// Offers another version on probation: if it fails, the version before is restored.
    SwapOnProbation,
    /// At a fetch or an attendance: a revocation is announced.
    Revoke(Revoke),
}

/// Partitions move to another member, which commits some records, and return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Revoke {
    pub(super) partitions: Vec<i32>,
    pub(super) lost: bool,
    /// The number of records of each partition that the other member commits.
    pub(super) records_elsewhere: usize,
    /// The number of fetches until the partitions return.
    pub(super) back_after: usize,
}

/// The event at the n-th call, counted from 1.
pub(super) type Script = Vec<(Call, usize, Event)>;
