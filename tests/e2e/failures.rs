//! Broken plugins on a real Kafka: workers stop, stay in their group, and continue when a probe succeeds.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use harness::host::{Host, Job};
use harness::kafka::Kafka;
use harness::letters;
use harness::topics::{self, NewRecord};

use crate::HOST;

fn commands() -> PathBuf {
    harness::plugins::build(HOST, "tests/guests/commands_batch")
}

fn job<'k>(name: &str) -> Job<'k> {
    Job::new(Kafka::shared(), name, HOST, &commands())
}

fn put(job: &Job<'_>, partition: i32, values: &[&str]) {
    topics::produce(job.kafka, &job.input, values.iter().map(|value| NewRecord::value(*value).partition(partition)));
}

fn committed(job: &Job<'_>) -> Vec<Option<i64>> {
    topics::committed(job.kafka, &job.group, &job.input).into_iter().map(|(_, offset)| offset).collect()
}

fn values(job: &Job<'_>, topic: &str) -> Vec<String> {
    let records = topics::read_all(job.kafka, topic);
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap_or_default()).expect("text");
    records.into_iter().map(|record| text(record.value)).collect()
}

/// Polls until the condition is true; it has no event to wait for.
fn wait_for(host: &Host, what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !reached() {
        assert!(Instant::now() < deadline, "{what} never happened:\n{}", host.output());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn plugin_that_traps_on_every_record_opens_the_breaker_and_a_fixed_plugin_continues() {
    for (what, letters, next) in [("dead-letter", 5, 6), ("hold", 0, 1)] {
        let job = job("breaker");
        let mut inputs = vec!["value first"];
        inputs.extend(["panic oh no"; 20]);
        put(&job, 0, &inputs);
        let args = ["--breaker-after", "5", "--breaker-records", what, "--breaker-retry", "50ms", "--workers", "1"];
        let mut host = job.start(&[&args[..], &["--admin", "127.0.0.1:0"]].concat());
        host.wait_for("breaker open");
        // The probe failed, and the next one is later.
        host.wait_for("the breaker stays open");
        let admin = crate::admin::address(&mut host);
        let (code, why) = crate::admin::get(&admin, "/readyz");
        assert!(code == 503 && why.contains("breaker: ") && why.contains("5 records in a row trapped"), "{code} {why}");
        let metrics = crate::admin::get(&admin, "/metrics").1;
        assert!(metrics.contains("mapper_host_breaker_open{pipeline=\"default\",worker=\"0\"} 1.0\n"), "{metrics}");
        let ended = host.stop();
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        assert!(
            ended.output.contains("5 records in a row trapped") && ended.output.contains("oh no"),
            "{}",
            ended.output
        );
        assert_eq!(topics::read_all(job.kafka, &job.dead_letters).len(), letters, "{what}");
        assert_eq!(committed(&job)[0], Some(next), "{what}");

        // Another plugin, without commands, maps the records that the broken one left.
        let fixed = harness::plugins::build(HOST, "plugins/reduce_visit").display().to_string();
        job.run_to_end(&["--plugin", &fixed, "--workers", "1"]);
        assert_eq!(topics::read_all(job.kafka, &job.dead_letters).len(), 20, "{what}");
        assert_eq!(values(&job, &job.output), ["first"], "{what}");
    }
}

#[test]
fn dead_letters_that_open_the_breaker_alone_are_visible_only_at_least_once() {
    let fixed = harness::plugins::build(HOST, "plugins/reduce_visit").display().to_string();
    for (delivery, visible) in [("exactly-once", 0), ("at-least-once", 5)] {
        let job = job("breaker-alone");
        put(&job, 0, &["panic oh no"; 20]);
        let args = ["--breaker-after", "5", "--breaker-retry", "50ms", "--workers", "1", "--delivery", delivery];
        let mut host = job.start(&args);
        host.wait_for("breaker open");
        host.wait_for("the breaker stays open");
        let ended = host.stop();
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        let fate = if visible == 0 { "they are read again later" } else { "they are dead letters" };
        assert!(ended.output.contains(fate), "{}", ended.output);
        assert_eq!(topics::read_all(job.kafka, &job.dead_letters).len(), visible, "{delivery}");
        assert_eq!(committed(&job)[0].unwrap_or(0), visible as i64, "{delivery}");

        // Another plugin, without commands, gets all records that have no dead letter.
        job.run_to_end(&["--plugin", &fixed, "--workers", "1"]);
        let letters = topics::read_all(job.kafka, &job.dead_letters);
        let traps = letters.iter().filter(|letter| letters::kind(letter) == "trap").count();
        assert_eq!((letters.len(), traps), (20, visible), "{delivery}");
    }
}

#[test]
fn batch_of_timeouts_keeps_the_membership_and_commits_processed_records() {
    let job = job("slow");
    let inputs = vec!["spin"; 40];
    put(&job, 0, &inputs);
    // Session and transaction expire within six seconds. The timeouts of the records take longer.
    let args =
        ["--record-timeout", "300ms", "--workers", "1", "--session-timeout", "6s", "--transaction-timeout", "6s"];
    let args = [&args[..], &["--kafka", "max.poll.interval.ms=6000", "--breaker-after", "30"]].concat();
    let mut host = job.start(&args);
    host.wait_for("breaker open");
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(!ended.output.contains("rewinding to the last committed offsets"), "{}", ended.output);
    // The last transaction has only failures that open the breaker, so it is aborted.
    let next = committed(&job)[0].unwrap_or(0);
    assert!((20..30).contains(&next) && ended.output.contains(&format!("{next} timeout")), "{next}: {}", ended.output);
}

#[test]
fn open_breaker_releases_partitions_when_another_host_joins() {
    let job = job("breaker-group");
    put(&job, 0, &["panic x"; 10]);
    put(&job, 1, &["panic y"; 10]);
    let args = ["--workers", "1", "--breaker-after", "3", "--breaker-retry", "60s", "--session-timeout", "6s"];
    let mut first = job.start(&args);
    first.wait_for("breaker open");
    let before = committed(&job).into_iter().flatten().sum::<i64>();
    assert_eq!(before, 0, "the transaction of the failures that opened the breaker is aborted");
    let fixed = harness::plugins::build(HOST, "plugins/reduce_visit").display().to_string();
    let second = job.start(&["--workers", "1", "--plugin", &fixed]);
    // The new host gets half of the topic only if the waiting host takes part in the rebalance.
    let done = |committed: &[Option<i64>]| committed.iter().filter(|offset| **offset == Some(10)).count();
    wait_for(&second, "its partition", || done(&committed(&job)) == 1);
    let ended = first.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    wait_for(&second, "the other partition", || done(&committed(&job)) == 2);
    assert_eq!(second.stop().code, Some(0));
    assert_eq!(topics::read_all(job.kafka, &job.dead_letters).len(), 20);
}

#[test]
fn backfill_with_a_broken_plugin_or_a_high_error_ratio_ends() {
    let job = job("failing");
    put(&job, 0, &[&["value w"], &["panic x"; 50][..]].concat());
    let ended = job.start(&["--until-end", "--breaker-after", "7"]).wait();
    assert_eq!(ended.code, Some(5), "{}", ended.output);
    assert!(ended.output.contains("error: the plugin is broken: 7 records in a row"), "{}", ended.output);
    assert_eq!(committed(&job)[0], Some(8));

    put(&job, 1, &["reject no", "reject no", "value x", "reject no", "reject no", "value y"]);
    let args = ["--halt-on-error-ratio", "0.8", "--error-ratio-window", "5", "--breaker-after", "0"];
    let ended = job.start(&args).wait();
    assert_eq!(ended.code, Some(5), "{}", ended.output);
    assert!(ended.output.contains("of the last 5 records failed"), "{}", ended.output);
    assert_eq!(committed(&job), [Some(8), None]);
}

#[test]
fn record_that_crashes_the_host_repeatedly_is_a_host_crash_dead_letter() {
    let job = job("poison");
    let mut inputs: Vec<String> = (0..40).map(|number| format!("value {number}")).collect();
    inputs[17] = "announce deadly".to_owned();
    put(&job, 0, &inputs.iter().map(String::as_str).collect::<Vec<_>>());
    let args = ["--workers", "1", "--record-timeout", "5m", "--session-timeout", "2s", "--poison-after", "2"];
    // One crash with the others, and two alone.
    for _ in 0..3 {
        let mut host = job.start(&args);
        host.wait_for("deadly");
        host.kill();
        assert_eq!(topics::read_all(job.kafka, &job.dead_letters), []);
    }
    let ended = job.run_to_end(&args);
    assert!(ended.output.contains("offset 17, 2 crashes while mapped alone"), "{}", ended.output);
    let [letter] = &topics::read_all(job.kafka, &job.dead_letters)[..] else { panic!("{}", ended.output) };
    assert_eq!((letters::kind(letter), letters::source(letter).2), ("host-crash", 17));
    let expected: Vec<String> = (0..40).filter(|number| *number != 17).map(|number| number.to_string()).collect();
    assert_eq!(values(&job, &job.output), expected);
    // The record is committed.
    let ended = job.run_to_end(&args);
    assert!(!ended.output.contains("mapping the records of that call one by one"), "{}", ended.output);
}
