//! The whole job, end to end on a real Kafka: this host beside a native consumer with the mapper compiled in.
//!
//! `cargo bench -p host --bench job -- [--records N] [--pairs N] [--only ROW]…`, where a row is `exactly-once-2` (two
//! workers), `exactly-once-1`, `at-least-once-2`, `at-least-once-1` or `latency`. Both jobs do the same work (it is
//! checked that they write the same records), run in turn on the same broker, and are measured from outside, the same way.

mod latency;
mod native;
mod outputs;
mod process;
mod report;
mod watch;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use harness::kafka::Kafka;
use harness::topics;
use mapper_host::config::Delivery;
use mapper_visits::{Generator, Profile};
use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use tempfile::TempDir;

use outputs::Outputs;
use process::Process;
use report::Row;
use watch::Run;

// As in the host, so that it makes no difference.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// All topics have as many partitions as the reference has workers.
const PARTITIONS: i32 = 2;
/// How long one run may take, apart from reading its outputs.
const RUN_TIMEOUT: Duration = Duration::from_secs(300);

/// A delivery and a number of workers to compare the jobs with.
#[derive(Clone, Copy)]
struct Case {
    delivery: Delivery,
    workers: usize,
}

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
    Native,
    /// The native one without the headers of dead letters: what they cost.
    Bare,
    Host,
}

/// What a run reads, and where it writes.
struct Topics {
    input: String,
    output: String,
    dead_letters: String,
    group: String,
}

impl Topics {
    /// New output topics and a new group.
    fn after(kafka: &Kafka, input: &str) -> Self {
        let [output, dead_letters, group] =
            ["out", "dlq", "group"].map(|kind| topics::unique(&format!("bench-{kind}")));
        for topic in [&output, &dead_letters] {
            topics::create(kafka, topic, PARTITIONS, &[]);
        }
        Self { input: input.to_owned(), output, dead_letters, group }
    }

    fn delete(&self, kafka: &Kafka) {
        topics::delete(kafka, &self.output);
        topics::delete(kafka, &self.dead_letters);
    }
}

/// What the command line says.
struct Options {
    records: u64,
    pairs: usize,
    only: Vec<String>,
    /// Another build of the host, to compare two of them.
    host: String,
    /// More arguments for the host.
    host_args: Vec<String>,
}

impl Options {
    fn read(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let host = env!("CARGO_BIN_EXE_mapper-host").to_owned();
        let mut options = Self { records: 1_000_000, pairs: 3, only: Vec::new(), host, host_args: Vec::new() };
        let rows: Vec<String> = CASES.into_iter().map(Case::name).chain([LATENCY.to_owned()]).collect();
        while let Some(flag) = args.next() {
            // Cargo says so to every benchmark.
            if flag == "--bench" {
                continue;
            }
            let value = args.next().with_context(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--records" => options.records = value.parse().with_context(|| format!("{value} is no number"))?,
                "--pairs" => options.pairs = value.parse().with_context(|| format!("{value} is no number"))?,
                "--only" if rows.contains(&value) => options.only.push(value),
                "--only" => bail!("there is no row '{value}', but {}", rows.join(", ")),
                "--host" => options.host = value,
                "--host-arg" => options.host_args.push(value),
                _ => bail!("unknown flag {flag}; there are --records, --pairs, --only, --host and --host-arg"),
            }
        }
        ensure!(options.records >= 1000 && options.pairs >= 1, "at least 1000 records and one pair are needed");
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
            Job::Host => self.host(case, topics, until_end),
            _ => native::Options {
                brokers: self.kafka.brokers().to_owned(),
                topics,
                case,
                records,
                until_end,
                bare: job == Job::Bare,
            }
            .command()?,
        };
        Process::start(command, self.dir.path().join(topics::unique("log")))
    }

    fn host(&self, case: Case, topics: &Topics, until_end: bool) -> Command {
        let mut command = harness::host::command(&self.options.host);
        command.arg("run").arg("--plugin").arg(&self.plugin);
        for folder in ["state", "cache"] {
            command.arg(format!("--{folder}-dir")).arg(self.dir.path().join(folder));
        }
        command.args(["--brokers", self.kafka.brokers(), "--group", &topics.group]);
        command.args(["--input-topic", &topics.input, "--output-topic", &topics.output]);
        command.args(["--dead-letter-topic", &topics.dead_letters]);
        command.args(["--delivery", &case.delivery.to_string(), "--workers", &case.workers.to_string()]);
        command.args(until_end.then_some("--until-end")).args(&self.options.host_args);
        command
    }

    /// One run over all of the input, whose outputs are counted.
    fn run(&self, job: Job, case: Case, input: &Input) -> Result<Run> {
        let topics = Topics::after(&self.kafka, &input.topic);
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
            if job != Job::Bare {
                assert_eq!(outputs.checksum, *input.checksum.get_or_init(|| outputs.checksum), "both write the same");
            }
        }
        topics.delete(&self.kafka);
        Ok(run)
    }
}

/// The topic of visits.
struct Input {
    topic: String,
    records: u64,
    /// How many can be reduced.
    good: u64,
    /// What the first run wrote.
    checksum: std::cell::OnceCell<u64>,
}

impl Input {
    fn fill(kafka: &Kafka, records: u64) -> Result<Self> {
        let topic = topics::unique("bench-visits");
        topics::create(kafka, &topic, PARTITIONS, &[]);
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", kafka.brokers())
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "20")
            .set("enable.idempotence", "true")
            .create()?;
        let mut good = 0;
        for row in Generator::new(Profile::default()).take(usize::try_from(records)?) {
            good += u64::from(reduce_visit::reduce::reduce(row.value.as_bytes()).is_ok());
            let mut record: BaseRecord<'_, str, str> = BaseRecord::to(&topic).payload(&row.value);
            record.key = row.key.as_deref();
            while let Err((error, back)) = producer.send(record) {
                ensure!(error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull), error);
                std::thread::sleep(Duration::from_millis(1));
                record = back;
            }
        }
        producer.flush(RUN_TIMEOUT)?;
        let held: i64 = topics::end_offsets(kafka, &topic).into_iter().sum();
        ensure!(u64::try_from(held)? == records, "the topic has {held} of {records} visits");
        Ok(Self { topic, records, good, checksum: std::cell::OnceCell::new() })
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
    let input = Input::fill(&bench.kafka, bench.options.records)?;
    let (records, pairs) = (input.records, bench.options.pairs);
    println!("{records} visits, of which {} can be reduced; medians of {pairs} pairs of runs in turn\n", input.good);
    // So that the broker's code is compiled, and the plugin is in the cache.
    for job in [Job::Native, Job::Host] {
        bench.run(job, first, &input)?;
    }
    report::throughput_head();
    for case in cases {
        let (mut natives, mut hosts) = (Vec::new(), Vec::new());
        for _ in 0..pairs {
            natives.push(bench.run(Job::Native, case, &input)?);
            hosts.push(bench.run(Job::Host, case, &input)?);
        }
        Row { job: "native", case, records, runs: &natives, beside: None }.print();
        Row { job: "host", case, records, runs: &hosts, beside: Some(&natives) }.print();
        if (case.delivery, case.workers) == (Delivery::ExactlyOnce, 2) {
            let bare = [bench.run(Job::Bare, case, &input)?];
            Row { job: "native, dead letters without headers", case, records, runs: &bare, beside: None }.print();
        }
    }
    Ok(())
}

fn latency(bench: &Bench) -> Result<()> {
    let case = CASES[0];
    let (mut natives, mut hosts) = (Vec::new(), Vec::new());
    for _ in 0..bench.options.pairs {
        for (job, latencies) in [(Job::Native, &mut natives), (Job::Host, &mut hosts)] {
            let input = topics::unique("bench-visits");
            topics::create(&bench.kafka, &input, PARTITIONS, &[]);
            let topics = Topics::after(&bench.kafka, &input);
            let process = bench.start(job, case, &topics, latency::RECORDS, false)?;
            latencies.push(latency::measure(process, bench.kafka.brokers(), &topics, job == Job::Host)?);
            topics.delete(&bench.kafka);
        }
    }
    report::latency_head(case);
    report::latency("native", &natives);
    report::latency("host", &hosts);
    Ok(())
}
