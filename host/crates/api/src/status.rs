//! The answer of `/status`.

use std::collections::BTreeMap;

use mapper_core::partition_key::PartitionKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::versions::Versions;

/// The state of the host. Times are UTC in RFC 3339.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The name of the pipeline.
    pub pipeline: String,
    /// `starting`, `running`, `restarting` after it halted, `halted` for good, or `ended`.
    pub state: String,
    /// How often it was started, this time included.
    pub generation: u64,
    /// Whether `/readyz` says ready.
    pub ready: bool,
    /// Why the host is not ready; empty if it is.
    pub not_ready: Vec<Reason>,
    /// Why the file of settings, as it is now, was not applied; null if it was, or there is none.
    pub config_error: Option<String>,
    /// Why the process must be restarted, as in `/livez`; usually empty.
    #[schemars(extend("x-payload" = "sentence"))]
    pub stuck: Vec<String>,
    /// The process.
    pub host: Host,
    /// The active plugin; null until it is loaded.
    pub plugin: Option<Plugin>,
    /// The topics, the group and the delivery guarantee.
    pub work: Work,
    /// Counts since the start.
    pub counts: Totals,
    /// Rates over the last seconds.
    pub rates: Rates,
    /// The workers.
    pub workers: Vec<WorkerStatus>,
    /// The partitions of the input topic that this host has.
    pub partitions: Vec<Partition>,
    /// The versions of the plugin: the active one, the last swap, the probation and the shadow; null while the host starts.
    pub versions: Option<Versions>,
    /// Failures, grouped by fingerprint, the latest first.
    pub failures: Vec<FailureGroup>,
    /// The number of failures in groups beyond the limit.
    pub failures_in_other_groups: u64,
    /// The open letters of the dead-letter topic, of all hosts; null if the host does not follow them, as in the demo.
    pub dead_letters: Option<DeadLetters>,
}

/// The open letters of the dead-letter topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetters {
    /// Whether all letters were read and new ones are followed. Otherwise the other fields are old.
    pub up: bool,
    /// Why they can't be followed; null if they can, or are read for the first time.
    pub error: Option<String>,
    /// Letters without a resolution; null until all letters were read.
    pub open: Option<u64>,
    /// Whether the largest groups are counted by a sample of their letters.
    pub estimated: bool,
    /// When the oldest open letter failed.
    pub oldest_failed: Option<String>,
    /// The number of groups by state.
    pub groups_by_state: BTreeMap<String, u64>,
    /// Groups of which the active version maps letters, tested on a sample.
    pub redrivable: Vec<RedrivableGroup>,
}

/// A group whose letters can be redriven with the active version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RedrivableGroup {
    pub fingerprint: String,
    /// The letters that were mapped as a sample.
    pub tried: u64,
    /// How many of them did not fail.
    pub passed: u64,
    /// The command that redrives the group. `…` stands for settings that it does not show, such as `--set` and `--kafka`.
    pub command: String,
}

/// A reason why the host is not ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// The part that is not ready, such as `group` or `kafka`.
    pub component: String,
    /// The reason.
    #[schemars(extend("x-payload" = "sentence"))]
    pub reason: String,
}

/// The process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    pub version: String,
    /// The time of its start.
    pub started: String,
    pub uptime_seconds: u64,
}

/// The active plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plugin {
    pub name: String,
    pub version: String,
    /// The SHA-256 of the file.
    pub digest: String,
    /// The version of the contract.
    pub contract: String,
    /// The file it was read from.
    pub file: String,
    /// The size of the file.
    pub bytes: u64,
    /// Since when it is active.
    pub since: String,
}

/// The topics, the group and the delivery guarantee.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Work {
    /// `exactly-once` or `at-least-once`.
    pub delivery: String,
    pub group: String,
    /// The input topic; several with commas between them; or the pattern.
    pub input_topic: String,
    /// The default one first.
    pub output_topics: Vec<String>,
    pub dead_letter_topic: String,
}

/// Counts of committed records since the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Input records.
    pub records_in: u64,
    /// Outputs.
    pub records_out: u64,
    /// Input records without an output.
    pub skipped: u64,
    /// Dead letters of all kinds.
    pub dead_letters: u64,
    /// Dead letters by kind of failure, without zeros.
    pub dead_letters_by_kind: BTreeMap<String, u64>,
    /// Committed transactions.
    pub transactions: u64,
    /// Aborted transactions.
    pub aborts: u64,
    /// How many times partitions were revoked.
    pub rebalances: u64,
    /// Input records that were removed before the host read them, by retention or DeleteRecords.
    pub records_missed: u64,
    /// How many times each topic was deleted and created again, without zeros.
    pub topic_recreations: BTreeMap<String, u64>,
    /// Replaced instances of the plugin, by reason, without zeros.
    pub instance_renewals: BTreeMap<String, u64>,
    /// How many times a breaker opened.
    pub breaker_openings: u64,
    /// Panics of threads beside the workers, of the pipeline and of the process, by thread, without zeros.
    pub thread_panics: BTreeMap<String, u64>,
}

/// Rates of committed records over the last seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rates {
    pub records_in_per_second: f64,
    pub records_out_per_second: f64,
    pub dead_letters_per_second: f64,
    /// The period of the rates, in seconds.
    pub over_seconds: f64,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerStatus {
    pub worker: usize,
    /// `starting`, `fetching`, `preparing`, `mapping`, `producing`, `committing`, `recovering`, `ended` or `failed`.
    pub activity: String,
    /// The time in this activity, in seconds.
    pub activity_seconds: f64,
    /// Its partitions: `0`, or `TOPIC/0` if there are several input topics.
    pub partitions: Vec<PartitionKey>,
    /// Linear memory of its instance, after the last batch; null before the first.
    pub guest_memory_bytes: Option<u64>,
    /// Why its breaker is open, so that it maps nothing; null if the breaker is closed.
    #[schemars(extend("x-payload" = "sentence"))]
    pub breaker_open: Option<String>,
}

/// A partition of an input topic. Offsets are null if they are not known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Partition {
    pub topic: String,
    pub partition: i32,
    /// The worker that it is assigned to.
    pub worker: usize,
    /// The offset of the record that is fetched next.
    pub position: Option<i64>,
    /// The committed offset.
    pub committed: Option<i64>,
    /// The end offset.
    pub end: Option<i64>,
    /// Offsets from the position to the end.
    pub lag: Option<u64>,
}

/// Failures with the same fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailureGroup {
    /// The fingerprint in the header `mapper-host.failure` of the dead letters.
    pub fingerprint: String,
    pub kind: String,
    pub count: u64,
    pub first_seen: String,
    pub last_seen: String,
    /// One of the last failures.
    pub example: Example,
}

/// A failed record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Example {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// The message, cut after some hundred bytes.
    #[serde(default)]
    #[schemars(extend("x-payload" = "message"))]
    pub message: String,
    /// The value of the record, cut likewise; null is a tombstone.
    #[schemars(extend("x-payload" = "value"))]
    pub input: Option<String>,
}
