//! What the commands of a plugin's author were asked to do.

use std::path::PathBuf;
use std::time::Duration;

use mapper_core::pairs::Pairs;
use mapper_runtime::{Grants, Limits};
use mapper_terminal::console::LogConfig;

use crate::project::Rebuild;
use crate::templates::{Language, Template};

/// What a plugin's author asked for.
#[derive(Debug, Clone)]
pub enum AuthorCommand {
    /// Make a plugin project.
    New(NewConfig),
    /// Run the cases of a plugin.
    Test(Box<TestConfig>),
    /// Say what a file is, and whether it can be a plugin here.
    Check(Box<CheckConfig>),
    /// Say which versions of the contract this host speaks.
    Contract {
        /// For programs.
        json: bool,
    },
    /// Measure what a plugin costs.
    Bench(Box<BenchConfig>),
    /// Map lines, or the records of a topic, without producing anything.
    Map(Box<MapConfig>),
}

/// All settings of `mapper-host new`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConfig {
    /// The folder of the new project; the last part of it is its name.
    pub dir: PathBuf,
    /// What it is written in.
    pub language: Language,
    /// What its mapper does.
    pub template: Template,
}

/// How a plugin is run outside of the record path: as `mapper-host run` would.
#[derive(Debug, Clone)]
pub struct GuestConfig {
    /// The plugin's own configuration.
    pub set: Pairs,
    /// Where compiled plugins are kept.
    pub cache_dir: Option<PathBuf>,
    /// What an instance may use.
    pub limits: Limits,
    /// What the plugin is given of the machine.
    pub grants: Grants,
    /// Records the plugin is given in one call, at most.
    pub batch_records: usize,
    /// What is logged, and how.
    pub log: LogConfig,
}

/// All settings of `mapper-host test`.
#[derive(Debug, Clone)]
pub struct TestConfig {
    /// Plugins, or the folders of projects, which are built first; never none.
    pub targets: Vec<PathBuf>,
    /// Where the cases are, for one target alone; `None`: beside the plugin or in its project.
    pub cases: Option<PathBuf>,
    /// Only cases whose name or place has this text.
    pub filter: Option<String>,
    /// What comes is written into the cases as what must come.
    pub bless: bool,
    /// Where a report in JUnit's XML goes.
    pub junit: Option<PathBuf>,
    /// How the plugin is run.
    pub guest: GuestConfig,
}

/// All settings of `mapper-host map`.
#[derive(Debug, Clone)]
pub struct MapConfig {
    /// The plugin.
    pub plugin: PathBuf,
    /// Where records come from.
    pub input: MapInput,
    /// What a line, or a record of a topic, is.
    pub format: MapFormat,
    /// What a line of output is.
    pub output_format: OutputFormat,
    /// The line that stands for a record without a value, in and out, where a line is a value.
    pub tombstone: Option<String>,
    /// After how many records to end; `None`: at the end.
    pub limit: Option<u64>,
    /// Whether counts and times are printed at the end.
    pub stats: bool,
    /// Whether failures are printed with where the guest was, and what it had logged.
    pub verbose: bool,
    /// How the plugin is run.
    pub guest: GuestConfig,
}

/// Where the records of `mapper-host map` come from.
#[derive(Debug, Clone)]
pub enum MapInput {
    /// Lines of these files, `-` for standard input.
    Files(Vec<PathBuf>),
    /// A topic, from its beginning to where it ends now; nothing is committed.
    Topic(TopicInput),
}

/// A topic to read.
#[derive(Debug, Clone)]
pub struct TopicInput {
    /// Its name.
    pub topic: String,
    /// The brokers, as `host:port,…`.
    pub brokers: String,
    /// The user's librdkafka properties, none of which the host owns.
    pub kafka: Pairs,
    /// How long to try to reach Kafka.
    pub connect_timeout: Duration,
}

/// What a line of input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapFormat {
    /// The value of a record.
    Value,
    /// A record in JSON.
    Record,
    /// A dead letter, whose input is mapped: its value, or all of it as a record in JSON.
    DeadLetter,
}

/// What a line of output of `mapper-host map` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// The value of an output.
    Value,
    /// A record in JSON.
    Record,
}

/// All settings of `mapper-host check`.
#[derive(Debug, Clone)]
pub struct CheckConfig {
    /// The file.
    pub plugin: PathBuf,
    /// Whether what is found is printed as JSON.
    pub json: bool,
    /// How the plugin is run.
    pub guest: GuestConfig,
}

/// All settings of `mapper-host bench`.
#[derive(Debug, Clone)]
pub struct BenchConfig {
    /// The plugin.
    pub plugin: PathBuf,
    /// A file of records; `None`: generated visits.
    pub input: Option<PathBuf>,
    /// What a line of it is.
    pub format: MapFormat,
    /// Where what was measured is kept.
    pub state_dir: Option<PathBuf>,
    /// How the plugin is run.
    pub guest: GuestConfig,
}

/// All settings of `mapper-host build`.
#[derive(Debug, Clone)]
pub struct BuildConfig {
    /// The folder of the plugin project.
    pub dir: PathBuf,
    /// Where the plugin goes; `None`: `plugins/NAME.wasm`, of which the project knows the name.
    pub output: Option<PathBuf>,
    /// Whether it is built when nothing has changed.
    pub rebuild: Rebuild,
    /// Whether it is built again at each change, and what else is done then.
    pub watch: Option<Box<WatchConfig>>,
}

/// What `mapper-host build --watch` does beside building.
#[derive(Debug, Clone)]
pub struct WatchConfig {
    /// How the plugin is run in its cases.
    pub guest: GuestConfig,
    /// The running host, as `http://HOST:PORT`, into which a plugin is swapped whose cases hold; and the file of its token.
    pub swap: Option<(String, Option<PathBuf>)>,
}
