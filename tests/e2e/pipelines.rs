//! Several pipelines in one process, described by the tables of a file, on a real Kafka.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use harness::host::{self, Ended, Host};
use harness::kafka::Kafka;
use harness::topics::{self, NewRecord};
use serde_json::Value;
use tempfile::TempDir;

use crate::HOST;
use crate::admin::{address, ask, get};

/// The timeout of a wait.
const LIMIT: Duration = Duration::from_secs(60);

fn plugin() -> PathBuf {
    harness::plugins::build(HOST, "tests/guests/commands_batch")
}

/// The file of several pipelines, and the folders of the host.
pub(crate) struct Several {
    kafka: &'static Kafka,
    dir: TempDir,
    /// Keys above the tables.
    top: String,
    pipelines: Vec<Pipeline>,
}

/// A pipeline with its own topics.
#[derive(Clone)]
struct Pipeline {
    name: &'static str,
    /// The prefix of its topics, which end with `-in`, `-out` and `-dlq`.
    prefix: String,
    /// Further keys.
    more: String,
}

impl Pipeline {
    /// With new topics.
    fn new(kafka: &Kafka, name: &'static str) -> Self {
        let pipeline = Self { name, prefix: topics::unique(name), more: String::new() };
        for kind in ["in", "out", "dlq"] {
            topics::create(kafka, &pipeline.topic(kind), 1, &[]);
        }
        pipeline
    }

    fn topic(&self, kind: &str) -> String {
        format!("{}-{kind}", self.prefix)
    }

    fn table(&self) -> String {
        let (name, more) = (self.name, &self.more);
        let [input, output, letters] = ["in", "out", "dlq"].map(|kind| self.topic(kind));
        format!(
            "[[pipeline]]\nname = \"{name}\"\ninput-topic = \"{input}\"\noutput-topic = \"{output}\"\n\
             dead-letter-topic = \"{letters}\"\ngroup = \"{}\"\n{more}\n",
            self.prefix
        )
    }
}

impl Several {
    pub(crate) fn new(names: &[&'static str]) -> Self {
        let kafka = Kafka::shared();
        let pipelines = names.iter().map(|name| Pipeline::new(kafka, name)).collect();
        Self { kafka, dir: TempDir::new().expect("a folder"), top: String::new(), pipelines }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "brokers = \"{}\"\nplugin = \"{}\"\nworkers = 1\nadmin = \"127.0.0.1:0\"\nstate-dir = \"{}\"\ncache-dir = \"{}\"\n{}\n",
            self.kafka.brokers(),
            plugin().display(),
            self.dir.path().join("state").display(),
            self.dir.path().join("cache").display(),
            self.top
        );
        for pipeline in &self.pipelines {
            write!(text, "{}", pipeline.table()).expect("text grows");
        }
        text
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("host.toml")
    }

    /// Writes the file, as an editor does: whole, under its name at once.
    fn write(&self) {
        let new = self.dir.path().join("new");
        fs::write(&new, self.text()).expect("a file");
        fs::rename(new, self.file()).expect("a file");
    }

    fn command(&self) -> std::process::Command {
        let mut command = host::command(HOST);
        command.env_remove("MAPPER_ADMIN").args(["run", "--config"]).arg(self.file());
        command
    }

    pub(crate) fn start(&self) -> Host {
        self.write();
        Host::spawn(&mut self.command())
    }

    pub(crate) fn put(&self, name: &str, values: &[&str]) {
        let topic = self.pipeline(name).topic("in");
        topics::produce(self.kafka, &topic, values.iter().map(|value| NewRecord::value(*value)));
    }

    fn pipeline(&self, name: &str) -> &Pipeline {
        self.pipelines.iter().find(|pipeline| pipeline.name == name).expect("a pipeline of the test")
    }

    fn outputs(&self, name: &str) -> Vec<String> {
        let records = topics::read_all(self.kafka, &self.pipeline(name).topic("out"));
        records.into_iter().map(|record| String::from_utf8(record.value.unwrap_or_default()).expect("text")).collect()
    }
}

/// Polls until the condition is true; it has no event to wait for.
fn wait_for(host: &Host, what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !reached() {
        assert!(Instant::now() < deadline, "{what} never happened:\n{}", host.output());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A pipeline in the list of the host.
fn listed(admin: &str, name: &str) -> Value {
    let list: Value = serde_json::from_str(&get(admin, "/v1/pipelines").1).expect("JSON");
    let found = list.as_array().expect("a list").iter().find(|pipeline| pipeline["name"] == name);
    found.cloned().unwrap_or_default()
}

fn wait_until_ready(host: &Host, admin: &str, name: &str) {
    wait_for(host, &format!("{name} ready"), || listed(admin, name)["ready"] == true);
}

#[test]
fn pipelines_of_a_file_run_in_parallel_and_a_halted_one_restarts_alone() {
    let mut several = Several::new(&["a", "b"]);
    several.top = "commit-interval = \"20ms\"\n".to_owned();
    // Its output topic does not exist yet.
    let lost = several.pipelines[1].topic("out");
    topics::delete(several.kafka, &lost);
    several.pipelines[1].more = "connect-timeout = \"10s\"\n".to_owned();
    let mut host = several.start();
    let admin = address(&mut host);
    wait_until_ready(&host, &admin, "a");
    wait_for(&host, "b halts", || listed(&admin, "b")["state"] == "halted");
    let (code, why) = get(&admin, "/readyz");
    assert!(code == 503 && why.starts_with("b: pipeline: halted: ") && why.contains(&lost), "{code} {why}");
    assert_eq!(get(&admin, "/livez"), (200, "alive\n".to_owned()));
    several.put("a", &["value 1", "value 2"]);
    wait_for(&host, "records of a", || several.outputs("a") == ["1", "2"]);
    // A missing topic is a configuration error, so only a request restarts the pipeline.
    topics::create(several.kafka, &lost, 1, &[]);
    host.signal(libc::SIGHUP);
    wait_until_ready(&host, &admin, "b");
    assert_eq!((&listed(&admin, "a")["generation"], &listed(&admin, "b")["generation"]), (&1.into(), &2.into()));
    several.put("b", &["value 3"]);
    wait_for(&host, "records of b", || several.outputs("b") == ["3"]);
    let metrics = get(&admin, "/metrics").1;
    for sample in
        ["records_in_total{pipeline=\"a\"} 2", "records_in_total{pipeline=\"b\"} 1", "generation{pipeline=\"b\"} 2"]
    {
        assert!(metrics.contains(&format!("mapper_host_{sample}")), "{sample}: {metrics}");
    }
    let (code, why) = get(&admin, "/history");
    assert!(code == 409 && why.contains("several pipelines: a, b"), "{code} {why}");
    for name in ["a", "b"] {
        let history: Value =
            serde_json::from_str(&get(&admin, &format!("/v1/pipelines/{name}/history")).1).expect("JSON");
        assert_eq!(history[0]["current"], true, "{history}");
    }
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(ended.output.contains("a: 2 records in") && ended.output.contains("b: 1 records in"), "{}", ended.output);
}

#[test]
fn pipeline_rejected_by_kafka_restarts_with_backoff_and_the_other_continues() {
    let mut several = Several::new(&["a", "b"]);
    // No broker listens there, so a restart may help against the halt.
    several.pipelines[1].more = "brokers = \"127.0.0.1:1\"\nconnect-timeout = \"1s\"\n".to_owned();
    let mut host = several.start();
    let admin = address(&mut host);
    wait_until_ready(&host, &admin, "a");
    wait_for(&host, "a third start of b", || listed(&admin, "b")["generation"].as_u64() >= Some(3));
    several.put("a", &["value 1"]);
    wait_for(&host, "records of a", || several.outputs("a") == ["1"]);
    let ended = host.stop();
    // The exit code of the pipeline that failed.
    assert_eq!(ended.code, Some(4), "{}", ended.output);
    assert!(ended.output.contains("halted pipeline=\"b\""), "{}", ended.output);
    // librdkafka logs on its own threads.
    let of_connections: Vec<&str> = ended.output.lines().filter(|line| line.contains(" cause=")).collect();
    let named = of_connections.iter().all(|line| line.contains("pipeline{name=\"b\"}"));
    assert!(!of_connections.is_empty() && named, "{of_connections:#?}");
}

#[test]
fn first_halted_pipeline_ends_the_process_with_fail_fast() {
    let mut several = Several::new(&["a", "b"]);
    several.top = "fail-fast = true\n".to_owned();
    several.pipelines[1].more = "halt-on-error-ratio = 0.5\nerror-ratio-window = 4\n".to_owned();
    let mut host = several.start();
    let admin = address(&mut host);
    wait_until_ready(&host, &admin, "a");
    wait_until_ready(&host, &admin, "b");
    several.put("a", &["value 1"]);
    wait_for(&host, "records of a", || several.outputs("a") == ["1"]);
    several.put("b", &["panic 1", "panic 2", "panic 3", "panic 4"]);
    let Ended { code, output } = host.wait();
    assert_eq!(code, Some(5), "{output}");
    // Without the setting the pipeline stays halted, as each restart would dead-letter more records.
    several.top = String::new();
    let mut host = several.start();
    let admin = address(&mut host);
    wait_for(&host, "b halts", || listed(&admin, "b")["state"] == "halted");
    wait_until_ready(&host, &admin, "a");
    assert_eq!(listed(&admin, "b")["generation"], 1);
    assert_eq!(host.stop().code, Some(5));
}

#[test]
fn changed_file_adds_removes_and_restarts_only_changed_pipelines_and_an_invalid_file_changes_none() {
    let mut several = Several::new(&["a", "b", "c", "d"]);
    let added = several.pipelines.pop().expect("d");
    let mut host = several.start();
    let admin = address(&mut host);
    ["a", "b", "c"].iter().for_each(|name| wait_until_ready(&host, &admin, name));
    let before = several.text();
    let broken = before.replace("workers = 1", "workers = 0");
    fs::write(several.file(), broken).expect("a file");
    wait_for(&host, "the mistake is told of", || get(&admin, "/readyz").1.contains("config: not applied: "));
    let (code, text) = get(&admin, "/readyz");
    assert!(code == 200 && text.contains("workers: \"0\" is not allowed"), "{code} {text}");
    assert!(host.output().contains("settings file not applied"), "{}", host.output());
    assert!(get(&admin, "/metrics").1.contains("mapper_host_config_error 1"));
    // b is removed, c changes, d is added.
    several.pipelines.remove(1);
    several.pipelines[1].more = "commit-records = 7\n".to_owned();
    several.pipelines.push(added);
    several.write();
    wait_until_ready(&host, &admin, "d");
    wait_for(&host, "c starts again", || {
        let c = listed(&admin, "c");
        c["generation"] == 2 && c["ready"] == true
    });
    wait_for(&host, "b is gone", || listed(&admin, "b").is_null());
    assert_eq!((&listed(&admin, "a")["generation"], get(&admin, "/readyz")), (&1.into(), (200, "ready\n".to_owned())));
    assert_eq!(ask(&admin, "GET", "/v1/pipelines/b/status").map(|(code, _)| code), Some(404));
    for name in ["a", "c", "d"] {
        several.put(name, &["value 1"]);
        wait_for(&host, &format!("records of {name}"), || several.outputs(name) == ["1"]);
    }
    assert_eq!(host.stop().code, Some(0));
}

#[test]
fn check_of_a_file_names_mistakes_without_kafka_and_missing_topics_with_it() {
    let mut several = Several::new(&["a", "b"]);
    several.write();
    let check = |more: &[&str], several: &Several| {
        let mut command = host::command(HOST);
        Host::spawn(command.args(["check", "--config"]).arg(several.file()).args(more)).wait()
    };
    let good = check(&["--brokers", several.kafka.brokers()], &several);
    assert_eq!(good.code, Some(0), "{}", good.output);
    assert!(
        good.output.contains("no mistakes\npipeline a: memory at most ") && good.output.contains("\npipeline b: "),
        "{}",
        good.output
    );
    several.pipelines[0].more = "plugin = \"none.wasm\"\nworkers = 0\n".to_owned();
    topics::delete(several.kafka, &several.pipelines[1].topic("dlq"));
    several.write();
    let bad = check(&[], &several);
    assert_eq!(bad.code, Some(2), "{}", bad.output);
    for expected in ["pipeline a, key workers: \"0\"", "key plugin: none.wasm: there is no such file", "has 2 mistakes"]
    {
        assert!(bad.output.contains(expected), "{expected}: {}", bad.output);
    }
    let bad = check(&["--brokers", several.kafka.brokers()], &several);
    assert!(
        bad.output.contains(&several.pipelines[1].topic("dlq")) && bad.output.contains("3 mistakes"),
        "{}",
        bad.output
    );
    several.pipelines[0].more = String::new();
    several.pipelines[1].more = "create-topics = 1\n".to_owned();
    several.write();
    let created = check(&["--brokers", several.kafka.brokers()], &several);
    assert_eq!(created.code, Some(0), "{}", created.output);
    let missing = several.pipelines[1].topic("dlq");
    assert!(created.output.contains(&format!("pipeline b: will create the topic '{missing}'")), "{}", created.output);
    // It still does not exist.
    assert!(check(&["--brokers", several.kafka.brokers()], &several).output.contains(&missing));
    let ledger = several.pipelines[1].topic("ledger");
    several.pipelines[1].more = format!("create-topics = 1\nledger-topic = \"{ledger}\"\n");
    several.write();
    let created = check(&["--brokers", several.kafka.brokers()], &several);
    assert!(created.output.contains(&format!("pipeline b: will create the topic '{ledger}'")), "{}", created.output);
}
