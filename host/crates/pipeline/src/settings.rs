//! The settings of a pipeline.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mapper_core::decision::Routes;

/// The settings of a pipeline.
pub struct Settings {
    /// The worker's number.
    pub worker: usize,
    /// The input topic.
    pub topic: Arc<str>,
    /// The output topics, the dead-letter topic and the ledger topic.
    pub routes: Arc<Routes>,
    /// The names in ledger records.
    pub ledger: LedgerNames,
    /// When to commit.
    pub commit: CommitPolicy,
    /// The most records of a batch.
    pub batch_records: usize,
    /// Whether headers of an output name the version that made it.
    pub provenance: bool,
    /// What to do about failures.
    pub failures: FailurePolicy,
    /// Whether the pipeline ends at the end of the input, so that nobody is there to repair a plugin.
    pub ends_by_itself: bool,
}

/// The names in ledger records, which are written if the routes have a ledger topic.
#[derive(Debug, Clone, Default)]
pub struct LedgerNames {
    /// The consumer group.
    pub group: String,
    /// The host.
    pub host: String,
}

/// When to commit: by whichever comes first.
#[derive(Debug, Clone, Copy)]
pub struct CommitPolicy {
    /// This long after the first record of the transaction.
    pub interval: Duration,
    /// With this many input records.
    pub records: usize,
    /// With this many bytes of input.
    pub bytes: usize,
}

/// What to do when the plugin fails on one record too many, or on record after record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailurePolicy {
    /// The share of dead letters among the last records, from above 0 to 1, at which the host ends; `None`: it never does.
    pub halt_on_error_ratio: Option<f64>,
    /// The number of records of which the share is taken. A worker that has judged fewer does not look at the share.
    pub error_ratio_window: usize,
    /// When a worker stops to call its mapper.
    pub breaker: BreakerSettings,
}

/// When a worker stops to call its mapper, and when it probes the mapper again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// The number of records in a row that must trap, time out or run out of memory; 0: the breaker never opens.
    pub after: u32,
    /// What becomes of these records.
    pub records: BreakerRecords,
    /// How long an open breaker waits before the first probe; doubled after each probe that fails.
    pub retry: Duration,
}

/// What becomes of the records that open a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerRecords {
    /// Each is a dead letter as soon as it fails, as after any other failure. If the breaker opens while the transaction has only
    /// such dead letters, the transaction is aborted, and the worker reads the records again later.
    DeadLetter,
    /// They are pending until a record succeeds. If the breaker opens first, the worker reads them again later.
    Hold,
}

impl fmt::Display for BreakerRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeadLetter => "dead-letter",
            Self::Hold => "hold",
        })
    }
}
