//! The answers of `/samples` and `/timeline`: what a pipeline did in the last hour.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The samples of the last hour as columns, the oldest first. All columns are equally long.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Samples {
    /// The interval of samples, in seconds. It is longer where the host was busy or asleep.
    pub interval_seconds: u64,
    /// The end of the period of each sample, in milliseconds since 1970.
    pub at_ms: Vec<i64>,
    /// Committed input records per second.
    pub records_in: Vec<f64>,
    /// Committed outputs per second.
    pub records_out: Vec<f64>,
    /// Committed dead letters per second.
    pub dead_letters: Vec<f64>,
    /// Records still to be fetched.
    pub lag: Vec<u64>,
    /// The time that 99 % of the calls of the plugin did not exceed, in milliseconds; null without calls.
    pub mapping_p99_ms: Vec<Option<f64>>,
    /// The mean number of records of a call; null without calls.
    pub batch_records: Vec<Option<f64>>,
    /// Linear memory of all instances.
    pub guest_memory_bytes: Vec<u64>,
}

/// One event of a pipeline, or equal events within a minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineEvent {
    /// `transaction-aborted`, `partitions-revoked`, `breaker-opened`, `breaker-closed`, `registry-unavailable` or
    /// `registry-available`.
    pub kind: String,
    /// The time of the first one, UTC in RFC 3339.
    pub at: String,
    pub worker: usize,
    /// Why, in words.
    #[schemars(extend("x-payload" = "sentence"))]
    pub reason: String,
    /// The number of equal events.
    pub count: u64,
}
