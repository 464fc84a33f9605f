//! What the program was asked to do, as plain data that was checked before anything was touched.

pub(crate) mod admin;
pub(crate) mod brokers;
mod failures;
pub(crate) mod remote;
mod swap;
pub(crate) mod tracing;
pub(crate) mod values;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

pub use admin::AdminConfig;
pub use mapper_author::config::{
    AuthorCommand, BenchConfig, BuildConfig, CheckConfig, GuestConfig, MapConfig, MapFormat, MapInput, NewConfig,
    OutputFormat, TestConfig, TopicInput, WatchConfig,
};
pub use mapper_core::delivery::Delivery;
pub use mapper_core::pairs::Pairs;
pub use mapper_terminal::console::{LogConfig, LogFormat};

pub use failures::{BreakerRecords, BreakerSettings, FailurePolicy, Failures};
pub use mapper_kafka::policy::{InputPolicy, OnGap, OnTopicRecreated};
pub use mapper_kafka::properties;
pub use remote::{RemoteCommand, RemoteConfig};
pub use swap::SwapConfig;
pub use tracing::TracingConfig;

use crate::plugin::{Grants, Limits};
use crate::visits::Profile;

/// What the program was asked to do.
#[derive(Debug, Clone)]
pub enum Command {
    /// Map records of one topic to others.
    Run(Box<RunConfig>),
    /// Fill a topic with visits.
    Generate(Box<GenerateConfig>),
    /// Ask a running host for something.
    Remote(RemoteConfig),
    /// Build a plugin project.
    Build(BuildConfig),
    /// Print this.
    Show(String),
    /// Write man pages.
    Man(ManConfig),
    /// What a plugin's author does.
    Author(AuthorCommand),
}

/// All settings of `mapper-host run`.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// The plugin file. It was not looked for yet.
    pub plugin: PathBuf,
    /// The plugin's own configuration.
    pub set: Pairs,
    /// Where compiled plugins are kept; `None`: this user has no place for them.
    pub cache_dir: Option<PathBuf>,
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
    pub input_topic: String,
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
    /// Where the host keeps what must survive a restart; `None`: this user has no place for it.
    pub state_dir: Option<PathBuf>,
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
    /// Where the admin server listens; `None`: there is none.
    pub admin: Option<AdminConfig>,
    /// Where spans go; `None`: there are none.
    pub tracing: Option<TracingConfig>,
    /// What must be shown to change anything through the admin server: the first line of this file. It was not read yet.
    pub admin_token_file: Option<PathBuf>,
    /// How versions of the plugin are swapped.
    pub swap: SwapConfig,
    /// What is logged, and how.
    pub log: LogConfig,
}

/// All settings of `mapper-host generate`.
#[derive(Debug, Clone)]
pub struct GenerateConfig {
    /// The brokers, as `host:port,…`.
    pub brokers: String,
    /// The user's librdkafka properties, none of which the host owns.
    pub kafka: Pairs,
    /// How long to try to reach Kafka at the start.
    pub connect_timeout: Duration,
    /// The topic to fill.
    pub topic: String,
    /// Partitions of the topic, if it is to be created; `None`: if it doesn't exist, that is an error.
    pub create_topics: Option<u32>,
    /// When rows come.
    pub rhythm: Rhythm,
    /// After how many rows to end; `None`: when told to.
    pub count: Option<u64>,
    /// What the rows are like.
    pub profile: Profile,
    /// What is logged, and how.
    pub log: LogConfig,
}

/// What `mapper-host man` writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManConfig {
    /// The folder that they go to; `None`: the first one is printed.
    pub dir: Option<PathBuf>,
    /// Names of files, and what goes into them.
    pub pages: Vec<(String, String)>,
}

/// When generated rows come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rhythm {
    /// As from the reference generator: a burst, then a pause.
    Reference,
    /// Evenly, this many rows per second; more than 0.
    Rate(f64),
}
