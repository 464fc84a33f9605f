//! How far one pipeline disturbs the others of its process: `cargo bench -p host --bench pipelines`.
//!
//! One host runs eight pipelines on a real Kafka. Seven are given a few records a second; the eighth is idle, or flooded, or spins until
//! its deadline on every record, or traps on every record. Printed are the times from the timestamp of a record until a reader of
//! committed records has its output, those of the seven alone, and the memory of the process beside the sum of the pipelines' limits.
//!
//! With `-- idle flooded` only these are measured, and `--seconds N` says for how long each.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use harness::host::{self, Host};
use harness::kafka::Kafka;
use harness::topics::{self, NewRecord};
use mapper_host::cli;
use mapper_host::config::{Command, MemoryBound};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

const HOST: &str = env!("CARGO_BIN_EXE_mapper-host");
/// Pipelines that are measured.
const QUIET: usize = 7;
/// Records a second of each.
const RATE: u64 = 20;
const SECONDS: u64 = 20;
/// What is measured at first is the start.
const WARM_UP: Duration = Duration::from_secs(5);
/// After so long without an output there is none any more.
const SILENCE: Duration = Duration::from_secs(5);
const FLUSH_LIMIT: Duration = Duration::from_secs(60);
/// Records of a portion of the flood: it stops only to see whether it is to end.
const FLOOD: usize = 20_000;

/// What the eighth pipeline does.
#[derive(Clone, Copy)]
struct Offence {
    name: &'static str,
    /// The value of its records; `None`: it has none.
    value: Option<&'static str>,
    /// Further keys of its table.
    keys: &'static str,
}

const OFFENCES: [Offence; 4] = [
    Offence { name: "idle", value: None, keys: "" },
    Offence { name: "flooded", value: Some("keep"), keys: "" },
    Offence { name: "spinning", value: Some("spin"), keys: "record-timeout = \"500ms\"\nbreaker-after = 0\n" },
    Offence { name: "trapping", value: Some("panic at once"), keys: "breaker-after = 0\n" },
];

/// What was measured with one of them.
struct Measured {
    p50: Duration,
    p99: Duration,
    /// Of the pipeline with the longest.
    worst_p99: Duration,
    peak_rss_mib: f64,
    bound_mib: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let seconds = arguments.iter().position(|argument| argument == "--seconds").and_then(|at| arguments.get(at + 1));
    let seconds: u64 = seconds.map_or(SECONDS, |text| text.parse().expect("--seconds is a number"));
    let warm_up = WARM_UP.as_secs();
    assert!(seconds > warm_up, "--seconds {seconds}: the first {warm_up} s are not measured; give more");
    let named = |offence: &Offence| arguments.iter().any(|argument| argument == offence.name);
    let all = !OFFENCES.iter().any(named);
    let kafka = Kafka::start_for_load().expect("a Kafka");
    let plugin = harness::plugins::build(HOST, "tests/guests/commands_batch");
    println!("\n{QUIET} pipelines of {RATE} records/s each for {seconds} s, and an eighth\n");
    println!("| the eighth is | p50 ms | p99 ms | worst p99 ms | p99 ÷ idle | peak RSS MiB | sum of limits MiB |");
    println!("|---|---|---|---|---|---|---|");
    let mut idle = None;
    for offence in OFFENCES.iter().filter(|offence| all || named(offence)) {
        let measured = measure(&kafka, &plugin, offence, seconds);
        let idle = *idle.get_or_insert(measured.p99);
        let ms = |duration: Duration| duration.as_millis();
        println!(
            "| {} | {} | {} | {} | {:.2} | {:.0} | {:.0} |",
            offence.name,
            ms(measured.p50),
            ms(measured.p99),
            ms(measured.worst_p99),
            measured.p99.as_secs_f64() / idle.as_secs_f64(),
            measured.peak_rss_mib,
            measured.bound_mib
        );
        assert!(measured.peak_rss_mib <= measured.bound_mib, "the process has more memory than its pipelines may use");
    }
}

/// Topics of a pipeline.
fn topic(prefix: &str, number: usize, kind: &str) -> String {
    format!("{prefix}-{number}-{kind}")
}

fn file(kafka: &Kafka, plugin: &Path, dir: &Path, prefix: &str, offence: &Offence) -> String {
    let mut text = format!(
        "brokers = \"{}\"\nplugin = \"{}\"\nworkers = 1\nadmin = \"off\"\nlog-level = \"warn\"\nstate-dir = \"{}\"\ncache-dir = \"{}\"\n",
        kafka.brokers(),
        plugin.display(),
        dir.join("state").display(),
        dir.join("cache").display()
    );
    for number in 0..=QUIET {
        let [input, output, letters] = ["in", "out", "dlq"].map(|kind| topic(prefix, number, kind));
        for topic in [&input, &output, &letters] {
            topics::create(kafka, topic, 1, &[]);
        }
        let keys = if number == QUIET { offence.keys } else { "" };
        write!(
            text,
            "[[pipeline]]\nname = \"p{number}\"\ninput-topic = \"{input}\"\noutput-topic = \"{output}\"\n\
             dead-letter-topic = \"{letters}\"\ngroup = \"{prefix}-{number}\"\n{keys}"
        )
        .expect("text grows");
    }
    text
}

fn measure(kafka: &Kafka, plugin: &Path, offence: &Offence, seconds: u64) -> Measured {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("host.toml");
    let prefix = topics::unique(offence.name);
    fs::write(&path, file(kafka, plugin, dir.path(), &prefix, offence)).expect("a file");
    let arguments = ["host", "run", "--config"].map(OsString::from).into_iter().chain([path.clone().into()]);
    let Ok(Command::Run(config)) = cli::parse(arguments, Vec::<(String, String)>::new()) else { panic!("a run") };
    let bound: u64 = config.pipelines.iter().map(|spec| MemoryBound::of(spec).total()).sum();
    let mut command = host::command(HOST);
    let host = Host::spawn(command.env_remove("MAPPER_ADMIN").args(["run", "--config"]).arg(&path));
    let ends = AtomicBool::new(false);
    let (latencies, peak_rss_mib) = std::thread::scope(|scope| {
        if let Some(value) = offence.value {
            let input = topic(&prefix, QUIET, "in");
            scope.spawn(|| flood(kafka, input, value, &ends));
        }
        let measured = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| quiet(kafka, &prefix, &host, seconds)));
        ends.store(true, Ordering::Relaxed);
        measured.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    host.kill();
    let percentile = |taken: &mut Vec<Duration>, percent: usize| {
        taken.sort_unstable();
        taken[(taken.len() - 1) * percent / 100]
    };
    let worst = latencies.iter().cloned().map(|mut taken| percentile(&mut taken, 99)).max();
    let mut all = latencies.concat();
    Measured {
        p50: percentile(&mut all, 50),
        p99: percentile(&mut all, 99),
        worst_p99: worst.unwrap_or_default(),
        peak_rss_mib,
        bound_mib: bound as f64 / f64::from(1 << 20),
    }
}

/// Gives the eighth pipeline as much as it takes, until the others are measured.
fn flood(kafka: &Kafka, input: String, value: &str, ends: &AtomicBool) {
    while !ends.load(Ordering::Relaxed) {
        topics::produce(kafka, &input, (0..FLOOD).map(|_| NewRecord::value(value)));
    }
}

/// Times from records to their outputs, by pipeline, and the peak memory of the host.
fn quiet(kafka: &Kafka, prefix: &str, host: &Host, seconds: u64) -> (Vec<Vec<Duration>>, f64) {
    let outputs: Vec<String> = (0..QUIET).map(|number| topic(prefix, number, "out")).collect();
    let reader = reader(kafka, &outputs);
    let mut latencies = vec![Vec::new(); QUIET];
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(kafka, prefix, seconds));
        let (mut first, mut last) = (None, Instant::now());
        // The last outputs come after the last records.
        while !sender.is_finished() || last.elapsed() < SILENCE {
            if let Some((pipeline, took)) = take(&reader, &outputs) {
                last = Instant::now();
                if first.get_or_insert(last).elapsed() >= WARM_UP {
                    latencies[pipeline].push(took);
                }
            }
            assert!(first.is_some() || !sender.is_finished(), "no outputs:\n{}", host.output());
        }
    });
    (latencies, peak_rss_mib(host))
}

/// Sends to the seven at their rate.
fn send(kafka: &Kafka, prefix: &str, seconds: u64) {
    let inputs: Vec<String> = (0..QUIET).map(|number| topic(prefix, number, "in")).collect();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.brokers()).set("linger.ms", "0");
    let producer: ThreadedProducer<DefaultProducerContext> = config.create().expect("a producer");
    let started = Instant::now();
    for number in 0..(WARM_UP.as_secs() + seconds) * RATE {
        let due = Duration::from_secs_f64(number as f64 / RATE as f64);
        std::thread::sleep(due.saturating_sub(started.elapsed()));
        for input in &inputs {
            let record: BaseRecord<'_, (), str> = BaseRecord::to(input).payload("keep").timestamp(now_ms());
            producer.send(record).map_err(|(error, _)| error).expect("a record that is taken");
        }
    }
    producer.flush(FLUSH_LIMIT).expect("records that are delivered");
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).expect("a time in this era")
}

fn reader(kafka: &Kafka, outputs: &[String]) -> BaseConsumer {
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.brokers())
        .set("group.id", "bench-pipelines")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a reader");
    let mut all = TopicPartitionList::new();
    for output in outputs {
        all.add_partition_offset(output, 0, Offset::Beginning).expect("a partition");
    }
    reader.assign(&all).expect("an assignment");
    reader
}

/// Takes one output, if one comes soon: of which pipeline it is, and how long it took to get here.
fn take(reader: &BaseConsumer, outputs: &[String]) -> Option<(usize, Duration)> {
    let record = reader.poll(Duration::from_millis(50))?.expect("an output");
    let sent = record.timestamp().to_millis().expect("an output has the timestamp of its input");
    let took = Duration::from_millis(u64::try_from(now_ms() - sent).unwrap_or_default());
    let pipeline = outputs.iter().position(|output| output == record.topic()).expect("a topic that was asked for");
    Some((pipeline, took))
}

fn peak_rss_mib(host: &Host) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.id())).expect("a process that runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line of memory");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}
