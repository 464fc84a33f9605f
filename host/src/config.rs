//! What the program was asked to do, as plain data that was checked before anything was touched.

pub(crate) mod admin;
pub(crate) mod brokers;
mod failures;
mod memory;
mod pipeline;
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
pub use memory::MemoryBound;
pub use pipeline::{DEFAULT_PIPELINE, PipelineSpec};
pub use remote::{RemoteCommand, RemoteConfig};
pub use swap::SwapConfig;

use mapper_visits::Profile;

/// What the program was asked to do.
#[derive(Debug, Clone)]
pub enum Command {
    /// Map records of one topic to others.
    Run(Box<RunConfig>),
    /// Say what is wrong with a file of settings.
    CheckFile(Box<CheckFileConfig>),
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

/// All settings of `mapper-host run`: those of the process, and its pipelines.
#[derive(Debug, Clone, PartialEq)]
pub struct RunConfig {
    /// What is run; one or more, each with a name of its own.
    pub pipelines: Vec<PipelineSpec>,
    /// The file with their tables, which is read again when it changes; `None`: flags describe the only pipeline.
    pub file: Option<PathBuf>,
    /// Whether the first pipeline that halts ends the process. It always does if flags describe it.
    pub fail_fast: bool,
    /// Where compiled plugins are kept; `None`: this user has no place for them.
    pub cache_dir: Option<PathBuf>,
    /// Where the host keeps what must survive a restart; `None`: this user has no place for it.
    pub state_dir: Option<PathBuf>,
    /// Where the admin server listens; `None`: there is none.
    pub admin: Option<AdminConfig>,
    /// Where spans go; `None`: there are none.
    pub tracing: Option<mapper_telemetry::spans::TracingConfig>,
    /// What must be shown to change anything through the admin server: the first line of this file. It was not read yet.
    pub admin_token_file: Option<PathBuf>,
    /// What is logged, and how.
    pub log: LogConfig,
}

/// What `mapper-host check --config` found in a file of settings, and is still to look at.
#[derive(Debug, Clone)]
pub struct CheckFileConfig {
    /// The file, as the user named it.
    pub path: String,
    /// What is wrong with it, each with the way out.
    pub mistakes: Vec<String>,
    /// The pipelines of which the settings can be read.
    pub pipelines: Vec<PipelineSpec>,
    /// Whether Kafka is asked for the topics and permissions.
    pub asks_kafka: bool,
    /// Whether what is found is printed as JSON.
    pub json: bool,
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
