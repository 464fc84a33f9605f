//! Configuration of the commands for plugin authors.

use std::path::PathBuf;
use std::time::Duration;

use mapper_core::pairs::Pairs;
use mapper_runtime::{Grants, Limits};
use mapper_terminal::console::LogConfig;

use crate::project::Rebuild;
use crate::templates::{Language, Template};

#[derive(Debug, Clone)]
pub enum AuthorCommand {
    New(NewConfig),
    Test(Box<TestConfig>),
    Check(Box<CheckConfig>),
    /// Print the supported contract versions.
    Contract {
        json: bool,
    },
    Bench(Box<BenchConfig>),
    Map(Box<MapConfig>),
}

/// `mapper-host new`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConfig {
    /// The last component is the name of the project.
    pub dir: PathBuf,
    pub language: Language,
    pub template: Template,
}

/// How the commands load and run a plugin. The same settings as of `mapper-host run`.
#[derive(Debug, Clone)]
pub struct GuestConfig {
    /// Settings of the plugin (`--set`).
    pub set: Pairs,
    pub cache_dir: Option<PathBuf>,
    pub limits: Limits,
    pub grants: Grants,
    /// Maximum records per call.
    pub batch_records: usize,
    pub log: LogConfig,
}

/// `mapper-host test`.
#[derive(Debug, Clone)]
pub struct TestConfig {
    /// Plugin files, or project directories, which are built first. Not empty.
    pub targets: Vec<PathBuf>,
    /// Requires a single target. `None`: beside the plugin and in its project.
    pub cases: Option<PathBuf>,
    /// Run only cases whose name or location contains this text.
    pub filter: Option<String>,
    /// Write the actual results into the cases as the expected results.
    pub bless: bool,
    /// Path of the JUnit XML report.
    pub junit: Option<PathBuf>,
    pub guest: GuestConfig,
}

/// `mapper-host map`.
#[derive(Debug, Clone)]
pub struct MapConfig {
    pub plugin: PathBuf,
    pub input: MapInput,
    pub format: MapFormat,
    pub output_format: OutputFormat,
    /// The line for a tombstone, in input and output, if a line is a value.
    pub tombstone: Option<String>,
    /// Maximum number of records.
    pub limit: Option<u64>,
    /// Print counts and times at the end.
    pub stats: bool,
    /// Print the backtrace and the guest output of failures.
    pub verbose: bool,
    pub guest: GuestConfig,
}

#[derive(Debug, Clone)]
pub enum MapInput {
    /// `-` is standard input.
    Files(Vec<PathBuf>),
    /// Read from the beginning to the current end. Commits nothing.
    Topic(TopicInput),
}

#[derive(Debug, Clone)]
pub struct TopicInput {
    pub topic: String,
    /// `host:port,…`
    pub brokers: String,
    /// Additional librdkafka properties.
    pub kafka: Pairs,
    pub connect_timeout: Duration,
}

/// The format of an input line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapFormat {
    /// The value of a record.
    Value,
    /// A record in JSON.
    Record,
    /// A dead letter: its value, or the complete record in JSON. The original input is mapped.
    DeadLetter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// The value of an output.
    Value,
    /// A record in JSON.
    Record,
}

/// `mapper-host check`.
#[derive(Debug, Clone)]
pub struct CheckConfig {
    pub plugin: PathBuf,
    pub json: bool,
    pub guest: GuestConfig,
}

/// `mapper-host bench`.
#[derive(Debug, Clone)]
pub struct BenchConfig {
    pub plugin: PathBuf,
    /// A file of records; `None`: generated visits.
    pub input: Option<PathBuf>,
    pub format: MapFormat,
    /// Directory for the results of earlier runs.
    pub state_dir: Option<PathBuf>,
    pub guest: GuestConfig,
}

/// `mapper-host build`.
#[derive(Debug, Clone)]
pub struct BuildConfig {
    pub dir: PathBuf,
    /// Path of the plugin. `None`: see [`crate::project::plugin_path`].
    pub output: Option<PathBuf>,
    pub rebuild: Rebuild,
    /// Rebuild after each change.
    pub watch: Option<Box<WatchConfig>>,
}

/// `mapper-host build --watch`.
#[derive(Debug, Clone)]
pub struct WatchConfig {
    pub guest: GuestConfig,
    /// Swap the plugin into a running host after its cases pass: URL and token file.
    pub swap: Option<(String, Option<PathBuf>)>,
}
