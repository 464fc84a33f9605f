//! A redrive beside a host that maps records and swaps its version.

use std::time::Duration;

use harness::host::{self, Host};
use harness::kafka::Kafka;
use harness::letters;
use harness::topics::{self, NewRecord};
use mapper_api::versions::SwapOutcome;

use super::redrive::Redrive;
use crate::HOST;
use crate::ledger::ledger_topic;
use crate::swap::{client, version};

#[test]
fn redrive_beside_a_host_that_swaps_is_exactly_once_and_audits_find_nothing() {
    let ledger = ledger_topic(Kafka::shared());
    let settings = ["--ledger-topic", &ledger, "--provenance", "headers"];
    let test = Redrive::with_args("redrive-swap", 400, &settings);
    let job = &test.job;
    let failed = topics::read_all(job.kafka, &job.dead_letters).len();
    let plugin = test.plugin("rejects-some");
    let args = ["--plugin", &plugin, "--workers", "1", "--commit-interval", "20ms", "--admin", "127.0.0.1:0"];
    let mut first: Host = job.start(&[&args[..], &["--watch", "off"], &settings].concat());
    let client = client(&mut first);
    let fixed = test.plugin("plain");
    let redrive = ["redrive", "--plugin", &fixed, "--rate", "100/s", "--commit-interval", "20ms"];
    let settings = [&settings[..], &["--consumer-group", &job.group]].concat();
    let mut redrive = test.spawn(&[&redrive[..], &settings].concat());
    redrive.wait_for("\"progress\"");
    let audit = || {
        let mut command = host::command(HOST);
        command.args(["audit", "--brokers", job.kafka.brokers(), "--group", &job.group, "--input-topic", &job.input]);
        command.args(["--output-topic", &job.output, "--dead-letter-topic", &job.dead_letters]);
        command.args(["--ledger-topic", &ledger, "--provenance", "headers"]);
        let ended = Host::spawn(&mut command).wait();
        assert_eq!(ended.code, Some(0), "{}", ended.output);
    };
    let mut produced = 400;
    for word in ["plain", "one", "plain"] {
        let records = (produced..produced + 50).map(|number| NewRecord::value(format!("more {number}")));
        topics::produce(job.kafka, &job.input, records);
        produced += 50;
        let report = client.swap(version(word), false, true).expect("an answer");
        assert_eq!(report.outcome, SwapOutcome::Swapped, "{report:?}");
        audit();
    }
    let redriven = redrive.wait();
    assert_eq!(redriven.code, Some(0), "{}", redriven.output);
    assert!(redriven.output.contains(&format!("\"done\":{failed}")), "{}", redriven.output);
    // The version that was active first has failed on some of the new records.
    let is_mapped = |count: usize| {
        let letters = topics::read_all(job.kafka, &job.dead_letters).len() - failed;
        topics::read_all(job.kafka, &job.output).len() + letters == count
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !is_mapped(produced) {
        assert!(std::time::Instant::now() < deadline, "the host does not map all records:\n{}", first.output());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(first.stop().code, Some(0));
    let last = test.redrive("plain", &settings);
    assert_eq!((last.code, test.open_letters()), (Some(0), 0), "{}", last.output);
    let outputs = test.outputs();
    assert_eq!(outputs.len(), produced);
    for letter in topics::read_all(job.kafka, &job.dead_letters) {
        let (_, partition, offset) = letters::source(&letter);
        assert_eq!(outputs[&(partition, offset)], "plain");
    }
    audit();
}
