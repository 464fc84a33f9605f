//! A host that is stopped: it finishes, commits and leaves the group.

use std::time::Duration;

use harness::host::Job;
use harness::kafka::Kafka;
use harness::topics::{self, NewRecord};

use crate::delivery::{check, produced, visit, wait_for};
use crate::{HOST, reduce_visit};

#[test]
fn work_beyond_the_drain_timeout_stays_uncommitted() {
    let commands = harness::plugins::build(HOST, "tests/guests/commands_batch");
    let job = Job::new(Kafka::shared(), "overrun", HOST, &commands);
    topics::produce(job.kafka, &job.input, [NewRecord::value("spin").partition(0)]);
    let mut host = job.start(&["--record-timeout", "5m", "--drain-timeout", "200ms", "--admin", "127.0.0.1:0"]);
    let admin = crate::admin::address(&mut host);
    wait_for("the record to be in the plugin", Duration::from_secs(60), || {
        crate::admin::status(&admin)["workers"].to_string().contains("mapping")
    });
    host.signal(libc::SIGTERM);
    let ended = host.wait();
    assert_eq!(ended.code, Some(4), "{}", ended.output);
    assert!(ended.output.contains("the drain did not complete within 200ms (--drain-timeout)"), "{}", ended.output);
    assert!(topics::committed(job.kafka, &job.group, &job.input).iter().all(|(_, offset)| offset.is_none()));
}

#[test]
fn stop_drains_commits_and_leaves_the_group() {
    const VISITS: usize = 50_000;
    let job = Job::new(Kafka::shared(), "stop", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, (0..VISITS).map(visit));
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // The session does not expire while this test waits.
        let host = job.start(&["--session-timeout", "4m"]);
        wait_for("the first records", Duration::from_secs(60), || produced(&job) > 0);
        host.signal(signal);
        let ended = host.wait();
        // After the drain timeout the exit code is another one.
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        wait_for("the group to be left", Duration::from_secs(60), || topics::members(job.kafka, &job.group) == 0);
    }
    job.run_to_end(&[]);
    check(&job, VISITS, false);
}

#[test]
fn stop_commits_the_fetched_records() {
    for delivery in ["exactly-once", "at-least-once"] {
        let job = Job::new(Kafka::shared(), "drain", HOST, &reduce_visit());
        // Only the stop causes a commit, because no worker joins later.
        let mut host = job.start(&["--commit-interval", "20s", "--delivery", delivery, "--admin", "127.0.0.1:0"]);
        crate::admin::wait_until_ready(&crate::admin::address(&mut host));
        topics::produce(job.kafka, &job.input, (0..100).map(visit));
        wait_for("the records, not committed", Duration::from_secs(60), || produced(&job) >= 100);
        let ended = host.stop();
        assert!(ended.output.contains("100 records in"), "{}", ended.output);
        check(&job, 100, false);
    }
}
