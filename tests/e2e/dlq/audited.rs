//! `mapper-host audit` compares the resolutions of redrives with the ledger, the dead letters and the outputs.

use harness::host;
use harness::kafka::Kafka;
use harness::letters;
use harness::topics::{self, Record};
use serde_json::Value;

use super::redrive::Redrive;
use crate::HOST;
use crate::audit::{copy, delete_record};
use crate::ledger::ledger_topic;

const COMPACTED: (i32, &[(&str, &str)]) = (1, &[("cleanup.policy", "compact")]);

/// A job whose letters are redriven with a ledger.
struct Audited {
    test: Redrive,
    ledger: String,
    provenance: &'static str,
    states: String,
}

impl Audited {
    fn new(provenance: &'static str) -> Self {
        let ledger = ledger_topic(Kafka::shared());
        let args = ["--ledger-topic", &ledger, "--provenance", provenance];
        let test = Redrive::with_args("redrive-audited", 60, &args);
        let states = format!("{}.state", test.job.dead_letters);
        Self { test, ledger, provenance, states }
    }

    fn redrive(&self, word: &str, more: &[&str]) {
        let group = &self.test.job.group;
        let args = ["--ledger-topic", &self.ledger, "--consumer-group", group, "--provenance", self.provenance];
        let ended = self.test.redrive(word, &[&args, more].concat());
        assert!(matches!(ended.code, Some(0 | 10)), "{}", ended.output);
    }

    /// The findings of an audit.
    fn findings(&self) -> Vec<String> {
        let job = &self.test.job;
        let mut command = host::command(HOST);
        command.args(["audit", "--json", "--brokers", job.kafka.brokers(), "--group", &job.group]);
        command.args(["--input-topic", &job.input, "--output-topic", &job.output]);
        command.args(["--dead-letter-topic", &job.dead_letters, "--ledger-topic", &self.ledger]);
        command.args(["--provenance", self.provenance]);
        let output = command.output().expect("the audit can be run");
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let text = |finding: &Value, field: &str| finding[field].as_str().expect("text").to_owned();
        let listed = report["findings"]["listed"].as_array().expect("a list");
        let found: Vec<String> =
            listed.iter().map(|finding| ["kind", "at", "reason"].map(|field| text(finding, field)).join(" ")).collect();
        assert_eq!(output.status.code(), Some(if found.is_empty() { 0 } else { 6 }), "{report:#}");
        found
    }

    #[track_caller]
    fn assert_found(&self, expected: &[String]) {
        let found = self.findings();
        let is_found = |text: &String| found.iter().any(|found| found.contains(text));
        assert!(found.len() == expected.len() && expected.iter().all(is_found), "{found:#?}\n{expected:#?}");
    }

    /// The index of the only redriven output of a letter in the output topic.
    fn output_of(&self, letter: &Record) -> usize {
        let (_, partition, offset) = letters::source(letter);
        let value = format!("plain {partition} {offset}");
        let outputs = topics::read_all(self.test.job.kafka, &self.test.job.output);
        outputs.iter().position(|output| output.value.as_deref() == Some(value.as_bytes())).expect("its output")
    }

    /// The index of the resolution of a letter in the state topic.
    fn resolution_of(&self, letter: &Record) -> usize {
        let (topic, partition, offset) = letters::source(letter);
        let key = format!("letter {topic}/{partition}@{offset}");
        let states = topics::read_all(self.test.job.kafka, &self.states);
        states.iter().rposition(|state| state.key.as_deref() == Some(key.as_bytes())).expect("its resolution")
    }
}

#[test]
fn audit_finds_redriven_outputs_and_resolutions_that_do_not_match() {
    let audited = Audited::new("headers");
    let (job, states) = (&audited.test.job, &audited.states);
    let letters = topics::read_all(job.kafka, &job.dead_letters);
    audited.redrive("rejects", &["--limit", "5"]);
    audited.redrive("plain", &[]);
    assert_eq!(audited.test.open_letters(), 0);
    audited.assert_found(&[]);
    let letter = letters.last().expect("a letter");
    let (topic, partition, offset) = letters::source(letter);
    let at = format!("{topic}/{partition}@{offset}");

    // A resolution is gone.
    let index = audited.resolution_of(letter);
    let resolution = topics::read_all(job.kafka, states).remove(index);
    delete_record(job.kafka, states, index, COMPACTED);
    let (all, without) = (letters.len() + 5, letters.len() + 4);
    audited.assert_found(&[
        format!("missing {states} the topic has {without} resolutions of redrives, and the ledger counts {all}"),
        format!(
            "unexplained {at} the topic '{}' has an output of this record, which has a dead letter and no",
            job.output
        ),
    ]);
    topics::produce(job.kafka, states, [copy(&resolution)]);
    audited.assert_found(&[]);

    // A redriven output is gone.
    let index = audited.output_of(letter);
    let output = topics::read_all(job.kafka, &job.output).remove(index);
    delete_record(job.kafka, &job.output, index, (2, &[]));
    audited.assert_found(&[format!(
        "missing {at} a redrive has written 1 outputs of this record to '{}', and the topic has 0",
        job.output
    )]);
    topics::produce(job.kafka, &job.output, [copy(&output)]);
    audited.assert_found(&[]);
}

#[test]
fn audit_finds_a_redrive_without_a_ledger() {
    for provenance in ["off", "headers"] {
        let audited = Audited::new(provenance);
        let (test, states) = (&audited.test, &audited.states);
        audited.redrive("plain", &["--limit", "7"]);
        audited.assert_found(&[]);
        // The version skips the record, so only the resolution shows the redrive.
        let ended = test.redrive("skips", &["--limit", "1"]);
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        audited.assert_found(&[format!(
            "unexplained {states} the topic has 8 resolutions of redrives, and the ledger counts 7: a redrive ran without --ledger-topic"
        )]);
    }
}
