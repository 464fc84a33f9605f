//! Exactly-once delivery in order through failures of hosts and brokers.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use harness::host::{Host, Job};
use harness::kafka::Kafka;
use harness::topics::{self, NewRecord, Record};
use mapper_api::versions::SwapOutcome;
use mapper_host::remote::client::Client;

use crate::rejected::now_ms;
use crate::{HOST, reduce_visit};

/// A visit; half of the visits can't be reduced.
pub(crate) fn visit(number: usize) -> NewRecord {
    let time = if number.is_multiple_of(2) { "\"2023-11-01T00:00:00+00:00\"" } else { "null" };
    let value = format!(r#"{{"visit_id": "{number}", "event_time": {time}, "page": null}}"#);
    NewRecord::value(value)
        .key((number % 100).to_string())
        .header("number", number.to_string())
        .partition((number % 2) as i32)
}

fn number(record: &Record) -> usize {
    let header = record.headers.iter().find(|(name, _)| name == "number").and_then(|(_, value)| value.as_deref());
    std::str::from_utf8(header.expect("headers are kept")).expect("text").parse().expect("a number")
}

/// Reads the committed records. Checks that each of the first `count` visits is in its topic, and how often, and
/// that the outputs of each input partition are in its order.
pub(crate) fn check(job: &Job<'_>, count: usize, duplicates: bool) {
    check_with(job, count, duplicates, |number| number % 2 == 1);
}

fn check_with(job: &Job<'_>, count: usize, duplicates: bool, fails: impl Fn(usize) -> bool) {
    let mut times: BTreeMap<usize, usize> = BTreeMap::new();
    for (topic, failed) in [(&job.output, false), (&job.dead_letters, true)] {
        let mut last: BTreeMap<(i32, usize), usize> = BTreeMap::new();
        for record in topics::read_all(job.kafka, topic) {
            let number = number(&record);
            assert_eq!(fails(number), failed, "in the wrong topic: {record:?}");
            *times.entry(number).or_default() += 1;
            if !duplicates {
                // Records of one key go to one partition, in their order.
                let before = last.insert((record.partition, number % 100), number);
                assert!(before.is_none_or(|before| before < number), "{number} after {before:?} in {topic}");
            }
        }
    }
    let missing: Vec<usize> = (0..count).filter(|number| !times.contains_key(number)).collect();
    assert!(
        missing.is_empty(),
        "{} of {count} never came out, as {:?}",
        missing.len(),
        &missing[..missing.len().min(10)]
    );
    let again: Vec<_> = times.iter().filter(|(_, times)| **times > 1).take(10).collect();
    assert!(duplicates || again.is_empty(), "came out more than once: {again:?}");
    assert_eq!(times.len(), count);
}

pub(crate) fn wait_for(what: &str, deadline: Duration, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + deadline;
    while !reached() {
        assert!(Instant::now() < deadline, "{what} never happened");
        thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn produced(job: &Job<'_>) -> usize {
    [&job.output, &job.dead_letters].iter().flat_map(|topic| topics::end_offsets(job.kafka, topic)).sum::<i64>()
        as usize
}

/// The number of input records that the group has committed.
fn done(job: &Job<'_>) -> usize {
    let committed = topics::committed(job.kafka, &job.group, &job.input);
    committed.iter().filter_map(|(_, next)| *next).sum::<i64>() as usize
}

/// A short session, so that the group soon removes a killed host.
pub(crate) const QUICK: [&str; 4] = ["--session-timeout", "2s", "--transaction-timeout", "5s"];

/// The steps of the loop, as the log names them after each step.
const STEPS: [&str; 8] = ["fetched", "mapped", "begun", "sent", "offsets sent", "committed", "aborted", "rewound"];

#[test]
fn kill_after_any_step_loses_and_duplicates_nothing() {
    const VISITS: usize = 80_000;
    // The broker rejects some outputs because of their timestamps, so transactions are aborted. The timestamps are so near to the
    // limit of an hour that the host does not reject them itself.
    const REFUSED: usize = 3_000;
    let refused = |number: usize| number.is_multiple_of(REFUSED);
    let too_old = now_ms() - 61 * 60_000;
    let job = Job::new(Kafka::shared(), "steps", HOST, &reduce_visit());
    topics::alter(job.kafka, &job.output, &[("message.timestamp.before.max.ms", "3600000")]);
    let visits = (0..VISITS).map(|number| match visit(number) {
        visit if refused(number) => visit.timestamp(too_old),
        visit => visit,
    });
    topics::produce(job.kafka, &job.input, visits);
    let args = ["--commit-interval", "10ms", "--commit-records", "500", "--log-format", "json"];
    let args: Vec<&str> = QUICK.into_iter().chain(args).chain(["--log-level", "warn,step=trace"]).collect();
    for step in STEPS {
        for times in [1, 2, 5] {
            job.kill_at(&args, &["\"target\":\"step\"", &format!("\"message\":\"{step}\"")], times);
        }
    }
    let done = done(&job);
    assert!(0 < done && done < VISITS, "{done} done: the kills came too early or too late to prove anything");
    job.run_to_end(&QUICK);
    check_with(&job, VISITS, false, |number| number % 2 == 1 || refused(number));
}

#[test]
fn kills_at_any_moment_lose_and_duplicate_nothing() {
    // More records than the hosts process before the last kill.
    const VISITS: usize = 200_000;
    const KILLS: usize = 8;
    let job = Job::new(Kafka::shared(), "kills", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, (0..VISITS).map(visit));
    // Small transactions, so that a kill at any moment meets another step of the loop: fetch, map, send, offsets, commit.
    let args: Vec<&str> = QUICK.into_iter().chain(["--commit-interval", "10ms", "--commit-records", "500"]).collect();
    for kill in 0..KILLS {
        let before = produced(&job);
        let host = job.start(&args);
        // The time from the first output of the host to the kill grows with each run.
        wait_for("progress", Duration::from_secs(60), || produced(&job) > before);
        thread::sleep(Duration::from_micros(4700 * kill as u64));
        host.kill();
    }
    let done = done(&job);
    assert!(0 < done && done < VISITS, "{done} done: the kills came too early or too late to prove anything");
    job.run_to_end(&args);
    check(&job, VISITS, false);
}

#[test]
fn at_least_once_loses_nothing_through_kills() {
    // More records than the hosts process before the last kill, so that each run has work.
    const VISITS: usize = 200_000;
    let job = Job::new(Kafka::shared(), "alo-kills", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, (0..VISITS).map(visit));
    let args: Vec<&str> = QUICK
        .into_iter()
        .chain(["--commit-interval", "10ms", "--commit-records", "500", "--delivery", "at-least-once"])
        .collect();
    for kill in 0..5 {
        let before = produced(&job);
        let host = job.start(&args);
        wait_for("progress", Duration::from_secs(60), || produced(&job) > before);
        thread::sleep(Duration::from_millis(3 * kill));
        host.kill();
    }
    job.run_to_end(&args);
    check(&job, VISITS, true);
}

#[test]
fn killed_and_added_hosts_under_load_lose_nothing() {
    const VISITS: usize = 200_000;
    let job = Job::new(Kafka::shared(), "group", HOST, &reduce_visit());
    let hosts: Vec<Host> = (0..2).map(|_| job.start(&QUICK)).collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            for chunk in (0..VISITS).collect::<Vec<_>>().chunks(10_000) {
                topics::produce(job.kafka, &job.input, chunk.iter().copied().map(visit));
            }
        });
        let mut hosts = hosts.into_iter();
        wait_for("the first records", Duration::from_secs(60), || produced(&job) > 10_000);
        hosts.next().expect("the first host").kill();
        let added = job.start(&QUICK);
        let at = produced(&job);
        wait_for("more records", Duration::from_secs(60), || produced(&job) > at);
        let second = hosts.next().expect("the second host");
        for host in [second, added] {
            let left = Instant::now() + Duration::from_secs(90);
            while produced(&job) < VISITS && Instant::now() < left {
                thread::sleep(Duration::from_millis(50));
            }
            let ended = host.stop();
            assert_eq!(ended.code, Some(0), "{}", ended.output);
        }
    });
    job.run_to_end(&QUICK);
    check(&job, VISITS, false);
}

#[test]
fn host_that_joins_after_the_end_of_partitions_loses_nothing() {
    const VISITS: usize = 200_000;
    let kafka = Kafka::shared();
    let mut names = Job::new(kafka, "joins", HOST, &reduce_visit()).into_names();
    names.input = topics::unique("joins-in-three");
    // Two of three partitions end soon: for any assignment, the first host keeps one of them.
    topics::create(kafka, &names.input, 3, &[]);
    let job = Job::with_names(kafka, HOST, &reduce_visit(), names);
    let partition = |number: usize| (number % 100).saturating_sub(97) as i32;
    topics::produce(kafka, &job.input, (0..VISITS).map(|number| visit(number).partition(partition(number))));
    let args = [&QUICK[..], &["--until-end", "--workers", "1"]].concat();
    let first = job.start(&args);
    wait_for("the first records", Duration::from_secs(60), || produced(&job) > 10_000);
    for host in [job.start(&args), first] {
        let ended = host.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.output);
    }
    check(&job, VISITS, false);
}

#[test]
fn broker_restart_under_load_loses_nothing() {
    const VISITS: usize = 150_000;
    let mut kafka = Kafka::start().expect("a broker of our own");
    for kill in [false, true] {
        let (mut host, names) = {
            let job = Job::new(&kafka, "restart", HOST, &reduce_visit());
            topics::produce(&kafka, &job.input, (0..VISITS).map(visit));
            let host = job.start(&["--admin", "127.0.0.1:0", "--commit-interval", "20ms", "--commit-records", "1000"]);
            wait_for("the first records", Duration::from_secs(60), || produced(&job) > 5_000);
            (host, job.into_names())
        };
        let admin = crate::admin::address(&mut host);
        if kill {
            kafka.kill();
        } else {
            kafka.stop();
            // The readiness probe reports it; the liveness probe does not, because a restart would not help.
            wait_for("the outage to be seen", Duration::from_secs(60), || {
                let (code, why) = crate::admin::get(&admin, "/readyz");
                code == 503 && why.contains("kafka: no answer for ")
            });
            assert_eq!(crate::admin::get(&admin, "/livez").0, 200);
        }
        kafka.restart().expect("the broker comes back");
        crate::admin::wait_until_ready(&admin);
        let job = Job::with_names(&kafka, HOST, &reduce_visit(), names);
        let expected = VISITS;
        wait_for("the rest", Duration::from_secs(120), || produced(&job) >= expected);
        let ended = host.stop();
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        job.run_to_end(&[]);
        check(&job, VISITS, false);
    }
}

#[test]
fn zombie_is_fenced_by_the_group_generation() {
    const VISITS: usize = 150_000;
    let job = Job::new(Kafka::shared(), "zombie", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, (0..VISITS).map(visit));
    // The session expires soon and the transaction much later, so in most runs the group generation fences the host.
    let args = ["--session-timeout", "2s", "--transaction-timeout", "15s"];
    let args = [&args[..], &["--commit-interval", "20ms", "--commit-records", "1000"]].concat();
    let zombie = job.start(&args);
    wait_for("the first records", Duration::from_secs(60), || produced(&job) > 5_000);
    zombie.signal(libc::SIGSTOP);
    // Another host takes over its partitions and reads to the end.
    job.run_to_end(&args);
    zombie.signal(libc::SIGCONT);
    // The uncommitted records of the zombie must not be visible.
    let ended = zombie.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    check(&job, VISITS, false);
}

#[test]
fn two_hosts_with_one_transactional_id_fence_each_other_and_lose_nothing() {
    const VISITS: usize = 150_000;
    let job = Job::new(Kafka::shared(), "rivals", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, (0..VISITS).map(visit));
    let id = topics::unique("rivals-id");
    let args = ["--transactional-id", &id, "--workers", "1", "--commit-interval", "20ms", "--commit-records", "200"];
    let args = [&QUICK[..], &args[..]].concat();
    let mut hosts = Vec::new();
    for state in ["one", "two"] {
        let state = job.dir().join(state).display().to_string();
        hosts.push(job.start(&[&args[..], &["--state-dir", &state]].concat()));
    }
    wait_for("one to give up", Duration::from_secs(120), || {
        hosts.iter().any(|host| host.output().contains("was taken over by another producer 3 times"))
            || produced(&job) >= VISITS
    });
    let ended: Vec<_> = hosts.into_iter().map(Host::stop).collect();
    let gave_up = |output: &str| output.contains("taken over by another producer");
    for ended in &ended {
        assert!(ended.code == Some(0) || ended.code == Some(4) && gave_up(&ended.output), "{}", ended.output);
    }
    assert!(ended.iter().any(|ended| ended.code == Some(4)), "{ended:?}");
    job.run_to_end(&QUICK);
    check(&job, VISITS, false);
}

#[test]
fn idle_host_commits_no_transaction() {
    const SWAPS: usize = 10;
    let job = Job::new(Kafka::shared(), "idle", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, (0..10).map(visit));
    let mut host = job.start(&["--commit-interval", "1ms", "--admin", "127.0.0.1:0", "--watch", "off"]);
    let admin = crate::admin::address(&mut host);
    let count = |name: &str| crate::admin::status(&admin)["counts"][name].as_u64().expect("a count");
    wait_for("the records", Duration::from_secs(60), || count("records_in") == 10);
    let ends = || [&job.output, &job.dead_letters].map(|topic| topics::end_offsets(job.kafka, topic));
    let before = (count("transactions"), ends());
    let client = Client::new(&format!("http://{admin}"), None).expect("a client");
    // Each worker takes a version between two iterations of its loop, so it had at least this number of iterations.
    for swap in 0..SWAPS {
        let report = client.swap(crate::swap::version(&format!("idle-{swap}")), false, true).expect("an answer");
        assert_eq!(report.outcome, SwapOutcome::Swapped, "{report:?}");
    }
    assert_eq!((count("transactions"), ends()), before, "an idle host has committed transactions");
    let ended = host.stop();
    assert!(ended.output.contains("10 records in"), "{}", ended.output);
}

#[test]
fn missing_or_deleted_dead_letter_topic_stops_the_host() {
    let kafka = Kafka::shared();
    let job = Job::new(kafka, "no-dlq", HOST, &reduce_visit());
    topics::produce(kafka, &job.input, (0..1000).map(visit));
    let missing = topics::unique("missing");
    let ended = job.start(&["--dead-letter-topic", &missing]).wait();
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    assert!(
        ended.output.contains(&format!("'{missing}'")) && ended.output.contains("--create-topics"),
        "{}",
        ended.output
    );

    let args = ["--kafka", "topic.metadata.propagation.max.ms=1000", "--transaction-timeout", "2s"];
    let host = job.start(&args);
    wait_for("the first records", Duration::from_secs(60), || produced(&job) >= 1000);
    topics::delete(kafka, &job.dead_letters);
    topics::produce(kafka, &job.input, (1000..1010).map(visit));
    let ended = host.wait();
    assert_eq!(ended.code, Some(4), "{}", ended.output);
    assert!(ended.output.contains(&job.dead_letters), "{}", ended.output);
    // All dead letters are of partition 1; the worker of partition 0 may have continued until it was stopped.
    let committed = topics::committed(kafka, &job.group, &job.input);
    assert_eq!(committed[1], (1, Some(500)), "nothing is committed without its dead letters");
}

#[test]
fn missing_topics_are_created_with_create_topics() {
    let kafka = Kafka::shared();
    let job = Job::new(kafka, "create", HOST, &reduce_visit());
    let (output, dead_letters) = (topics::unique("created"), topics::unique("created-dlq"));
    topics::produce(kafka, &job.input, (0..10).map(visit));
    job.run_to_end(&["--output-topic", &output, "--dead-letter-topic", &dead_letters, "--create-topics", "3"]);
    assert_eq!(topics::end_offsets(kafka, &output).len(), 3);
    assert_eq!(topics::read_all(kafka, &output).len(), 5);
    assert_eq!(topics::read_all(kafka, &dead_letters).len(), 5);
}
