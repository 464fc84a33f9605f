//! The checked configuration of a command, as plain data. The command line is parsed without I/O other than the settings file.

pub(crate) mod admin;
mod audit;
pub(crate) mod brokers;
mod console;
mod credentials;
mod dlq;
mod failures;
pub(crate) mod letter_filter;
mod memory;
mod pipeline;
pub(crate) mod remote;
pub(crate) mod schemas;
mod swap;
pub(crate) mod tracing;
pub(crate) mod values;
pub(crate) mod webhook;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use admin::AdminConfig;
pub use audit::AuditConfig;
pub use console::ConsoleConfig;
pub use mapper_author::config::{
    AuthorCommand, BenchConfig, BuildConfig, CheckConfig, GuestConfig, MapConfig, MapFormat, MapInput, NewConfig,
    OutputFormat, TestConfig, TopicInput, WatchConfig,
};
pub use mapper_core::delivery::Delivery;
pub use mapper_core::pairs::Pairs;
pub use mapper_terminal::console::{LogConfig, LogFormat};

pub use dlq::{
    DEFAULT_MAX_ATTEMPTS, DlqCommand, DlqConfig, DlqTopics, EditedValue, GroupMark, HistoryPlace, LetterFilter,
    RedriveConfig, RedriveTarget, StaleKeys, StateFilter, VersionChoice,
};
pub use failures::{BreakerRecords, BreakerSettings, FailurePolicy, Failures, HeaderSet};
pub use mapper_kafka::policy::{InputPolicy, OnGap, OnTopicRecreated};
pub use mapper_kafka::properties;
pub use memory::MemoryBound;
pub use pipeline::{DEFAULT_PIPELINE, PipelineSpec};
pub use remote::{RemoteCommand, RemoteConfig};
pub use schemas::{OutputSchema, Registration, RegistryConfig, RegistryUrl, SchemaConfig, SubjectSchema};
pub use swap::SwapConfig;
pub use webhook::WebhookUrl;

use mapper_api::payloads::Payloads;
use mapper_api::settings::SettingInForce;
use mapper_visits::Profile;

/// The command and its settings.
#[derive(Debug, Clone)]
pub enum Command {
    /// Map records of one topic to others.
    Run(Box<RunConfig>),
    /// Check a settings file.
    CheckFile(Box<CheckFileConfig>),
    /// Fill a topic with visits.
    Generate(Box<GenerateConfig>),
    /// Audit a pipeline.
    Audit(Box<AuditConfig>),
    /// Work with dead letters.
    Dlq(Box<DlqConfig>),
    /// Serve the console of other hosts.
    Console(Box<ConsoleConfig>),
    /// Call a running host.
    Remote(RemoteConfig),
    /// Build a plugin project.
    Build(BuildConfig),
    /// Print this.
    Show(String),
    /// Write man pages.
    Man(ManConfig),
    /// A command for plugin authors.
    Author(AuthorCommand),
}

/// All settings of `mapper-host run`: those of the process, and its pipelines.
#[derive(Debug, Clone, PartialEq)]
pub struct RunConfig {
    /// The pipelines, at least one; their names are unique.
    pub pipelines: Vec<PipelineSpec>,
    /// The settings in force, with their sources and without secrets.
    pub settings: RunSettings,
    /// The settings file with their tables, which the host reads again when it changes; `None` if flags describe the only pipeline.
    pub file: Option<PathBuf>,
    /// Whether the first pipeline that halts ends the process. It always does if flags describe it.
    pub fail_fast: bool,
    /// The folder of compiled plugins; `None` if the user has none.
    pub cache_dir: Option<PathBuf>,
    /// The state folder; `None` if the user has none.
    pub state_dir: Option<PathBuf>,
    /// The address of the admin server; `None` without a server.
    pub admin: Option<AdminConfig>,
    /// The path of a proxy before the admin server; empty for none.
    pub admin_base_path: String,
    /// What the admin server gives out of records.
    pub admin_payloads: Payloads,
    /// The destination of spans; `None` without spans.
    pub tracing: Option<mapper_telemetry::spans::TracingConfig>,
    /// The URL that gets new groups of failures; `None` without one.
    pub alert_webhook: Option<WebhookUrl>,
    /// The file with the token of the admin server in its first line. It was not read yet.
    pub admin_token_file: Option<PathBuf>,
    /// The level and the format of the log.
    pub log: LogConfig,
}

/// The settings in force, for the admin API.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunSettings {
    /// Those of the process.
    pub process: Vec<SettingInForce>,
    /// Those of each pipeline, by its name.
    pub pipelines: BTreeMap<String, Vec<SettingInForce>>,
}

/// The mistakes that `mapper-host check --config` found in a settings file, and the pipelines to check further.
#[derive(Debug, Clone)]
pub struct CheckFileConfig {
    /// The path as the user gave it.
    pub path: String,
    /// The mistakes, each with its fix.
    pub mistakes: Vec<String>,
    /// The pipelines whose settings are valid.
    pub pipelines: Vec<PipelineSpec>,
    /// Whether to check the topics and permissions on Kafka.
    pub asks_kafka: bool,
    /// Whether to print JSON.
    pub json: bool,
}

/// All settings of `mapper-host generate`.
#[derive(Debug, Clone)]
pub struct GenerateConfig {
    /// The brokers, as `host:port,…`.
    pub brokers: String,
    /// The librdkafka properties of the user, without those that the host sets.
    pub kafka: Pairs,
    /// The timeout of the connection to Kafka at the start.
    pub connect_timeout: Duration,
    /// The topic to fill.
    pub topic: String,
    /// Partitions of the topic, if it is to be created; `None`: if it doesn't exist, that is an error.
    pub create_topics: Option<u32>,
    /// When rows come.
    pub rhythm: Rhythm,
    /// The number of rows; `None` runs until a shutdown.
    pub count: Option<u64>,
    /// The properties of the rows.
    pub profile: Profile,
    /// The level and the format of the log.
    pub log: LogConfig,
}

/// The man pages of `mapper-host man`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManConfig {
    /// The output folder; `None` prints the first page.
    pub dir: Option<PathBuf>,
    /// The files with their content.
    pub pages: Vec<(String, String)>,
}

/// The timing of generated rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rhythm {
    /// A burst, then a pause, like the reference generator.
    Reference,
    /// Evenly, this many rows per second; more than 0.
    Rate(f64),
}
