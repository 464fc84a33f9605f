//! What the host knows of the dead letters is what a command reads, after each change, at once.

use std::time::{Duration, Instant};

use harness::host::{Host, Job};
use harness::topics::NewRecord;
use harness::{changes, topics};
use serde_json::{Value, json};

use super::super::{dlq, group_of, json as from_command, reference_job, run};
use super::{Api, start};

const SOON: Duration = Duration::from_secs(60);
/// The host logs each request that reads the topic.
const READS_TOPIC: &str = "a request reads all dead letters";
/// On a busy machine, the host can't know in time whether a letter is still open.
const LAGS: &str = "the latest decisions are not known in time";

/// A host that has read all letters.
struct Known<'j> {
    job: &'j Job<'j>,
    host: Host,
    api: Api,
}

impl<'j> Known<'j> {
    fn new(job: &'j Job<'j>) -> Self {
        let (host, api) = start(job, &["--log-level", "info,mapper_host=debug"]);
        let known = Self { job, host, api };
        known.wait_until_read();
        known
    }

    fn wait_until_read(&self) {
        let deadline = Instant::now() + SOON;
        while self.api.found("/status")["dead_letters"]["up"] != true {
            assert!(Instant::now() < deadline, "the letters are not read:\n{}", self.host.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn groups(&self, state: &str) -> Value {
        let mut groups = self.api.found(&format!("/dead-letters/groups?limit=1000&state={state}"));
        groups.as_object_mut().expect("an object").remove("hidden_groups");
        groups
    }

    /// Compares each answer with that of a command, which reads the topic.
    fn check(&self, what: &str) {
        let read = |args: &[&str]| from_command(self.job, args);
        for state in ["open", "closed", "all", "resolved", "acknowledged"] {
            assert_eq!(self.groups(state), read(&["groups", "--state", state]), "{what}: {state}");
        }
        let groups = self.groups("all");
        for group in groups["groups"].as_array().expect("groups").iter().take(3) {
            let group = group["fingerprint"].as_str().expect("a fingerprint");
            let shown = self.api.found(&format!("/dead-letters/groups/{group}?state=all"));
            assert_eq!(shown, read(&["show", group, "--state", "all"]), "{what}: {group}");
            for state in ["open", "closed"] {
                let mut expected = from_lines(&run(self.job, &["list", group, "--state", state, "--json"]));
                expected.sort_by_key(place);
                assert_eq!(self.pages(&format!("group={group}&state={state}")), expected, "{what}: {group} {state}");
            }
            let letter = &shown["letters"][0];
            let (topic, first) =
                letter["source"].as_str().and_then(|source| source.split_once('@')).expect("a position");
            let range = format!("{topic}@{first}..");
            let mut expected = from_lines(&run(self.job, &["list", "--source", &range, "--state", "all", "--json"]));
            expected.sort_by_key(place);
            assert_eq!(self.pages(&format!("source={range}&state=all")), expected, "{what}: {range}");
            for position in [&letter["position"], &letter["source"]] {
                let position = position.as_str().expect("a position");
                let found = self.api.found(&format!("/dead-letters/letter?position={position}"));
                assert_eq!(found, read(&["show", position]), "{what}: {position}");
            }
        }
    }

    /// The letters of all pages.
    fn pages(&self, query: &str) -> Vec<Value> {
        let (mut letters, mut next) = (Vec::new(), String::new());
        loop {
            let page = self.api.found(&format!("/dead-letters?limit=97&{query}{next}"));
            letters.extend(page["letters"].as_array().expect("letters").iter().cloned());
            let Some(after) = page["next"].as_str() else { return letters };
            next = format!("&after={after}");
        }
    }
}

/// The letters that a command lists.
fn from_lines(output: &str) -> Vec<Value> {
    let letters = output.lines().filter(|line| line.starts_with('{'));
    letters.map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The partition and the offset of a letter.
fn place(letter: &Value) -> (i32, i64) {
    let position = letter["position"].as_str().expect("a position");
    let (_, place) = position.rsplit_once('/').expect("a partition");
    let (partition, offset) = place.split_once('@').expect("an offset");
    (partition.parse().expect("a number"), offset.parse().expect("a number"))
}

#[test]
fn known_letters_are_those_of_the_topics_after_each_change() {
    let job = reference_job("api-known");
    let known = Known::new(&job);
    known.check("at the start");
    let group = group_of(&known.groups("open"), "fromisoformat: argument must be str");
    let others = known.groups("open")["groups"].as_array().expect("groups").clone();
    let names: Vec<&str> = others.iter().filter_map(|group| group["fingerprint"].as_str()).collect();
    let other = *names.iter().find(|name| **name != group).expect("another group");
    run(&job, &["ack", other, "--reason", "known"]);
    known.check("a decision of a command");
    let (status, _) = known.api.post(&format!("/dead-letters/groups/{group}/resolve"), &json!({"reason": "fixed"}));
    assert_eq!(status, 200);
    known.check("a decision");
    let plugin = crate::reduce_visit().display().to_string();
    let redrive = ["redrive", &group, "--plugin", &plugin, "--output-topic", &job.output, "--limit", "40"];
    let ended = dlq(&job, &redrive);
    assert_eq!(ended.code, Some(10), "{}", ended.output);
    known.check("a redrive of which the records fail again");
    let discarded = known.api.post(&format!("/dead-letters/discard?group={group}"), &json!({"reason": "test data"}));
    assert_eq!(discarded.0, 200, "{}", discarded.1);
    known.check("discarded letters");
    topics::produce(job.kafka, &job.dead_letters, [NewRecord::value("no letter"), NewRecord::value("{}").partition(1)]);
    known.check("records that are no letters");
    let ends = topics::end_offsets(job.kafka, &job.dead_letters);
    changes::delete_records(job.kafka, &job.dead_letters, 0, ends[0] / 3);
    changes::delete_records(job.kafka, &job.dead_letters, 1, ends[1] - 1);
    // The host sees it at the next question, or at its next check.
    known.check("removed letters");
    let count = |text: &str| known.host.output().matches(text).count();
    let reads = count(READS_TOPIC);
    assert_eq!(reads, count(LAGS), "all other answers are of what the host knows:\n{}", known.host.output());
    let by_kind = known.api.found("/dead-letters/groups?kind=rejected");
    assert_eq!(by_kind["letters"]["open"], known.groups("open")["letters"]["open"]);
    assert_eq!(count(READS_TOPIC), reads + 1, "a filter by contents reads the topic");
    changes::recreate(job.kafka, &job.dead_letters, 2);
    topics::produce(job.kafka, &job.dead_letters, [NewRecord::value("no letter").partition(0)]);
    let deadline = Instant::now() + SOON;
    while known.groups("all") != from_command(&job, &["groups", "--state", "all"]) {
        assert!(Instant::now() < deadline, "a recreated topic: {:#}\n{}", known.groups("all"), known.host.output());
        std::thread::sleep(Duration::from_millis(100));
    }
}
