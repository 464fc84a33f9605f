//! The jobs: what each is, and how it is run once it is built.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use mapper_host::config::Delivery;

use crate::compare::Compared;
use crate::{Bench, Case, HOST, Topics, native};

/// As many as partitions: in the peers that have no such setting, goroutines or tasks for each partition.
const WORKERS: usize = 2;

/// That of a task manager by default, which has 1.7 GB in all.
const FLINK_HEAP: &str = "-Xms512m -Xmx512m";
/// What Flink itself opens on Java 17 since its version 1.18.
const FLINK_OPENS: [&str; 11] = [
    "java.io",
    "java.lang",
    "java.lang.reflect",
    "java.net",
    "java.nio",
    "java.text",
    "java.time",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "java.util.concurrent.locks",
];

/// Which of the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A consumer in Rust with the mapper compiled in, whose dead letters have no headers.
    Native,
    /// The same with all headers of version 1.
    NativeFull,
    /// This host with a plugin in Rust, and so on.
    Rust,
    Python,
    Go,
    JavaScript,
    KafkaStreams,
    ConnectBloblang,
    ConnectWasm,
    PyFlink,
}

/// What was built of a peer.
pub(crate) enum Program {
    Native,
    Host { plugin: PathBuf, cache: PathBuf },
    Streams { class_path: String },
    Connect { binary: PathBuf, pipeline: PathBuf, module: Option<PathBuf> },
    Flink { python: PathBuf, job: PathBuf, jar: PathBuf },
}

impl Peer {
    pub(crate) const ALL: [Self; 10] = [
        Self::Native,
        Self::NativeFull,
        Self::Rust,
        Self::Python,
        Self::Go,
        Self::JavaScript,
        Self::KafkaStreams,
        Self::ConnectBloblang,
        Self::ConnectWasm,
        Self::PyFlink,
    ];

    /// As `--only` takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::NativeFull => "native-full",
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Go => "go",
            Self::JavaScript => "javascript",
            Self::KafkaStreams => "kafka-streams",
            Self::ConnectBloblang => "connect-bloblang",
            Self::ConnectWasm => "connect-wasm",
            Self::PyFlink => "pyflink",
        }
    }

    /// As the table says it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Native => "native Rust consumer",
            Self::NativeFull => "native, 20 headers a dead letter",
            Self::Rust => "mapper-host, Rust plugin",
            Self::Python => "mapper-host, Python plugin",
            Self::Go => "mapper-host, Go plugin",
            Self::JavaScript => "mapper-host, JavaScript plugin",
            Self::KafkaStreams => "Kafka Streams 4.1",
            Self::ConnectBloblang => "Redpanda Connect's parts, Bloblang",
            Self::ConnectWasm => "Redpanda Connect's parts, wasm",
            Self::PyFlink => "PyFlink 1.17",
        }
    }

    /// What it can give: Connect has no output that commits offsets and records together.
    pub(crate) fn delivery(self) -> Delivery {
        match self {
            Self::ConnectBloblang | Self::ConnectWasm => Delivery::AtLeastOnce,
            _ => Delivery::ExactlyOnce,
        }
    }

    pub(crate) fn compared(self) -> Compared {
        match self {
            Self::Native | Self::NativeFull | Self::Rust => Compared { keys: true, messages: true },
            // The job that this project replaces reads and writes values only.
            Self::PyFlink => Compared { keys: false, messages: false },
            _ => Compared { keys: true, messages: false },
        }
    }

    /// The command of a run.
    pub(crate) fn command(self, program: &Program, bench: &Bench, topics: &Topics) -> Result<Command> {
        let brokers = bench.kafka.brokers();
        let folder = bench.dir.path();
        Ok(match program {
            Program::Native => native::Options {
                brokers: brokers.to_owned(),
                topics,
                case: Case { delivery: self.delivery(), workers: WORKERS },
                records: bench.options.records,
                until_end: true,
                has_headers: self == Self::NativeFull,
            }
            .command()?,
            Program::Host { plugin, cache } => {
                let mut command = harness::host::command(HOST);
                command.arg("run").arg("--plugin").arg(plugin);
                command.arg("--cache-dir").arg(cache).arg("--state-dir").arg(folder.join("state"));
                command.args(["--brokers", brokers, "--group", &topics.group]);
                command.args(["--input-topic", &topics.input, "--output-topic", &topics.output]);
                command.args(["--dead-letter-topic", &topics.dead_letters]);
                command.args(["--delivery", &self.delivery().to_string(), "--workers", &WORKERS.to_string()]);
                command.arg("--until-end");
                command
            }
            Program::Streams { class_path } => {
                let mut command = Command::new("java");
                // A heap that doesn't grow while it is measured; a smaller one collects more often, a larger one makes no difference.
                command.args(["-Xms512m", "-Xmx512m", "-Djava.net.preferIPv4Stack=true"]);
                command.args([
                    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                    "-cp",
                    class_path,
                    "peers.ReduceVisits",
                ]);
                command.args([brokers, &topics.input, &topics.output, &topics.dead_letters, &topics.group]);
                command.arg(folder.join("streams"));
                command
            }
            Program::Connect { binary, pipeline, module } => {
                let mut command = Command::new(binary);
                command.arg("run").arg(pipeline);
                command.env("BROKERS", brokers).env("GROUP", &topics.group);
                // Half the collections: a fifth less CPU time with Bloblang, a third less with wasm, for twice the memory.
                command.env("GOGC", "400");
                command.env("INPUT", &topics.input).env("OUTPUT", &topics.output);
                command.env("DEAD_LETTERS", &topics.dead_letters);
                command.envs(module.as_ref().map(|module| ("MODULE", module)));
                command
            }
            Program::Flink { python, job, jar } => {
                let mut command = Command::new(python);
                command.arg(job);
                command.args([brokers, &topics.input, &topics.output, &topics.dead_letters, &topics.group]);
                command.arg(jar).arg(folder);
                let opened = FLINK_OPENS.map(|package| format!("--add-opens=java.base/{package}=ALL-UNNAMED"));
                // PyFlink's own variable takes one option only.
                command.env("JDK_JAVA_OPTIONS", format!("{FLINK_HEAP} {}", opened.join(" ")));
                command
            }
        })
    }
}
