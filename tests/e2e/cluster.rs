//! Three brokers, with one killed or a recreated output topic: the workers continue.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use harness::cluster::Cluster;
use harness::host::{Host, Job};
use harness::topics::{self, NewRecord, Record};

use crate::{HOST, admin, reduce_visit};

const VISITS: usize = 60_000;
const MORE: usize = 2_000;
/// A minute more than the workers may take: the machine may be slow.
const DEADLINE: Duration = Duration::from_secs(90);
/// Small transactions, so that there is always one in each step.
const ARGS: [&str; 8] =
    ["--admin", "127.0.0.1:0", "--commit-interval", "10ms", "--commit-records", "200", "--session-timeout", "6s"];

fn visit(number: usize) -> NewRecord {
    let time = if number.is_multiple_of(2) { "\"2023-11-01T00:00:00+00:00\"" } else { "null" };
    NewRecord::value(format!(r#"{{"visit_id": "{number}", "event_time": {time}, "page": null}}"#))
        .header("number", number.to_string())
}

fn number(record: &Record) -> usize {
    let header = record.headers.iter().find(|(name, _)| name == "number").and_then(|(_, value)| value.as_deref());
    std::str::from_utf8(header.expect("headers are kept")).expect("text").parse().expect("a number")
}

fn numbers(job: &Job<'_>) -> Vec<usize> {
    let topics = [&job.output, &job.dead_letters];
    topics.iter().flat_map(|topic| topics::read_all(job.kafka, topic)).map(|record| number(&record)).collect()
}

fn records_in(address: &str) -> usize {
    admin::status(address)["counts"]["records_in"].as_u64().unwrap_or_default() as usize
}

/// Waits until this number of records is committed; returns the duration.
fn wait_for(host: &Host, address: &str, count: usize) -> Duration {
    let started = Instant::now();
    while records_in(address) < count {
        assert!(started.elapsed() < DEADLINE, "{} of {count}:\n{}", records_in(address), host.output());
        thread::sleep(Duration::from_millis(50));
    }
    started.elapsed()
}

/// A job whose group coordinator is not the first broker, because the first can't be killed.
fn job<'c>(cluster: &'c Cluster, name: &str) -> Job<'c> {
    let mut names = Job::new(cluster.kafka(), name, HOST, &reduce_visit()).into_names();
    while cluster.group_coordinator(&names.group) == 1 {
        names.group = topics::unique(name);
    }
    Job::with_names(cluster.kafka(), HOST, &reduce_visit(), names)
}

/// The same for the transactions of the first worker.
fn transactional_id(cluster: &Cluster) -> String {
    loop {
        let id = topics::unique("cluster-id");
        if cluster.transaction_coordinator(&format!("{id}-0")) != 1 {
            return id;
        }
    }
}

fn exactly_once(job: &Job<'_>, count: usize) {
    let numbers = numbers(job);
    let distinct: BTreeSet<usize> = numbers.iter().copied().collect();
    assert_eq!((numbers.len(), distinct.len(), distinct.last()), (count, count, Some(&(count - 1))));
}

/// One test, because the start of three brokers takes most of the time.
#[test]
fn workers_survive_a_coordinator_outage_and_a_recreated_output_topic() {
    let cluster = Cluster::start().expect("three brokers");
    // The first group and the first transaction create the topics of the coordinators.
    let first = Job::new(cluster.kafka(), "first", HOST, &reduce_visit());
    topics::produce(cluster.kafka(), &first.input, [visit(0)]);
    first.run_to_end(&[]);

    for kills in ["group coordinator", "transaction coordinator"] {
        let (job, id) = (job(&cluster, "kills"), transactional_id(&cluster));
        topics::produce(job.kafka, &job.input, (0..VISITS).map(visit));
        let args = [&ARGS[..], &["--transactional-id", &id]].concat();
        let mut host = job.start(&args);
        let address = admin::address(&mut host);
        wait_for(&host, &address, 5_000);
        let broker = match kills {
            "group coordinator" => cluster.group_coordinator(&job.group),
            _ => cluster.transaction_coordinator(&format!("{id}-0")),
        };
        cluster.kill(broker);
        let before = records_in(&address);
        assert!(before < VISITS, "the kill came too late to prove anything");
        topics::produce(job.kafka, &job.input, (VISITS..VISITS + MORE).map(visit));
        let took = wait_for(&host, &address, VISITS + MORE);
        eprintln!("{kills} killed at {before}: all records after {took:?}");
        cluster.restart(broker).expect("the broker comes back");
        let ended = host.stop();
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        exactly_once(&job, VISITS + MORE);
    }

    let job = job(&cluster, "anew");
    topics::produce(job.kafka, &job.input, (0..VISITS).map(visit));
    let mut host = job.start(&ARGS);
    let address = admin::address(&mut host);
    wait_for(&host, &address, 5_000);
    topics::delete(job.kafka, &job.output);
    assert!(records_in(&address) < VISITS, "the deletion came too late to prove anything");
    topics::create(job.kafka, &job.output, 2, &[]);
    topics::produce(job.kafka, &job.input, (VISITS..VISITS + MORE).map(visit));
    let took = wait_for(&host, &address, VISITS + MORE);
    eprintln!("output topic created anew: all records after {took:?}");
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    // The earlier records are deleted with the topic.
    let numbers = numbers(&job);
    let distinct: BTreeSet<usize> = numbers.iter().copied().collect();
    assert_eq!(numbers.len(), distinct.len(), "a record came out twice");
    assert!((VISITS..VISITS + MORE).all(|number| distinct.contains(&number)), "a record is missing");
}
