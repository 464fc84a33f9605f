//! All that one pipeline needs.

use std::path::PathBuf;
use std::time::Duration;

use super::{Delivery, Failures, InputPolicy, Pairs, SwapConfig};
use mapper_core::input_topics::InputTopics;
use mapper_runtime::{Grants, Limits};

/// The name of the pipeline that flags describe.
pub const DEFAULT_PIPELINE: &str = "default";

/// One pipeline: from input topics through a plugin to output topics and a dead-letter topic.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineSpec {
    /// Identifies the pipeline within the process.
    pub name: String,
    /// The plugin file. It was not looked for yet.
    pub plugin: PathBuf,
    /// The plugin's own configuration.
    pub set: Pairs,
    /// The brokers, as `host:port,…`; `None` is the demo on an embedded broker.
    pub brokers: Option<String>,
    /// The user's librdkafka properties, none of which the host owns.
    pub kafka: Pairs,
    /// The consumer group.
    pub group: String,
    /// How long to try to reach Kafka at the start.
    pub connect_timeout: Duration,
    /// How long Kafka may be silent before the host is not ready.
    pub kafka_unready_after: Duration,
    /// How long a silent member stays in the group. With the property `group.protocol=consumer` it must not be passed
    /// on: the broker decides then, and librdkafka refuses it.
    pub session_timeout: Duration,
    /// Where records come from.
    pub input_topics: InputTopics,
    /// Where outputs go that don't name a topic.
    pub output_topic: String,
    /// Where failed records go.
    pub dead_letter_topic: String,
    /// Other topics that an output may name.
    pub extra_topics: Vec<String>,
    /// What to do when the input topic was created again, lacks records, or contains dead letters.
    pub input_policy: InputPolicy,
    /// Partitions of topics to be created; `None`: a topic that doesn't exist is an error.
    pub create_topics: Option<u32>,
    /// How sure each record is handled once. Exactly-once only with brokers.
    pub delivery: Delivery,
    /// Ends at the offsets that were the ends of the partitions at the start. Only with brokers.
    pub until_end: bool,
    /// A transaction is committed this long after its first record.
    pub commit_interval: Duration,
    /// A transaction is committed with this many input records.
    pub commit_records: usize,
    /// A transaction is committed with this many bytes of input.
    pub commit_bytes: usize,
    /// How long the broker lets a transaction stay open; more than `commit_interval`.
    pub transaction_timeout: Duration,
    /// What the transactional ids of the workers start with; `None`: the host finds one of its own.
    pub transactional_id: Option<String>,
    /// How long work in hand may take after a signal to end.
    pub drain_timeout: Duration,
    /// Threads, each with a consumer, a producer and an instance of the plugin.
    pub workers: usize,
    /// Records the plugin is given in one call, at most.
    pub batch_records: usize,
    /// What an instance of the plugin may use.
    pub limits: Limits,
    /// What the plugin is given of the machine.
    pub grants: Grants,
    /// What is done when the plugin fails again and again.
    pub failures: Failures,
    /// How versions of the plugin are swapped.
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
        topics
    }
}
