//! `mapper-host audit` on a real Kafka: it finds nothing after failures of hosts, and finds each mistake that is made by hand.

use std::thread;
use std::time::Duration;

use harness::changes;
use harness::host::{Job, command};
use harness::kafka::Kafka;
use harness::topics::{self, NewRecord, Record};
use serde_json::Value;

use crate::delivery::{QUICK, produced, visit, wait_for};
use crate::ledger::ledger_topic;
use crate::{HOST, reduce_visit};

/// A job whose outputs name their input, or not.
struct Audited<'k> {
    job: Job<'k>,
    ledger: String,
    provenance: &'static str,
}

/// The end of an audit.
#[derive(Debug)]
struct Audit {
    code: Option<i32>,
    report: Value,
    errors: String,
}

impl Audit {
    fn findings(&self) -> Vec<String> {
        let text = |finding: &Value, field: &str| finding[field].as_str().expect("text").to_owned();
        let all = self.report["findings"]["listed"].as_array().expect("a list");
        all.iter().map(|finding| ["kind", "at", "reason"].map(|field| text(finding, field)).join(" ")).collect()
    }

    #[track_caller]
    fn assert_clean(&self) {
        assert_eq!((self.code, self.findings()), (Some(0), vec![]), "{self:#?}");
    }

    /// Checks that there are findings, and that each of them has one of these texts, which all occur.
    #[track_caller]
    fn assert_found(&self, expected: &[&str]) {
        let found = self.findings();
        let is_expected = found.iter().all(|found| expected.iter().any(|text| found.contains(text)));
        let are_found = expected.iter().all(|text| found.iter().any(|found| found.contains(text)));
        assert!(self.code == Some(6) && is_expected && are_found, "{self:#?}");
        assert!(self.errors.contains("listed above"), "{self:#?}");
    }
}

impl<'k> Audited<'k> {
    /// A job with new topics.
    fn new(name: &str, provenance: &'static str) -> Self {
        let kafka = Kafka::shared();
        Self { job: Job::new(kafka, name, HOST, &reduce_visit()), ledger: ledger_topic(kafka), provenance }
    }

    fn args<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let ours = ["--ledger-topic", &self.ledger, "--provenance", self.provenance];
        QUICK.into_iter().chain(ours).chain(more.iter().copied()).collect()
    }

    fn produce(&self, visits: std::ops::Range<usize>) {
        topics::produce(self.job.kafka, &self.job.input, visits.map(visit));
    }

    fn run_to_end(&self, more: &[&str]) {
        self.job.run_to_end(&self.args(more));
    }

    fn audit(&self, more: &[&str]) -> Audit {
        let job = &self.job;
        let mut command = command(HOST);
        command.args(["audit", "--json", "--brokers", job.kafka.brokers(), "--group", &job.group]);
        command.args(["--input-topic", &job.input, "--output-topic", &job.output]);
        command.args(["--dead-letter-topic", &job.dead_letters, "--ledger-topic", &self.ledger]);
        command.args(["--provenance", self.provenance]).args(more);
        let output = command.output().expect("the audit can be run");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
        Audit { code: output.status.code(), report, errors }
    }

    /// Writes a record of a topic again.
    fn repeat(&self, topic: &str, record: &Record) {
        topics::produce(self.job.kafka, topic, [copy(record)]);
    }

    fn delete_record(&self, topic: &str, index: usize) {
        delete_record(self.job.kafka, topic, index, (2, &[]));
    }
}

/// Creates a topic again with these partitions and settings, with all records but the one with this index.
pub(crate) fn delete_record(kafka: &Kafka, topic: &str, index: usize, (partitions, settings): (i32, &[(&str, &str)])) {
    let records = topics::read_all(kafka, topic);
    topics::delete(kafka, topic);
    topics::create(kafka, topic, partitions, settings);
    let others = records.iter().enumerate().filter(|(other, _)| *other != index);
    topics::produce(kafka, topic, others.map(|(_, record)| copy(record)));
}

/// The same record for another topic.
pub(crate) fn copy(record: &Record) -> NewRecord {
    let new = NewRecord { key: record.key.clone(), value: record.value.clone(), ..NewRecord::default() };
    let new = NewRecord { headers: record.headers.clone(), timestamp: record.timestamp, ..new };
    new.partition(record.partition)
}

fn sum(report: &Value, list: &str, field: &str) -> u64 {
    report[list].as_array().expect("a list").iter().map(|one| one[field].as_u64().expect("a number")).sum()
}

#[test]
fn audit_after_kills_and_rebalances_finds_nothing() {
    const VISITS: usize = 60_000;
    const LIVE: usize = 40_000;
    for provenance in ["off", "headers"] {
        let audited = Audited::new("audit-kills", provenance);
        let job = &audited.job;
        audited.produce(0..VISITS);
        let small = ["--commit-interval", "10ms", "--commit-records", "500"];
        let steps: Vec<&str> =
            small.into_iter().chain(["--log-format", "json", "--log-level", "warn,step=trace"]).collect();
        for step in ["sent", "offsets sent", "committed"] {
            let texts = ["\"target\":\"step\"", &format!("\"message\":\"{step}\"")];
            job.kill_at(&audited.args(&steps), &texts, 3);
        }
        let first = job.start(&audited.args(&small));
        let before = produced(job);
        wait_for("progress", Duration::from_secs(60), || produced(job) > before);
        let second = job.start(&audited.args(&small));
        thread::sleep(Duration::from_millis(500));
        first.kill();
        let ended = thread::scope(|scope| {
            scope.spawn(|| (0..LIVE / 500).for_each(|_| audited.produce(VISITS..VISITS + 500)));
            // The second host commits transactions while the audits read.
            for _ in 0..3 {
                audited.audit(&[]).assert_clean();
            }
            second.stop()
        });
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        audited.run_to_end(&small);
        let audit = audited.audit(&[]);
        audit.assert_clean();
        assert_eq!(sum(&audit.report, "partitions", "records"), (VISITS + LIVE) as u64);
        assert_eq!(sum(&audit.report, "topics", "records"), (VISITS + LIVE) as u64);
        let ranges = sum(&audit.report, "partitions", "ranges");
        assert!(ranges > 100, "{ranges} ranges");
    }
}

#[test]
fn audit_leaves_no_trace_and_prints_a_line_for_each_partition() {
    let audited = Audited::new("audit-text", "off");
    let job = &audited.job;
    audited.produce(0..100);
    audited.run_to_end(&[]);
    let committed = topics::committed(job.kafka, &job.group, &job.input);
    let mut command = command(HOST);
    let topics = ["--output-topic", &job.output, "--dead-letter-topic", &job.dead_letters];
    command.args(["audit", "--brokers", job.kafka.brokers(), "--group", &job.group, "--input-topic", &job.input]);
    command.args(topics).args(["--ledger-topic", &audited.ledger]);
    let output = command.output().expect("the audit can be run");
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let expected = [
        format!("{}/0: offsets 0 to 49, ranges", job.input),
        format!("{}/1: offsets 0 to 49, ranges", job.input),
        format!("{}: records 50, in the ledger 50", job.output),
        format!("{}: records 50, in the ledger 50", job.dead_letters),
        "nothing is missing, duplicated or unexplained".to_owned(),
    ];
    assert!(lines.len() == 5 && lines.iter().zip(&expected).all(|(line, text)| line.starts_with(text)), "{text}");
    assert_eq!(topics::committed(job.kafka, &job.group, &job.input), committed);
    assert_eq!(topics::members(job.kafka, &job.group), 0);
}

#[test]
fn deleted_repeated_and_unknown_outputs_are_found() {
    let sum = Audited::new("audit-sum", "off");
    let by_record = Audited::new("audit-record", "headers");
    for audited in [&sum, &by_record] {
        audited.produce(0..200);
        audited.run_to_end(&[]);
        audited.audit(&[]).assert_clean();
        let outputs = topics::read_all(audited.job.kafka, &audited.job.output);
        audited.repeat(&audited.job.output, &outputs[20]);
    }
    sum.audit(&[]).assert_found(&[&format!("duplicated {}", sum.job.output)]);
    by_record.audit(&[]).assert_found(&["has an output of this record more than once"]);
    // The topic now has one of each output but one, and one of them twice: only an audit by record sees it.
    sum.delete_record(&sum.job.output, 30);
    by_record.delete_record(&by_record.job.output, 30);
    sum.audit(&[]).assert_clean();
    by_record
        .audit(&[])
        .assert_found(&["has an output of this record more than once", "records of this range, and the ledger counts"]);
    sum.delete_record(&sum.job.output, 40);
    sum.audit(&[])
        .assert_found(&[&format!("missing {} the topic has 99 records, and the ledger counts 100", sum.job.output)]);
    topics::produce(by_record.job.kafka, &by_record.job.output, [NewRecord::value("by hand").partition(0)]);
    let audit = by_record.audit(&[]);
    assert!(audit.findings().iter().any(|found| found.contains("1 records that name no input")), "{audit:#?}");
}

#[test]
fn letter_without_its_record_and_record_without_its_letter_are_found() {
    let audited = Audited::new("audit-letters", "off");
    let job = &audited.job;
    audited.produce(0..200);
    audited.run_to_end(&[]);
    let letters = topics::read_all(job.kafka, &job.dead_letters);
    let source = |text: &str| {
        let mut letter = letters[0].clone();
        let header = letter.headers.iter_mut().find(|(name, _)| name == "mapper-host.source").expect("a source");
        header.1 = Some(text.as_bytes().to_vec());
        letter
    };
    // All visits of partition 0 have an output.
    audited.repeat(&job.dead_letters, &source(&format!("{}/0@5", job.input)));
    audited.audit(&[]).assert_found(&["records of this range, and the ledger counts"]);
    audited.repeat(&job.dead_letters, &source(&format!("{}/1@5000", job.input)));
    let audit = audited.audit(&[]);
    assert!(
        audit.findings().iter().any(|found| found.contains("@5000 dead letter of an offset that no range")),
        "{audit:#?}"
    );
    let complete = Audited::new("audit-letters", "off");
    complete.produce(0..200);
    complete.run_to_end(&[]);
    complete.delete_record(&complete.job.dead_letters, 7);
    complete.audit(&[]).assert_found(&["missing", "of this range, and the ledger counts"]);
}

#[test]
fn committed_offsets_that_were_moved_by_hand_are_found() {
    let audited = Audited::new("audit-moved", "off");
    let job = &audited.job;
    audited.produce(0..200);
    audited.run_to_end(&[]);
    audited.produce(200..300);
    changes::commit(job.kafka, &job.group, &job.input, (0, 130), "");
    audited
        .audit(&[])
        .assert_found(&[&format!("missing {}/0@100..129 30 offsets are committed without a range", job.input)]);
    // The host goes on from there.
    audited.run_to_end(&[]);
    audited
        .audit(&[])
        .assert_found(&[&format!("missing {}/0@100..129 30 offsets are committed without a range", job.input)]);
    changes::commit(job.kafka, &job.group, &job.input, (1, 140), "");
    let audit = audited.audit(&[]);
    let back = format!("unexplained {}/1@140..149 10 offsets are in the ledger and not committed", job.input);
    assert!(audit.findings().contains(&format!("{back}: their records will be mapped again")), "{audit:#?}");
}

#[test]
fn batch_that_an_at_least_once_host_repeats_is_found() {
    let audited = Audited::new("audit-alo", "off");
    let job = &audited.job;
    // A short session timeout, or a second worker that joins, can cause repetitions of its own on a slow machine.
    let args = ["--delivery", "at-least-once", "--workers", "1", "--ledger-topic", &audited.ledger];
    audited.produce(0..200);
    job.run_to_end(&args);
    audited.audit(&[]).assert_clean();
    audited.produce(200..300);
    job.run_to_end(&args);
    // As after a crash before the commit.
    changes::commit(job.kafka, &job.group, &job.input, (0, 100), "");
    job.run_to_end(&args);
    audited
        .audit(&[])
        .assert_found(&[&format!("duplicated {}/0@100..149 50 offsets are in more than one range", job.input)]);
}

#[test]
fn audit_covers_what_retention_and_since_leave() {
    let audited = Audited::new("audit-retention", "headers");
    let job = &audited.job;
    audited.produce(0..200);
    audited.run_to_end(&[]);
    changes::delete_records(job.kafka, &job.output, 0, 10);
    let audit = audited.audit(&[]);
    audit.assert_clean();
    assert!(audit.report["notes"].to_string().contains("retention has removed 10 offsets"), "{audit:#?}");
    changes::delete_records(job.kafka, &audited.ledger, 0, topics::end_offsets(job.kafka, &audited.ledger)[0]);
    let now = chrono::Utc::now().to_rfc3339();
    audited.produce(200..300);
    audited.run_to_end(&[]);
    for since in [&[][..], &["--since", &now], &["--since", "1h"]] {
        let audit = audited.audit(since);
        audit.assert_clean();
        assert_eq!(sum(&audit.report, "partitions", "records"), 100, "{audit:#?}");
    }
    let audit = audited.audit(&["--since", &chrono::Utc::now().to_rfc3339()]);
    audit.assert_clean();
    assert_eq!(sum(&audit.report, "partitions", "records"), 0);
}

#[test]
fn audit_without_a_ledger_names_what_is_missing() {
    let audited = Audited::new("audit-none", "off");
    let run = |more: &[&str]| {
        let output = command(HOST).arg("audit").args(more).output().expect("the audit can be run");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let brokers = audited.job.kafka.brokers();
    let (code, errors) = run(&["--brokers", brokers]);
    assert!(code == Some(2) && errors.contains("--ledger-topic"), "{errors}");
    let (code, errors) = run(&["--ledger-topic", &audited.ledger]);
    assert!(code == Some(2) && errors.contains("--brokers"), "{errors}");
    let missing = topics::unique("missing");
    let (code, errors) = run(&["--brokers", brokers, "--input-topic", &audited.job.input, "--ledger-topic", &missing]);
    assert!(code == Some(2) && errors.contains(&format!("the topic '{missing}' doesn't exist")), "{errors}");
}

#[test]
fn audit_over_http_is_that_of_the_command_and_ends_in_time() {
    let audited = Audited::new("audit-http", "headers");
    audited.produce(0..300);
    let mut host = audited.job.start(&audited.args(&["--admin", "127.0.0.1:0"]));
    let address = crate::admin::address(&mut host);
    crate::admin::wait_until_ready(&address);
    crate::admin::wait_until_committed(&address, 300);
    let get = |path: &str| {
        let (status, body) = crate::admin::get(&address, &format!("/v1/pipelines/default{path}"));
        (status, serde_json::from_str::<Value>(&body).unwrap_or_else(|error| panic!("{status} {error}: {body}")))
    };
    let (status, report) = get("/audit");
    assert_eq!((status, &report["findings"]["total"]), (200, &0.into()), "{report:#}");
    assert_eq!(report, audited.audit(&[]).report);
    let (status, later) = get("/audit?since=1ms");
    assert_eq!((status, &later["partitions"][0]["ranges"]), (200, &0.into()), "{later:#}");
    let output = topics::read_all(audited.job.kafka, &audited.job.output).remove(0);
    audited.repeat(&audited.job.output, &output);
    let (_, report) = get("/audit");
    assert_eq!(report["findings"]["listed"][0]["kind"], "duplicated", "{report:#}");
    let (status, late) = get("/audit?timeout=1ms");
    assert!(status == 504 && late["reason"].as_str().is_some_and(|why| why.contains("ended after 1ms")), "{late}");
    // The audit before has ended, so the next one has its turn.
    assert_eq!(get("/audit").0, 200);
    assert_eq!(get("/audit?timeout=1h").0, 400);
    assert_eq!(host.stop().code, Some(0));
}
