//! The configuration of one pipeline.

use std::path::PathBuf;
use std::time::Duration;

use super::{Delivery, Failures, InputPolicy, Pairs, SchemaConfig, SwapConfig};
use mapper_core::input_topics::InputTopics;
use mapper_runtime::{Grants, Limits};

/// The name of the pipeline that flags describe.
pub const DEFAULT_PIPELINE: &str = "default";

/// One pipeline: from input topics through a plugin to output topics and a dead-letter topic.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineSpec {
    /// Identifies the pipeline within the process.
    pub name: String,
    /// The plugin file. Its existence was not checked.
    pub plugin: PathBuf,
    /// The plugin's own configuration.
    pub set: Pairs,
    /// The brokers, as `host:port,…`; `None` is the demo on an embedded broker.
    pub brokers: Option<String>,
    /// The librdkafka properties of the user, without those that the host sets.
    pub kafka: Pairs,
    /// The consumer group.
    pub group: String,
    /// The timeout of the connection to Kafka at the start.
    pub connect_timeout: Duration,
    /// The host is not ready after this time without a response of Kafka.
    pub kafka_unready_after: Duration,
    /// The group removes a member after this time without a heartbeat. With the property `group.protocol=consumer` it must not
    /// be passed on: then the broker has the setting, and librdkafka rejects it.
    pub session_timeout: Duration,
    /// The input topics.
    pub input_topics: InputTopics,
    /// The topic of outputs that name none.
    pub output_topic: String,
    /// The topic of dead letters.
    pub dead_letter_topic: String,
    /// The topic of what has been done about the dead letters. It exists only after the first decision.
    pub state_topic: String,
    /// Further topics that an output may name.
    pub extra_topics: Vec<String>,
    /// The topic of the ledger; `None` without a ledger. It needs brokers.
    pub ledger_topic: Option<String>,
    /// The policy for an input topic that was recreated, lacks records, or contains dead letters.
    pub input_policy: InputPolicy,
    /// The number of partitions of created topics; `None`: a missing topic is an error.
    pub create_topics: Option<u32>,
    /// The delivery guarantee. Exactly-once needs brokers.
    pub delivery: Delivery,
    /// Ends at the end offsets of the partitions at the start. It needs brokers.
    pub until_end: bool,
    /// A transaction is committed this long after its first record.
    pub commit_interval: Duration,
    /// A transaction is committed with this many input records.
    pub commit_records: usize,
    /// A transaction is committed with this many bytes of input.
    pub commit_bytes: usize,
    /// The broker aborts a transaction after this time; more than `commit_interval`.
    pub transaction_timeout: Duration,
    /// The prefix of the transactional ids of the workers; `None`: the host chooses one.
    pub transactional_id: Option<String>,
    /// The timeout of the drain after a shutdown signal.
    pub drain_timeout: Duration,
    /// Threads, each with a consumer, a producer and an instance of the plugin.
    pub workers: usize,
    /// The maximum of records in one call of the plugin.
    pub batch_records: usize,
    /// The limits of an instance of the plugin.
    pub limits: Limits,
    /// The resources of the machine that the plugin may use.
    pub grants: Grants,
    /// The policy for a plugin that fails repeatedly.
    pub failures: Failures,
    /// How keys and values are decoded and encoded; `None` passes the bytes.
    pub schemas: Option<SchemaConfig>,
    /// The settings of swaps of the plugin.
    pub swap: SwapConfig,
}

impl PipelineSpec {
    /// The topics for outputs, the default one first.
    pub fn output_topics(&self) -> Vec<&str> {
        [&self.output_topic].into_iter().chain(&self.extra_topics).map(String::as_str).collect()
    }

    /// All topics that the pipeline writes to.
    pub fn written_topics(&self) -> Vec<&str> {
        let mut topics = self.output_topics();
        topics.push(&self.dead_letter_topic);
        topics.extend(self.ledger_topic.as_deref());
        topics
    }
}
