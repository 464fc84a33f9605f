//! Redrives that are killed at random moments, and redrives that may not write.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use harness::host::{self, Ended, Host, Job};
use harness::kafka::Kafka;
use harness::letters;
use harness::mutate::Numbers;
use harness::secure::{Operation, Resource};
use harness::topics;

use super::redrive::Redrive;
use crate::HOST;
use crate::ledger::ledger_topic;
use crate::secure::{logged_in, secure};

const READ: Operation = Operation::RD_KAFKA_ACL_OPERATION_READ;
const WRITE: Operation = Operation::RD_KAFKA_ACL_OPERATION_WRITE;

#[test]
fn redrive_that_is_killed_at_random_moments_continues_exactly_once() {
    const KILLS: usize = 20;
    const RECORDS: usize = 4000;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_nanos();
    let seed = std::env::var("TEST_SEED").map_or(now as u64, |text| text.parse().expect("TEST_SEED is a number"));
    println!("TEST_SEED={seed}");
    let mut numbers = Numbers::new(seed);
    let ledger = ledger_topic(Kafka::shared());
    let settings = ["--ledger-topic", &ledger, "--provenance", "headers"];
    let test = Redrive::with_args("redrive-random", RECORDS, &settings);
    let job = &test.job;
    let failed = test.open_letters();
    let settings = [&settings[..], &["--consumer-group", &job.group]].concat();
    let plugin = test.plugin("plain");
    let small =
        ["redrive", "--plugin", &plugin, "--commit-interval", "10ms", "--rate", "40/s", "--log-level", "step=trace"];
    let mut done = vec![0];
    for kill in 1..=KILLS {
        let redrive = test.spawn(&[&small[..], &settings].concat());
        // Half of the kills come after the first step that follows the claim. No run reaches the end in this time, at 40 letters a second.
        let is_late = kill % 2 == 0;
        let deadline = Instant::now() + Duration::from_secs(60);
        while is_late && redrive.output().matches("TRACE").count() < 2 {
            assert!(Instant::now() < deadline, "no step:\n{}", redrive.output());
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(numbers.below(if is_late { 1000 } else { 2000 }) as u64));
        redrive.signal(9);
        let ended = redrive.wait();
        assert_eq!(ended.code, None, "kill {kill}: {}", ended.output);
        done.push(failed - test.open_letters());
    }
    assert!(done.is_sorted() && done[KILLS] > 0 && done[KILLS] < failed, "{done:?} of {failed}");
    let last = test.redrive("plain", &settings);
    assert_eq!(last.code, Some(0), "{}", last.output);
    assert_eq!(test.open_letters(), 0);
    let written = topics::read_all(job.kafka, &job.dead_letters);
    let outputs = topics::read_all(job.kafka, &job.output);
    assert_eq!((written.len() as u64, outputs.len()), (failed, RECORDS), "an output or a letter too many");
    let outputs = test.outputs();
    assert!(written.iter().map(letters::source).all(|(_, partition, offset)| outputs[&(partition, offset)] == "plain"));
    let mut audit = host::command(HOST);
    audit.args(["audit", "--brokers", job.kafka.brokers(), "--group", &job.group, "--input-topic", &job.input]);
    audit.args(["--output-topic", &job.output, "--dead-letter-topic", &job.dead_letters]);
    audit.args(["--ledger-topic", &ledger, "--provenance", "headers"]);
    let audited = Host::spawn(&mut audit).wait();
    assert_eq!(audited.code, Some(0), "{}", audited.output);
}

#[test]
fn state_topic_that_is_not_compacted_stops_a_redrive_before_it_writes() {
    let test = Redrive::new("redrive-policy", 20);
    let states = topics::unique("states");
    topics::create(test.job.kafka, &states, 1, &[("cleanup.policy", "delete")]);
    let open = test.open_letters();
    let redriven = test.redrive("plain", &["--state-topic", &states]);
    assert_eq!(redriven.code, Some(2), "{}", redriven.output);
    assert!(redriven.output.contains("is not compacted (cleanup.policy)"), "{}", redriven.output);
    assert!(redriven.output.contains("--add-config cleanup.policy=compact"), "{}", redriven.output);
    assert_eq!((test.open_letters(), test.outputs().len() as u64), (open, 20 - open));
    assert_eq!(topics::read_all(test.job.kafka, &states).len(), 0);
}

/// Runs a command as a user who has only granted permissions.
fn as_user(test: &Redrive, user: &str, args: &[&str]) -> Ended {
    let (secure, job) = (secure(), &test.job);
    let mut command = host::command(HOST);
    command.arg("dlq").args(args).args(["--brokers", &secure.sasl, "--dead-letter-topic", &job.dead_letters]);
    command.args(logged_in(user));
    Host::spawn(&mut command).wait()
}

#[test]
fn state_topic_without_a_permission_is_named_and_nothing_is_written() {
    let secure = secure();
    for (user, has_states) in [("no-states", true), ("no-state-topic", false)] {
        let dir = tempfile::tempdir().expect("a folder");
        let test = Redrive { job: Job::new(secure.kafka(), user, HOST, &crate::reduce_visit()), dir };
        let job = &test.job;
        let states = format!("{}.state", job.dead_letters);
        let values = (0..20).map(|number| topics::NewRecord::value(format!("value {number}")).partition(0));
        topics::produce(job.kafka, &job.input, values);
        job.run_to_end(&["--plugin", &test.plugin("rejects-some"), "--workers", "1"]);
        if has_states {
            topics::create(job.kafka, &states, 1, &[("cleanup.policy", "compact")]);
        }
        secure.allow(user, Resource::Topic(&job.dead_letters), &[READ, WRITE]);
        secure.allow(user, Resource::Topic(&job.output), &[READ, WRITE]);
        secure.allow(user, Resource::TransactionalIds("mapper-host-redrive-"), &[WRITE]);
        // Without DESCRIBE, Kafka does not say whether a topic exists.
        secure.allow(user, Resource::Topic(&states), &[READ]);
        let named = match has_states {
            true => format!("missing permission: WRITE on the topic '{states}'"),
            false => format!("--create --topic {states} --partitions 1 --config cleanup.policy=compact"),
        };
        let plugin = test.plugin("plain");
        let redrive = ["redrive", "--plugin", &plugin, "--output-topic", &job.output];
        for args in [&redrive[..], &["discard", "--kind", "rejected", "--reason", "test"]] {
            let ended = as_user(&test, user, args);
            assert_eq!(ended.code, Some(4), "{args:?}: {}", ended.output);
            assert!(ended.output.contains(&named), "{args:?}: '{named}' is not in {}", ended.output);
        }
        let counts = [&job.output, &job.dead_letters].map(|topic| topics::read_all(job.kafka, topic).len());
        assert_eq!(counts, [10, 10], "{user}");
        assert!(!has_states || topics::read_all(job.kafka, &states).is_empty());
        assert_eq!(topics::exists(job.kafka, &states), has_states);
        if has_states {
            // The permission is all that was missing.
            secure.allow(user, Resource::Topic(&states), &[WRITE]);
            let ended = as_user(&test, user, &redrive);
            assert_eq!((ended.code, test.outputs().len()), (Some(0), 20), "{}", ended.output);
        }
    }
}
