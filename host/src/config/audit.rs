//! The configuration of `mapper-host audit`.

use std::time::Duration;

use super::{LogConfig, Pairs};
use mapper_core::input_topics::InputTopics;

/// All settings of `mapper-host audit`.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditConfig {
    /// The brokers, as `host:port,…`.
    pub brokers: String,
    /// The librdkafka properties of the user, without those that the host sets.
    pub kafka: Pairs,
    /// The timeout of the connection to Kafka at the start.
    pub connect_timeout: Duration,
    /// The consumer group of the pipeline.
    pub group: String,
    /// The input topics.
    pub input_topics: InputTopics,
    /// The topics of outputs, the default one first.
    pub output_topics: Vec<String>,
    /// The topic of dead letters.
    pub dead_letter_topic: String,
    /// The topic with the resolutions of redrives.
    pub state_topic: String,
    /// The topic of the ledger.
    pub ledger_topic: String,
    /// Whether outputs name their input.
    pub provenance: bool,
    /// Only ranges whose ledger records are not older, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// The most records that are kept in memory; `None` without a limit.
    pub max_kept_records: Option<u64>,
    /// Whether to print JSON.
    pub json: bool,
    /// The level and the format of the log.
    pub log: LogConfig,
}
