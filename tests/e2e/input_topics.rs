//! Pipelines that read several input topics: a list, or a pattern.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use harness::changes;
use harness::host::{self, Host, Job};
use harness::kafka::Kafka;
use harness::letters;
use harness::topics::{self, NewRecord};
use serde_json::Value;

use crate::HOST;
use crate::admin::{address, get, of_pipeline, status, wait_until_ready};

const SOON: Duration = Duration::from_secs(90);
/// Small transactions, so that a kill hits many of them.
const QUICK: [&str; 6] = ["--commit-records", "20", "--batch-records", "16", "--session-timeout", "2s"];
const LOG: [&str; 4] = ["--log-format", "json", "--log-level", "info,step=trace"];
/// The refresh of the metadata is every 30 s otherwise.
const REFRESH: [&str; 2] = ["--kafka", "topic.metadata.refresh.interval.ms=500"];

/// A job with input topics besides those of every job.
struct Several<'k> {
    job: Job<'k>,
    /// All names start with this.
    prefix: String,
}

impl<'k> Several<'k> {
    fn new(name: &str) -> Self {
        let plugin = harness::plugins::build(HOST, "tests/guests/commands_batch");
        Self { job: Job::new(Kafka::shared(), name, HOST, &plugin), prefix: topics::unique(&format!("{name}-of")) }
    }

    /// Creates an input topic of two partitions.
    fn create(&self, name: &str) -> String {
        let topic = self.topic(name);
        topics::create(self.job.kafka, &topic, 2, &[]);
        topic
    }

    fn topic(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    fn list(&self, names: &[&str]) -> String {
        names.iter().map(|name| self.topic(name)).collect::<Vec<_>>().join(",")
    }

    fn pattern(&self) -> String {
        format!("^{}-.*", self.prefix)
    }

    /// Writes records to which the guest answers with their topic, partition and offset. Each fifth fails instead.
    fn put(&self, name: &str, count: usize) {
        let record = |number: usize| {
            let partition = (number % 2) as i32;
            let value = if number % 5 == 4 { "reject no" } else { "see" };
            NewRecord::value(value).key(format!("{name}/{partition}")).partition(partition)
        };
        topics::produce(self.job.kafka, &self.topic(name), (0..count).map(record));
    }

    /// The offsets that the guest saw of each partition, in the order of the outputs.
    fn seen(&self) -> BTreeMap<(String, i32), Vec<i64>> {
        let mut seen: BTreeMap<(String, i32), Vec<i64>> = BTreeMap::new();
        for record in topics::read_all(self.job.kafka, &self.job.output) {
            let value = String::from_utf8(record.value.expect("an output")).expect("text");
            let (position, _) = value.split_once(' ').expect("what was seen");
            let (topic, position) = position.rsplit_once('/').expect("a topic");
            let (partition, offset) = position.split_once('@').expect("an offset");
            let topic = topic.strip_prefix(&format!("{}-", self.prefix)).expect("a topic of the test").to_owned();
            let number = |text: &str| text.parse::<i64>().expect("a number");
            seen.entry((topic, number(partition) as i32)).or_default().push(number(offset));
        }
        seen
    }

    /// The records that failed, by the headers of their dead letters.
    fn failed(&self) -> BTreeMap<(String, i32), Vec<i64>> {
        let mut failed: BTreeMap<(String, i32), Vec<i64>> = BTreeMap::new();
        for letter in topics::read_all(self.job.kafka, &self.job.dead_letters) {
            let (topic, partition, offset) = letters::source(&letter);
            let topic = topic.strip_prefix(&format!("{}-", self.prefix)).expect("a topic of the test").to_owned();
            failed.entry((topic, partition)).or_default().push(offset);
        }
        failed
    }

    fn count_of(&self, name: &str) -> usize {
        let count = |places: BTreeMap<(String, i32), Vec<i64>>| -> usize {
            places.iter().filter(|((topic, _), _)| topic == name).map(|(_, offsets)| offsets.len()).sum()
        };
        count(self.seen()) + count(self.failed())
    }

    /// Checks that each of the records of these topics was mapped once, and in the order of its partition.
    fn check(&self, written: &[(&str, usize)]) {
        let (mut seen, mut failed) = (self.seen(), self.failed());
        for (name, count) in written {
            for partition in [0, 1] {
                let of = |fails: bool| -> Vec<i64> {
                    let numbers = (0..*count).filter(|number| (number % 2) as i32 == partition);
                    let fails_at = numbers.enumerate().filter(|(_, number)| (number % 5 == 4) == fails);
                    fails_at.map(|(offset, _)| offset as i64).collect()
                };
                let position = ((*name).to_owned(), partition);
                assert_eq!(seen.remove(&position).unwrap_or_default(), of(false), "outputs of {position:?}");
                // Dead letters have the key of their record, so they are in order, too.
                assert_eq!(failed.remove(&position).unwrap_or_default(), of(true), "dead letters of {position:?}");
            }
        }
        assert!(seen.is_empty() && failed.is_empty(), "{seen:?} {failed:?}");
    }

    fn wait_for_all(&self, host: &Host, name: &str, count: usize) {
        wait_for(host, &format!("{count} records of {name}"), || self.count_of(name) >= count);
    }
}

fn wait_for(host: &Host, what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !reached() {
        assert!(Instant::now() < deadline, "{what} never happened:\n{}", host.output());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn with<'a>(parts: &[&[&'a str]]) -> Vec<&'a str> {
    parts.concat()
}

fn history(address: &str) -> Value {
    serde_json::from_str(&get(address, "/history").1).expect("JSON")
}

#[test]
fn list_of_topics_is_read_exactly_once_and_in_order_through_kills_and_restarts() {
    let several = Several::new("list");
    ["a", "b"].iter().for_each(|name| drop(several.create(name)));
    several.put("a", 400);
    several.put("b", 300);
    let list = several.list(&["a", "b"]);
    let args = with(&[&["--input-topics", &list], &QUICK, &LOG]);
    // Within a transaction, after its offsets are sent, and between two.
    for (step, times) in [("mapped", 3), ("offsets sent", 2), ("committed", 2), ("offsets sent", 4)] {
        several.job.kill_at(&args, &["\"target\":\"step\"", &format!("\"message\":\"{step}\"")], times);
    }
    let done = several.count_of("a") + several.count_of("b");
    assert!(0 < done && done < 700, "{done} done: the kills came too early or too late to prove anything");
    several.job.run_to_end(&with(&[&["--input-topics", &list], &QUICK]));
    several.check(&[("a", 400), ("b", 300)]);
    for topic in ["a", "b"] {
        let topic = several.topic(topic);
        let committed = topics::committed(several.job.kafka, &several.job.group, &topic);
        let ends = topics::end_offsets(several.job.kafka, &topic);
        assert!(committed.iter().map(|(_, offset)| offset.unwrap_or(0)).eq(ends), "{topic}: {committed:?}");
    }
}

#[test]
fn topic_added_first_in_the_list_keeps_offsets_and_history_of_the_others() {
    let several = Several::new("in-front");
    ["a", "b", "added"].iter().for_each(|name| drop(several.create(name)));
    several.put("a", 20);
    several.put("b", 60);
    let before = several.list(&["a", "b"]);
    several.job.run_to_end(&["--input-topics", &before]);
    several.put("added", 40);
    several.put("b", 10);
    let after = several.list(&["added", "b", "a"]);
    let mut host = several.job.start(&["--input-topics", &after, "--admin", "127.0.0.1:0"]);
    let admin = address(&mut host);
    several.wait_for_all(&host, "added", 40);
    several.wait_for_all(&host, "b", 70);
    let key = |name: &str, partition: i32| format!("{}/{partition}", several.topic(name));
    // The same version was active, so each partition has one span, from the first record to the last.
    for (name, count) in [("a", 10), ("b", 35), ("added", 20)] {
        for partition in [0, 1] {
            wait_for(&host, &format!("the history of {name}"), || {
                let spans = history(&admin)[0]["offsets"][key(name, partition)].clone();
                let last = spans.as_array().and_then(|spans| spans.last()).map(|span| span["reached"].clone());
                last == Some(count.into())
            });
            let first = &history(&admin)[0]["offsets"][key(name, partition)][0]["from"];
            assert_eq!(first, 0, "{name}, partition {partition}: {}", history(&admin));
        }
    }
    // During a rebalance a partition has no worker.
    for name in ["a", "b", "added"] {
        wait_for(&host, &format!("the partitions of {name}"), || {
            let status = status(&admin);
            let partitions = status["partitions"].as_array().expect("a list");
            let of_topic = partitions.iter().filter(|partition| partition["topic"] == several.topic(name).as_str());
            let numbers: Vec<_> = of_topic.map(|partition| partition["partition"].clone()).collect();
            numbers == [0, 1]
        });
    }
    let metrics = get(&admin, "/metrics").1;
    let sample = format!("mapper_host_partition_committed{{topic=\"{}\",partition=\"1\"}}", several.topic("added"));
    wait_for(&host, "the committed offset", || {
        get(&admin, "/metrics").1.contains(&format!("{} 20.0\n", of_pipeline(&sample)))
    });
    assert!(!metrics.contains(&format!("topic=\"{after}\"")), "a label is one topic: {metrics}");
    assert_eq!(host.stop().code, Some(0));
}

#[test]
fn record_that_crashes_the_host_is_found_although_the_list_changes() {
    let several = Several::new("crashes");
    let topic = several.create("b");
    ["a", "added"].iter().for_each(|name| drop(several.create(name)));
    several.put("a", 20);
    several.put("b", 8);
    topics::produce(several.job.kafka, &topic, [NewRecord::value("announce deadly").key("x").partition(1)]);
    let args = ["--workers", "1", "--record-timeout", "5m", "--session-timeout", "2s", "--poison-after", "2"];
    // One crash with other records, and two alone.
    for names in [&["a", "b"][..], &["b", "a"], &["added", "b", "a"]] {
        let list = several.list(names);
        let mut host = several.job.start(&with(&[&["--input-topics", &list], &args]));
        host.wait_for("deadly");
        host.kill();
    }
    let list = several.list(&["added", "a", "b"]);
    let ended = several.job.run_to_end(&with(&[&["--input-topics", &list], &args]));
    let expected = format!("topic {topic}, partition 1, offset 4, 2 crashes while mapped alone");
    assert!(ended.output.contains(&expected), "{}", ended.output);
    let all = topics::read_all(several.job.kafka, &several.job.dead_letters);
    let crashed: Vec<_> = all.iter().filter(|letter| letters::kind(letter) == "host-crash").collect();
    let [letter] = &crashed[..] else { panic!("{all:?}") };
    assert_eq!(letters::source(letter), (&*topic, 1, 4));
}

#[test]
fn topic_created_under_a_running_host_that_matches_the_pattern_is_read_from_its_beginning() {
    let several = Several::new("pattern");
    several.create("a");
    let (pattern, prefix) = (several.pattern(), several.prefix.clone());
    let latest = ["--kafka", "auto.offset.reset=latest", "--admin", "127.0.0.1:0"];
    changes::commit(several.job.kafka, &several.job.group, &several.topic("a"), (0, 0), "");
    changes::commit(several.job.kafka, &several.job.group, &several.topic("a"), (1, 0), "");
    let args = with(&[&["--input-topics", &pattern], &REFRESH, &latest]);
    let mut host = several.job.start(&args);
    let admin = address(&mut host);
    wait_until_ready(&admin);
    several.put("a", 20);
    several.wait_for_all(&host, "a", 20);
    several.create("later");
    several.put("later", 30);
    topics::create(several.job.kafka, &format!("not-{prefix}-x"), 1, &[]);
    several.wait_for_all(&host, "later", 30);
    several.check(&[("a", 20), ("later", 30)]);
    let partition_count = || status(&admin)["partitions"].as_array().expect("a list").len();
    // During a rebalance a partition has no worker. A topic that does not match would make it five.
    wait_for(&host, "the four partitions", || partition_count() == 4);
    // A topic that is deleted does not end the host.
    topics::delete(several.job.kafka, &several.topic("a"));
    wait_for(&host, "the end of a", || partition_count() == 2);
    several.put("later", 10);
    several.wait_for_all(&host, "later", 40);
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    // The next run continues from there, and finds the topics that were created meanwhile.
    several.create("between");
    several.put("between", 10);
    several.job.run_to_end(&["--input-topics", &pattern]);
    assert_eq!((several.count_of("a"), several.count_of("later"), several.count_of("between")), (20, 40, 10));
}

#[test]
fn pattern_that_matches_nothing_yet_waits_for_topics() {
    let several = Several::new("nothing-yet");
    let pattern = several.pattern();
    let host = several.job.start(&with(&[&["--input-topics", &pattern], &REFRESH]));
    several.create("first");
    several.put("first", 20);
    several.wait_for_all(&host, "first", 20);
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    several.check(&[("first", 20)]);
}

#[test]
fn recreated_topic_of_a_list_is_read_from_its_beginning_and_the_other_topic_continues() {
    let several = Several::new("recreated");
    ["a", "b"].iter().for_each(|name| drop(several.create(name)));
    let list = several.list(&["a", "b"]);
    let mut host = several.job.start(&["--input-topics", &list, "--admin", "127.0.0.1:0"]);
    let admin = address(&mut host);
    wait_until_ready(&admin);
    several.put("a", 30);
    several.put("b", 10);
    several.wait_for_all(&host, "a", 30);
    several.wait_for_all(&host, "b", 10);
    changes::recreate(several.job.kafka, &several.topic("b"), 2);
    several.put("b", 40);
    several.put("a", 10);
    several.wait_for_all(&host, "b", 50);
    several.wait_for_all(&host, "a", 40);
    let counts = status(&admin)["counts"]["topic_recreations"].clone();
    assert_eq!((&counts[several.topic("b")], &counts[several.topic("a")]), (&1.into(), &Value::Null), "{counts}");
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    let mut seen = several.seen();
    seen.retain(|(topic, _), _| topic == "a");
    assert!(seen.values().all(|offsets| offsets.is_sorted_by(|one, next| one < next)), "once, in order: {seen:?}");
}

#[test]
fn pattern_that_matches_an_output_topic_and_both_settings_are_rejected() {
    let several = Several::new("refused");
    let own = format!("^{}", &several.job.output[..several.job.output.len() - 1]);
    let ended = several.job.start(&["--input-topics", &own]).wait();
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    for words in [several.job.output.as_str(), "matches the pattern of the input topics", "without end"] {
        assert!(ended.output.contains(words), "{words}: {}", ended.output);
    }
    let ended = several.job.start(&["--input-topics", "a,b", "--input-topic", "a"]).wait();
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    assert!(
        ended.output.contains("flag --input-topic is given, too") && ended.output.contains("flag --input-topics"),
        "{}",
        ended.output
    );
}

#[test]
fn check_of_a_file_requires_each_topic_of_a_list_and_accepts_a_pattern_without_topics() {
    let several = Several::new("checked");
    several.create("a");
    let (dir, job) = (tempfile::tempdir().expect("a folder"), &several.job);
    let plugin = harness::plugins::build(HOST, "tests/guests/commands_batch");
    let check = |topics: &str| {
        let text = format!(
            "brokers = \"{}\"\n[[pipeline]]\nname = \"p\"\nplugin = \"{}\"\ninput-topics = {topics}\noutput-topic = \"{}\"\n\
             dead-letter-topic = \"{}\"\n",
            job.kafka.brokers(),
            plugin.display(),
            job.output,
            job.dead_letters
        );
        let file = dir.path().join("host.toml");
        std::fs::write(&file, text).expect("a file");
        let mut command = host::command(HOST);
        command.args(["check", "--brokers", job.kafka.brokers(), "--config"]).arg(&file);
        Host::spawn(&mut command).wait()
    };
    let (a, missing) = (several.topic("a"), several.topic("missing"));
    let good = check(&format!("[\"{a}\"]"));
    assert_eq!(good.code, Some(0), "{}", good.output);
    let bad = check(&format!("[\"{a}\", \"{missing}\"]"));
    assert!(bad.code != Some(0) && bad.output.contains(&missing), "{}", bad.output);
    let pattern = check(&format!("\"{}\"", several.pattern()));
    assert!(pattern.code == Some(0) && pattern.output.contains(&format!("reads {a}")), "{}", pattern.output);
    let nothing = check("\"^no-topic-has-this-name\"");
    assert_eq!(nothing.code, Some(0), "{}", nothing.output);
    assert!(nothing.output.contains("no topic matches the pattern ^no-topic-has-this-name yet"), "{}", nothing.output);
}
