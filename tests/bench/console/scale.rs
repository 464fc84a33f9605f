//! Many pipelines, partitions and dead letters, and a host that runs and reads them all.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use harness::host::{self, Host};
use harness::kafka::Kafka;
use harness::reference;
use harness::topics::{self, NewRecord};
use tempfile::TempDir;

use crate::http;

const MIB: usize = 1 << 20;
const START_LIMIT: Duration = Duration::from_secs(1200);
/// The pipeline with all partitions and letters, and the one that is loaded.
pub(crate) const LARGE: &str = "p000";
pub(crate) const LOADED: &str = "p001";
/// The letters of the group with lines of 1 MiB.
const LONG_LETTERS: usize = 20;
const SETTINGS: &str = "host.toml";
/// Records of a portion.
const PORTION: usize = 50_000;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) pipelines: usize,
    pub(crate) partitions: i32,
    pub(crate) letters: usize,
    pub(crate) groups: usize,
}

impl Default for Scale {
    fn default() -> Self {
        Self { pipelines: 200, partitions: 1000, letters: 1_000_000, groups: 100 }
    }
}

/// The topics, and the host that uses them.
pub(crate) struct World<'k> {
    kafka: &'k Kafka,
    host: Host,
    pub(crate) address: String,
    /// The settings file without the pipeline that is loaded.
    settings: String,
    dir: TempDir,
}

impl<'k> World<'k> {
    pub(crate) fn build(kafka: &'k Kafka, binary: &'static str, scale: Scale) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let large = [("max.message.bytes", "8388608")];
        let topic = |kind: &str| topics::unique(&format!("console-{kind}"));
        let [small, many, output, letters, dead] = ["small", "many", "out", "dlq", "dead"].map(topic);
        topics::create(kafka, &small, 1, &[]);
        topics::create(kafka, &many, scale.partitions, &large);
        topics::create(kafka, &output, 2, &large);
        topics::create(kafka, &letters, 1, &large);
        topics::create(kafka, &dead, 2, &large);
        fill_letters(kafka, &dead, scale);
        fill_partitions(kafka, &many, scale.partitions);
        let plugin = harness::plugins::build(binary, "plugins/reduce_visit");
        let mut settings = format!(
            "brokers = \"{}\"\nplugin = \"{}\"\nworkers = 1\nadmin = \"127.0.0.1:0\"\nlog-level = \"info\"\nstate-dir = \"{}\"\ncache-dir = \"{}\"\n",
            kafka.brokers(),
            plugin.display(),
            dir.path().join("state").display(),
            dir.path().join("cache").display()
        );
        for name in (0..scale.pipelines).map(|number| format!("p{number:03}")).filter(|name| name != LOADED) {
            let is_large = name == LARGE;
            let (input, letters) = if is_large { (&many, &dead) } else { (&small, &letters) };
            settings += &pipeline(&name, [input, &output, letters], if is_large { 2 } else { 1 });
        }
        let (host, address) = start(binary, &dir.path().join(SETTINGS), &settings);
        let world = Self { kafka, host, address, settings, dir };
        world.wait_until_read(scale.letters);
        world
    }

    /// Waits until all pipelines run, and the letters are read.
    fn wait_until_read(&self, letters: usize) {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let pipelines = http::json(&self.address, "/v1/pipelines");
            let pipelines = pipelines.as_array().expect("pipelines");
            let ready = pipelines.iter().filter(|pipeline| pipeline["ready"] == true).count();
            let status = http::json(&self.address, &format!("/v1/pipelines/{LARGE}/status"));
            let open = status["dead_letters"]["open"].as_u64().unwrap_or_default();
            if ready == pipelines.len() && open >= letters as u64 && self.lag(LARGE) == 0 {
                return;
            }
            let size = pipelines.len();
            assert!(
                Instant::now() < deadline,
                "{ready} of {size} run, {open} letters are read:\n{}",
                self.host.output()
            );
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// The committed input records of the loaded pipeline, and those that are left.
    pub(crate) fn progress(&self) -> (u64, u64) {
        let status = http::json(&self.address, &format!("/v1/pipelines/{LOADED}/status"));
        (status["counts"]["records_in"].as_u64().expect("a count"), self.lag(LOADED))
    }

    fn lag(&self, pipeline: &str) -> u64 {
        let status = http::json(&self.address, &format!("/v1/pipelines/{pipeline}/status"));
        let partitions = status["partitions"].as_array().expect("partitions");
        partitions.iter().map(|partition| partition["lag"].as_u64().unwrap_or(u64::from(u32::MAX))).sum()
    }

    /// Adds a pipeline that has many records to map, and waits until it maps.
    pub(crate) fn load(&self, records: usize) {
        let [input, output, letters] =
            ["load", "loaded", "failed"].map(|kind| topics::unique(&format!("console-{kind}")));
        for topic in [&input, &output, &letters] {
            topics::create(self.kafka, topic, 2, &[]);
        }
        let cases = reference::cases();
        let mut visits = cases.iter().filter(|case| case.reduced.is_some()).cycle();
        for _ in 0..records.div_ceil(PORTION) {
            let portion = visits.by_ref().take(PORTION).map(|case| NewRecord::value(case.value.as_str()));
            topics::produce(self.kafka, &input, portion);
        }
        let settings = self.settings.clone() + &pipeline(LOADED, [&input, &output, &letters], 2);
        fs::write(self.dir.path().join(SETTINGS), settings).expect("a file");
        let deadline = Instant::now() + START_LIMIT;
        let is_mapping = || {
            let pipelines = http::json(&self.address, "/v1/pipelines");
            let mut pipelines = pipelines.as_array().expect("pipelines").iter();
            pipelines.any(|pipeline| pipeline["name"] == LOADED && pipeline["records_in"].as_u64() > Some(0))
        };
        while !is_mapping() {
            assert!(Instant::now() < deadline, "the loaded pipeline does not map:\n{}", self.host.output());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The CPU time that the host has used.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.host.id())).expect("a process that runs");
        let (_, fields) = stat.rsplit_once(')').expect("a name");
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
        // A tick of Linux is 10 ms.
        Duration::from_millis(ticks * 10)
    }

    pub(crate) fn rss_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.host.id())).expect("a process that runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line of memory");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
    }
}

/// The table of a pipeline with these topics: input, output and dead letters.
fn pipeline(name: &str, [input, output, letters]: [&String; 3], workers: usize) -> String {
    format!(
        "[[pipeline]]\nname = \"{name}\"\ninput-topic = \"{input}\"\noutput-topic = \"{output}\"\n\
         dead-letter-topic = \"{letters}\"\ngroup = \"{}\"\nworkers = {workers}\n",
        topics::unique(name)
    )
}

fn start(binary: &str, path: &Path, text: &str) -> (Host, String) {
    fs::write(path, text).expect("a file");
    let mut command = host::command(binary);
    let mut host = Host::spawn(command.env_remove("MAPPER_ADMIN").args(["run", "--config"]).arg(path));
    let before = "admin server address=";
    host.wait_for(before);
    let output = host.output();
    let (_, address) = output.split_once(before).expect("it was waited for");
    let address = address.split_whitespace().next().expect("an address").to_owned();
    (host, address)
}

/// A dead letter of this host.
fn letter(number: usize, group: usize, failed: DateTime<Utc>, (message, input): (&str, &str)) -> NewRecord {
    let value = serde_json::json!({
        "processing_time": failed.format("%Y-%m-%dT%H:%M:%S%.6f").to_string(),
        "input_json": input,
        "error_message": message,
    });
    NewRecord::value(value.to_string())
        .key(format!("visitor {number}"))
        .partition((number % 2) as i32)
        .header("mapper-host.source", format!("visits/{}@{}", number % 1000, number / 1000))
        .header("mapper-host.failure", format!("rejected {:016x}", 0xabcd_0000_0000_0000_u64 + group as u64))
        .header("mapper-host.plugin", format!("reduce_visit 1.{}.0 abcdef{:06}", group % 3, group % 3))
        .header("mapper-host.attempt", "1")
}

fn fill_letters(kafka: &Kafka, topic: &str, scale: Scale) {
    let (now, line) = (Utc::now(), "x".repeat(MIB));
    let long = (0..LONG_LETTERS).map(|number| {
        let text = if number % 2 == 0 { ("a long line", line.as_str()) } else { (line.as_str(), "a long message") };
        letter(number, scale.groups - 1, now - chrono::Duration::hours(30), text)
    });
    topics::produce(kafka, topic, long);
    let visit = &reference::cases()[0].value;
    let mut number = LONG_LETTERS;
    while number < scale.letters {
        let end = (number + PORTION).min(scale.letters);
        topics::produce(
            kafka,
            topic,
            (number..end).map(|number| {
                let failed = now - chrono::Duration::seconds((number * 37 % 100_000) as i64);
                let group = number / 2 % scale.groups;
                letter(number, group, failed, (&format!("group {group}: record {number} has no page"), visit))
            }),
        );
        number = end;
    }
}

fn fill_partitions(kafka: &Kafka, topic: &str, partitions: i32) {
    let visits = reference::cases();
    let visit = |partition: i32| {
        let value = visits[partition as usize % visits.len()].value.as_str();
        NewRecord::value(value).partition(partition)
    };
    topics::produce(kafka, topic, (0..partitions).chain(0..partitions).map(visit));
    let line = "x".repeat(MIB - 1024);
    topics::produce(kafka, topic, (0..4).map(|partition| NewRecord::value(line.as_str()).partition(partition)));
}
