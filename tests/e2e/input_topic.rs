//! Changes of topics under a host: recreated topics, deleted records, added partitions, and an end behind transaction markers.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use harness::changes;
use harness::host::{Host, Job};
use harness::kafka::Kafka;
use harness::topics::{self, NewRecord};

use crate::admin::{address, get, of_pipeline, status, wait_until_ready};
use crate::{HOST, reduce_visit};

const SOON: Duration = Duration::from_secs(60);

/// A visit that can be reduced. Its name distinguishes it from the visits of a deleted topic.
fn visit(name: &str, number: usize, partition: i32) -> NewRecord {
    let value = format!(r#"{{"visit_id": "{name}{number}", "event_time": "2023-11-01T00:00:00Z", "page": null}}"#);
    NewRecord::value(value).key(number.to_string()).partition(partition)
}

fn visits(name: &str, count: usize) -> Vec<NewRecord> {
    (0..count).map(|number| visit(name, number, (number % 2) as i32)).collect()
}

/// The number of outputs of each visit with this name.
fn came_out(job: &Job<'_>, name: &str) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for record in topics::read_all(job.kafka, &job.output) {
        let value: serde_json::Value = serde_json::from_slice(&record.value.expect("an output")).expect("JSON");
        let id = value["visit_id"].as_str().expect("an id").to_owned();
        if id.starts_with(name) {
            *times.entry(id).or_default() += 1;
        }
    }
    times
}

/// Waits until this number of visits with this name has outputs, one each.
fn wait_for_all(job: &Job<'_>, name: &str, count: usize) {
    wait_for(&format!("{count} of {name}"), || came_out(job, name).len() >= count);
    let times = came_out(job, name);
    assert!(times.len() == count && times.values().all(|times| *times == 1), "{times:?}");
}

fn wait_for(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !reached() {
        assert!(Instant::now() < deadline, "{what} never happened");
        thread::sleep(Duration::from_millis(50));
    }
}

/// 0 if the metric is missing: a starting host does not have its topics yet.
fn metric(address: &str, name: &str) -> f64 {
    let text = get(address, "/metrics").1;
    let value = text.lines().find_map(|line| line.strip_prefix(&of_pipeline(name))?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().expect("a number"))
}

fn recreations(address: &str, topic: &str) -> f64 {
    metric(address, &format!("mapper_host_topic_recreations_total{{topic=\"{topic}\"}}"))
}

fn history(address: &str) -> serde_json::Value {
    serde_json::from_str(&get(address, "/history").1).expect("JSON")
}

/// A worker that joins later takes partitions from the others, and their uncommitted records are mapped again: at least once, a
/// record then has two outputs.
fn start_in_stable_group(job: &Job<'_>, delivery: &str) -> (Host, String) {
    let mut host = job.start(&["--admin", "127.0.0.1:0", "--delivery", delivery]);
    let admin = address(&mut host);
    wait_until_ready(&admin);
    (host, admin)
}

fn stop(host: Host) -> String {
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    ended.output
}

#[test]
fn topic_recreated_under_a_running_host_is_read_from_its_beginning() {
    for (delivery, partitions) in [("exactly-once", 2), ("exactly-once", 1), ("at-least-once", 3)] {
        let job = Job::new(Kafka::shared(), "recreated", HOST, &reduce_visit());
        let (host, admin) = start_in_stable_group(&job, delivery);
        topics::produce(job.kafka, &job.input, visits("old", 50));
        wait_for_all(&job, "old", 50);
        changes::recreate(job.kafka, &job.input, partitions);
        // More records than before, so the offsets of the old topic exist in the new one.
        let new = (0..200).map(|number| visit("new", number, number as i32 % partitions));
        topics::produce(job.kafka, &job.input, new);
        wait_for_all(&job, "new", 200);
        assert_eq!(recreations(&admin, &job.input), 1.0);
        assert_eq!(status(&admin)["counts"]["topic_recreations"][&job.input], 1);
        let entry = &history(&admin)[0]["recreations"][0];
        assert!(entry["topic"] == job.input.as_str() && entry["old_id"] != entry["new_id"], "{entry}");
        let output = stop(host);
        assert!(output.contains("the topic was deleted and created again"), "{output}");
        // A later host continues at the offsets of this one.
        topics::produce(job.kafka, &job.input, [visit("later", 0, 0)]);
        job.run_to_end(&["--delivery", delivery]);
        wait_for_all(&job, "new", 200);
        wait_for_all(&job, "later", 1);
    }
}

#[test]
fn recreated_topic_halts_the_host_if_configured_until_it_is_allowed() {
    let job = Job::new(Kafka::shared(), "recreated-halt", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, visits("old", 20));
    let host = job.start(&["--on-topic-recreated", "halt"]);
    wait_for_all(&job, "old", 20);
    changes::recreate(job.kafka, &job.input, 2);
    topics::produce(job.kafka, &job.input, visits("new", 60));
    let ended = host.wait();
    assert_eq!(ended.code, Some(4), "{}", ended.output);
    assert!(ended.output.contains("--on-topic-recreated restart"), "{}", ended.output);
    // The metadata of the committed offsets names the topic id, so a host without the earlier state detects the change.
    for partition in [0, 1] {
        let metadata = changes::committed_metadata(job.kafka, &job.group, &job.input, partition);
        assert!(metadata.contains("topic="), "partition {partition}: {metadata:?}: {}", ended.output);
    }
    let state = job.dir().join("another-state").display().to_string();
    let ended = job.start(&["--on-topic-recreated", "halt", "--until-end", "--state-dir", &state]).wait();
    assert_eq!(ended.code, Some(4), "{}", ended.output);
    assert_eq!(came_out(&job, "new").len(), 0);
    job.run_to_end(&[]);
    wait_for_all(&job, "new", 60);
}

#[test]
fn offsets_of_a_deleted_topic_are_not_used_for_a_new_one() {
    let job = Job::new(Kafka::shared(), "stale", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, visits("old", 40));
    job.run_to_end(&[]);
    let committed = topics::committed(job.kafka, &job.group, &job.input);
    let metadata = changes::committed_metadata(job.kafka, &job.group, &job.input, 0);
    changes::recreate(job.kafka, &job.input, 2);
    topics::produce(job.kafka, &job.input, visits("new", 100));
    // The broker deletes the offsets with the topic; a late commit arrives after that.
    for (partition, offset) in committed {
        let offset = offset.expect("the old topic was read");
        changes::commit(job.kafka, &job.group, &job.input, (partition, offset), &metadata);
    }
    let ended = job.start(&["--on-topic-recreated", "halt"]).wait();
    assert_eq!(ended.code, Some(4), "{}", ended.output);
    let ended = job.run_to_end(&[]);
    assert!(ended.output.contains("the topic was deleted and created again"), "{}", ended.output);
    wait_for_all(&job, "new", 100);
}

#[test]
fn offset_beyond_the_end_starts_the_partition_from_its_beginning() {
    let job = Job::new(Kafka::shared(), "beyond", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, visits("new", 40));
    // As other programs commit: without the topic id.
    changes::commit(job.kafka, &job.group, &job.input, (0, 500), "");
    let ended = job.start(&["--on-topic-recreated", "halt"]).wait();
    assert_eq!(ended.code, Some(4), "{}", ended.output);
    assert!(ended.output.contains("partition 0, ends before offset 500"), "{}", ended.output);
    job.run_to_end(&[]);
    wait_for_all(&job, "new", 40);
}

#[test]
fn run_to_the_end_of_a_topic_recreated_meanwhile_stops_at_its_new_end() {
    let mut names = Job::new(Kafka::shared(), "recreated-end", HOST, &reduce_visit()).into_names();
    names.input = topics::unique("recreated-end-in");
    topics::create(Kafka::shared(), &names.input, 1, &[]);
    let job = Job::with_names(Kafka::shared(), HOST, &reduce_visit(), names);
    topics::produce(job.kafka, &job.input, (0..50).map(|number| visit("old", number, 0)));
    let host = job.start(&["--until-end", "--kafka", "fetch.min.bytes=1"]);
    host.signal(libc::SIGSTOP);
    changes::recreate(job.kafka, &job.input, 1);
    topics::produce(job.kafka, &job.input, (0..20).map(|number| visit("new", number, 0)));
    host.signal(libc::SIGCONT);
    let ended = host.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    wait_for_all(&job, "new", 20);
}

#[test]
fn recreated_output_topics_are_reported_and_written_to() {
    let job = Job::new(Kafka::shared(), "outputs", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, visits("old", 10));
    let mut host = job.start(&["--admin", "127.0.0.1:0"]);
    let admin = address(&mut host);
    wait_for_all(&job, "old", 10);
    changes::recreate(job.kafka, &job.output, 2);
    changes::recreate(job.kafka, &job.dead_letters, 2);
    wait_for("the report", || recreations(&admin, &job.output) == 1.0 && recreations(&admin, &job.dead_letters) == 1.0);
    topics::produce(job.kafka, &job.input, visits("new", 10));
    wait_for_all(&job, "new", 10);
    stop(host);
    // Between two runs.
    changes::recreate(job.kafka, &job.dead_letters, 2);
    let mut host = job.start(&["--admin", "127.0.0.1:0"]);
    let admin = address(&mut host);
    wait_for("the report of the next run", || recreations(&admin, &job.dead_letters) == 1.0);
    stop(host);
}

#[test]
fn records_removed_between_two_runs_are_counted_and_named() {
    let job = Job::new(Kafka::shared(), "gap", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, (0..10).map(|number| visit("seen", number, 0)));
    job.run_to_end(&[]);
    topics::produce(job.kafka, &job.input, (0..30).map(|number| visit("removed", number, 0)));
    topics::produce(job.kafka, &job.input, (0..5).map(|number| visit("left", number, 0)));
    changes::delete_records(job.kafka, &job.input, 0, 40);
    let ended = job.start(&["--on-gap", "halt"]).wait();
    assert_eq!(ended.code, Some(4), "{}", ended.output);
    let why = format!(
        "'{}', partition 0, were removed before the host read them: 30 records, from offset 10 to 39",
        job.input
    );
    assert!(ended.output.contains(&why) && ended.output.contains("--on-gap continue"), "{}", ended.output);
    assert_eq!(topics::committed(job.kafka, &job.group, &job.input)[0], (0, Some(10)));
    let mut host = job.start(&["--admin", "127.0.0.1:0"]);
    let admin = address(&mut host);
    wait_for_all(&job, "left", 5);
    assert_eq!(metric(&admin, "mapper_host_records_missed_total"), 30.0);
    let output = stop(host);
    assert!(output.contains("partition=0 from=10 to=40 records=30"), "{output}");
}

#[test]
fn records_removed_under_a_running_host_are_counted() {
    for delivery in ["exactly-once", "at-least-once"] {
        let job = Job::new(Kafka::shared(), "gap-running", HOST, &reduce_visit());
        let (host, admin) = start_in_stable_group(&job, delivery);
        topics::produce(job.kafka, &job.input, (0..10).map(|number| visit("seen", number, 0)));
        wait_for_all(&job, "seen", 10);
        host.signal(libc::SIGSTOP);
        // The waiting fetch returns some of the first records; no other fetch is sent.
        topics::produce(job.kafka, &job.input, [visit("first", 0, 0)]);
        topics::produce(job.kafka, &job.input, (0..30).map(|number| visit("removed", number, 0)));
        topics::produce(job.kafka, &job.input, (0..5).map(|number| visit("left", number, 0)));
        changes::delete_records(job.kafka, &job.input, 0, 41);
        host.signal(libc::SIGCONT);
        wait_for_all(&job, "left", 5);
        let read = came_out(&job, "first").len() + came_out(&job, "removed").len();
        assert!(read < 31, "the records were read before they were removed");
        assert_eq!(metric(&admin, "mapper_host_records_missed_total"), (31 - read) as f64);
        assert_eq!(status(&admin)["counts"]["records_missed"], 31 - read);
        stop(host);
    }
}

#[test]
fn transaction_markers_and_a_first_start_are_no_gap() {
    let job = Job::new(Kafka::shared(), "no-gap", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, (0..10).map(|number| visit("removed", number, 0)));
    changes::delete_records(job.kafka, &job.input, 0, 10);
    for number in 0..5 {
        changes::produce_in_transaction(job.kafka, &job.input, [visit("left", number, 0)]);
    }
    let mut host = job.start(&["--admin", "127.0.0.1:0", "--on-gap", "halt"]);
    let admin = address(&mut host);
    wait_for_all(&job, "left", 5);
    assert_eq!(metric(&admin, "mapper_host_records_missed_total"), 0.0);
    stop(host);
}

#[test]
fn partitions_added_under_a_running_host_are_read_from_their_beginning() {
    let job = Job::new(Kafka::shared(), "added", HOST, &reduce_visit());
    // The default refresh is every 30 s; a new partition has no committed offset.
    let refresh = ["--kafka", "topic.metadata.refresh.interval.ms=500", "--kafka", "auto.offset.reset=latest"];
    changes::commit(job.kafka, &job.group, &job.input, (0, 0), "");
    let host = job.start(&refresh);
    topics::produce(job.kafka, &job.input, [visit("old", 0, 0)]);
    wait_for_all(&job, "old", 1);
    changes::add_partitions(job.kafka, &job.input, 4);
    topics::produce(job.kafka, &job.input, (0..40).map(|number| visit("new", number, 2 + number as i32 % 2)));
    wait_for_all(&job, "new", 40);
    stop(host);
}

#[test]
fn lag_behind_a_transactional_producer_is_zero_when_idle() {
    for delivery in ["exactly-once", "at-least-once"] {
        let job = Job::new(Kafka::shared(), "lag", HOST, &reduce_visit());
        let (host, admin) = start_in_stable_group(&job, delivery);
        changes::produce_in_transaction(job.kafka, &job.input, visits("new", 10));
        wait_for_all(&job, "new", 10);
        // Outputs are visible before the host has the answer to its commit.
        wait_for("the counts of all commits", || metric(&admin, "mapper_host_records_in_total") == 10.0);
        let transactions = metric(&admin, "mapper_host_transactions_total");
        let ends = topics::end_offsets(job.kafka, &job.input);
        wait_for("a committed offset behind the markers", || {
            let committed = topics::committed(job.kafka, &job.group, &job.input);
            committed.iter().map(|(_, offset)| offset.unwrap_or(0)).eq(ends.iter().copied())
        });
        wait_for("no lag", || {
            let partitions = status(&admin)["partitions"].clone();
            let partitions = partitions.as_array().expect("partitions");
            partitions.len() == 2 && partitions.iter().all(|partition| partition["lag"] == 0)
        });
        let of_ends = metric(&admin, "mapper_host_transactions_total") - transactions;
        assert!((1.0..=2.0).contains(&of_ends), "{of_ends} transactions for the ends of two partitions");
        stop(host);
    }
}

#[test]
fn dead_letters_as_input_are_rejected_unless_allowed() {
    let kafka = Kafka::shared();
    let job = Job::new(kafka, "letters", HOST, &reduce_visit());
    topics::produce(kafka, &job.input, ["{", "["].map(NewRecord::value));
    job.run_to_end(&[]);
    let (output, letters) = (topics::unique("letters-out"), topics::unique("letters-dlq"));
    topics::create(kafka, &output, 1, &[]);
    topics::create(kafka, &letters, 1, &[]);
    let input = job.dead_letters.clone();
    let args = ["--input-topic", &input, "--output-topic", &output, "--dead-letter-topic", &letters, "--until-end"];
    let ended = job.start(&args).wait();
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    for part in [&input, "--input-is-dead-letters", "--format dead-letter"] {
        assert!(ended.output.contains(part), "{part}: {}", ended.output);
    }
    assert_eq!(topics::end_offsets(kafka, &letters), [0]);
    let ended = job.start(&[&args[..], &["--input-is-dead-letters"]].concat()).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert_eq!(topics::read_all(kafka, &letters).len(), 2);
}

#[test]
fn later_dead_letters_in_the_input_stop_the_host_before_they_are_mapped() {
    let kafka = Kafka::shared();
    let job = Job::new(kafka, "letters-later", HOST, &reduce_visit());
    let mut host = job.start(&["--log-level", "debug"]);
    host.wait_for("assigned partitions=[");
    let envelope = r#"{"processing_time": "2024-01-13T04:21:50.037894", "input_json": "x", "error_message": "y"}"#;
    let letter = NewRecord::value(envelope).header("mapper-host.source", "visits/0@7");
    let letter = letter.header("mapper-host.failure", "trap 5a4adfe3d6730200");
    topics::produce(kafka, &job.input, [letter]);
    let ended = host.wait();
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    assert!(ended.output.contains("--input-is-dead-letters"), "{}", ended.output);
    assert_eq!(topics::read_all(kafka, &job.dead_letters).len(), 0);
}

#[test]
fn run_to_the_end_without_records_left_joins_no_group() {
    let job = Job::new(Kafka::shared(), "nothing-left", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, visits("all", 40));
    let args = ["--log-level", "info,kafka=debug", "--kafka", "debug=cgrp"];
    let joins = |output: &str| output.contains("facility=\"JOIN\"");
    assert!(joins(&job.run_to_end(&args).output));
    let again = job.run_to_end(&args).output;
    assert!(!joins(&again) && again.contains("0 records in"), "{again}");
}

#[test]
fn run_to_the_end_with_offsets_beyond_the_end_is_not_complete() {
    let job = Job::new(Kafka::shared(), "beyond-at-once", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, visits("new", 40));
    for partition in [0, 1] {
        changes::commit(job.kafka, &job.group, &job.input, (partition, 100), "");
    }
    let ended = job.run_to_end(&[]);
    assert_eq!(came_out(&job, "new").len(), 40, "{}", ended.output);
}
