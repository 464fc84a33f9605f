//! The whole job, end to end on a real Kafka: this host beside a native consumer with the mapper compiled in.
//!
//! `cargo bench -p host --bench job -- [--records N] [--pairs N] [--failing PERCENT] [--record-bytes N] [--partitions N]
//! [--only ROW]…`, where a row is `exactly-once-2` (two
//! workers), `exactly-once-1`, `at-least-once-2`, `at-least-once-1` or `latency`. All jobs do the same work (it is checked that they write
//! the same records), run in turn on the same broker, and are measured from outside, the same way. The native job writes dead letters as
//! one writes them by hand, without headers that describe the failure; with two workers, exactly once, both are also compared with all
//! twenty headers of version 1.

mod committed;
mod ends;
mod flags;
mod input;
mod latency;
mod median;
mod native;
mod outputs;
mod process;
mod report;
mod topics;
mod watch;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use harness::kafka::Kafka;
use harness::topics::unique;
use mapper_host::config::Delivery;
use tempfile::TempDir;

use input::{Input, Shape};
use outputs::Outputs;
use process::Process;
use report::Row;
use topics::{Case, PARTITIONS, RUN_TIMEOUT, Topics};
use watch::Run;

// As in the host, so that it makes no difference.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CASES: [Case; 4] = [
    Case { delivery: Delivery::ExactlyOnce, workers: 2 },
    Case { delivery: Delivery::ExactlyOnce, workers: 1 },
    Case { delivery: Delivery::AtLeastOnce, workers: 2 },
    Case { delivery: Delivery::AtLeastOnce, workers: 1 },
];
const LATENCY: &str = "latency";

impl Case {
    fn name(self) -> String {
        format!("{}-{}", self.delivery, self.workers)
    }
}

/// Which of the jobs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Job {
    /// Without headers of dead letters.
    Native,
    /// With those of version 1.
    NativeFull,
    /// With those of its default.
    Host,
    /// With those of version 1.
    HostFull,
}

impl Job {
    fn is_host(self) -> bool {
        matches!(self, Self::Host | Self::HostFull)
    }

    fn has_full_headers(self) -> bool {
        matches!(self, Self::NativeFull | Self::HostFull)
    }
}

/// What the command line says.
struct Options {
    records: u64,
    pairs: usize,
    /// The share of records that fail, in percent; as generated if not given.
    failing: Option<u64>,
    /// The least size of a visit, in bytes.
    record_bytes: usize,
    partitions: i32,
    only: Vec<String>,
    /// Another build of the host, to compare two of them.
    host: String,
    /// More arguments for the host.
    host_args: Vec<String>,
}

impl Options {
    fn read(args: impl Iterator<Item = String>) -> Result<Self> {
        let host = env!("CARGO_BIN_EXE_mapper-host").to_owned();
        let mut options = Self {
            records: 1_000_000,
            pairs: 5,
            failing: None,
            record_bytes: 0,
            partitions: PARTITIONS,
            only: Vec::new(),
            host,
            host_args: Vec::new(),
        };
        let rows: Vec<String> = CASES.into_iter().map(Case::name).chain([LATENCY.to_owned()]).collect();
        for (flag, value) in flags::read(args)? {
            match flag.as_str() {
                "--records" => options.records = value.parse().with_context(|| format!("{value} is no number"))?,
                "--pairs" => options.pairs = value.parse().with_context(|| format!("{value} is no number"))?,
                "--failing" => {
                    options.failing = Some(value.parse().with_context(|| format!("{value} is no percentage"))?);
                }
                "--record-bytes" => {
                    options.record_bytes = value.parse().with_context(|| format!("{value} is no size in bytes"))?;
                }
                "--partitions" => {
                    options.partitions = value.parse().with_context(|| format!("{value} is no number"))?;
                }
                "--only" if rows.contains(&value) => options.only.push(value),
                "--only" => bail!("there is no row '{value}', but {}", rows.join(", ")),
                "--host" => options.host = value,
                "--host-arg" => options.host_args.push(value),
                _ => {
                    bail!(
                        "unknown flag {flag}; there are --records, --pairs, --failing, --record-bytes, --partitions, --only, --host and \
                         --host-arg"
                    )
                }
            }
        }
        ensure!(options.records >= 1000 && options.pairs >= 1, "at least 1000 records and one pair are needed");
        ensure!(options.failing.is_none_or(|failing| failing <= 100), "--failing is a percentage, up to 100");
        Ok(options)
    }

    fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == row)
    }
}

/// The broker, the plugin and the folders of one run of the benchmark.
struct Bench {
    options: Options,
    kafka: Kafka,
    plugin: PathBuf,
    dir: TempDir,
}

impl Bench {
    fn start(&self, job: Job, case: Case, topics: &Topics, records: u64, until_end: bool) -> Result<Process> {
        let command = match job {
            Job::Host | Job::HostFull => self.host(job, case, topics, until_end),
            Job::Native | Job::NativeFull => native::Options {
                brokers: self.kafka.brokers().to_owned(),
                topics,
                case,
                records,
                until_end,
                has_headers: job == Job::NativeFull,
            }
            .command()?,
        };
        Process::start(command, self.dir.path().join(unique("log")))
    }

    fn host(&self, job: Job, case: Case, topics: &Topics, until_end: bool) -> Command {
        let mut command = harness::host::command(&self.options.host);
        command.arg("run").arg("--plugin").arg(&self.plugin);
        for folder in ["state", "cache"] {
            command.arg(format!("--{folder}-dir")).arg(self.dir.path().join(folder));
        }
        command.args(["--brokers", self.kafka.brokers(), "--group", &topics.group]);
        command.args(["--input-topic", &topics.input, "--output-topic", &topics.output]);
        command.args(["--dead-letter-topic", &topics.dead_letters]);
        command.args(["--delivery", &case.delivery.to_string(), "--workers", &case.workers.to_string()]);
        command.args(["--dead-letter-headers", if job == Job::HostFull { "full" } else { "compact" }]);
        command.args(until_end.then_some("--until-end")).args(&self.options.host_args);
        command
    }

    /// One run over all of the input, whose outputs are counted.
    fn run(&self, job: Job, case: Case, input: &Input) -> Result<Run> {
        let topics = Topics::after(&self.kafka, &input.topic, self.options.partitions);
        let process = self.start(job, case, &topics, input.records, true)?;
        let log = process.log.clone();
        let run = watch::watch(process, self.kafka.brokers(), &topics)?;
        let outputs = Outputs::read(self.kafka.brokers(), &topics)?;
        let (good, bad) = (input.good, input.records - input.good);
        if case.delivery == Delivery::AtLeastOnce && outputs.reduced + outputs.dead_letters > input.records {
            // What was not committed when the workers came together in the group was done again.
            assert!(outputs.reduced >= good && outputs.dead_letters >= bad, "a record is missing");
        } else {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            let wrote = (outputs.reduced, outputs.dead_letters);
            assert_eq!(wrote, (good, bad), "(outputs, dead letters) of the {job:?} job, which said:\n{log}");
            assert_eq!(outputs.checksum, *input.checksum.get_or_init(|| outputs.checksum), "all write the same");
            if job.has_full_headers() {
                let headers = *input.headers_checksum.get_or_init(|| outputs.headers_checksum);
                assert_eq!(outputs.headers_checksum, headers, "both write the same headers");
            }
        }
        topics.delete(&self.kafka);
        Ok(run)
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|command| command == native::COMMAND) {
        return native::main(&args[2..]);
    }
    let options = Options::read(args.into_iter().skip(1))?;
    let plugin = harness::plugins::build(env!("CARGO_BIN_EXE_mapper-host"), "plugins/reduce_visit");
    let bench = Bench { options, kafka: Kafka::start_for_load()?, plugin, dir: TempDir::new()? };
    throughput(&bench)?;
    if bench.options.wants(LATENCY) {
        latency(&bench)?;
    }
    let cores = std::thread::available_parallelism()?;
    println!("\nOn a machine of {cores} cores, with the broker on it.");
    Ok(())
}

fn throughput(bench: &Bench) -> Result<()> {
    let cases: Vec<Case> = CASES.into_iter().filter(|case| bench.options.wants(&case.name())).collect();
    let Some(&first) = cases.first() else { return Ok(()) };
    let Options { records, failing, record_bytes: min_bytes, partitions, .. } = bench.options;
    let input = Input::fill(&bench.kafka, Shape { records, failing, min_bytes, partitions })?;
    let (records, pairs) = (input.records, bench.options.pairs);
    println!("{records} visits, of which {} can be reduced; medians of {pairs} pairs of runs in turn\n", input.good);
    // So that the broker's code is compiled, and the plugin is in the cache.
    for job in [Job::Native, Job::Host] {
        bench.run(job, first, &input)?;
    }
    report::throughput_head();
    for case in cases {
        let with_full = (case.delivery, case.workers) == (Delivery::ExactlyOnce, 2) && input.good < records;
        let pairs_of_jobs = [
            (Job::Native, "native", Job::Host, "host"),
            (Job::NativeFull, "native, full headers", Job::HostFull, "host, full headers"),
        ];
        for (native, native_name, host, host_name) in &pairs_of_jobs[..1 + usize::from(with_full)] {
            let (mut natives, mut hosts) = (Vec::new(), Vec::new());
            for _ in 0..pairs {
                natives.push(bench.run(*native, case, &input)?);
                hosts.push(bench.run(*host, case, &input)?);
            }
            Row { job: native_name, case, records, runs: &natives, beside: None }.print();
            Row { job: host_name, case, records, runs: &hosts, beside: Some(&natives) }.print();
        }
    }
    Ok(())
}

fn latency(bench: &Bench) -> Result<()> {
    let case = CASES[0];
    let (mut natives, mut hosts) = (Vec::new(), Vec::new());
    for _ in 0..bench.options.pairs {
        for (job, latencies) in [(Job::Native, &mut natives), (Job::Host, &mut hosts)] {
            let input = unique("bench-visits");
            harness::topics::create(&bench.kafka, &input, bench.options.partitions, &[]);
            let topics = Topics::after(&bench.kafka, &input, bench.options.partitions);
            let process = bench.start(job, case, &topics, latency::RECORDS, false)?;
            latencies.push(latency::measure(process, bench.kafka.brokers(), &topics, job.is_host())?);
            topics.delete(&bench.kafka);
        }
    }
    report::latency_head(case);
    report::latency("native", &natives);
    report::latency("host", &hosts);
    Ok(())
}
