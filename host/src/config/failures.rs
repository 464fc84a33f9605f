//! What is done when a plugin fails: about one record too many, about record after record, about the whole process.

use std::fmt;
use std::time::Duration;

/// The settings of the heading "Failures".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Failures {
    /// The share of dead letters among the last records, from above 0 to 1, at which the host ends; `None`: it never does.
    pub halt_on_error_ratio: Option<f64>,
    /// How many records that share is taken of; it is not looked at before a worker has judged as many.
    pub error_ratio_window: usize,
    /// How many records must trap, time out or run out of memory in a row before a worker stops; 0: it never does.
    pub breaker_after: u32,
    /// What becomes of these records.
    pub breaker_records: BreakerRecords,
    /// How long a worker that stopped waits before it tries one record again; doubled after each that was tried in vain.
    pub breaker_retry: Duration,
    /// After how many deaths of the host with the same record alone in the call that is a dead letter; 0: it never is.
    pub poison_after: u32,
}

/// What becomes of the records that made a worker stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerRecords {
    /// Each is a dead letter as soon as it fails, as after any other failure.
    DeadLetter,
    /// They are kept back until a record passes. If the worker stops before that, they are not dead letters but come again.
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
