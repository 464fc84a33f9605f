//! Commands that only read.

use std::collections::BTreeMap;

use harness::reference;
use harness::topics::{self, NewRecord};
use harness::{host, letters};

use super::{dlq, group_of, json, reference_job, run};
use crate::HOST;

#[test]
fn letters_of_the_reference_data_are_grouped_shown_and_become_cases() {
    let job = reference_job("dlq-groups");
    let written = topics::read_all(job.kafka, &job.dead_letters);
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    written.iter().for_each(|letter| *expected.entry(letters::fingerprint(letter)).or_default() += 1);

    let groups = json(&job, &["groups"]);
    assert_eq!(groups["letters"]["open"], 1597);
    let found = groups["groups"].as_array().expect("groups");
    let counts: BTreeMap<&str, u64> = found
        .iter()
        .map(|group| (group["fingerprint"].as_str().expect("text"), group["count"].as_u64().expect("a number")))
        .collect();
    assert_eq!(counts, expected);
    assert!(found.iter().all(|group| group["state"] == "new" && group["kind"] == "rejected"), "{groups:#}");
    assert_eq!(found[0]["versions"][0]["name"], "reduce_visit");
    let text = run(&job, &["groups"]);
    let first = found[0]["fingerprint"].as_str().expect("text");
    assert!(text.starts_with("GROUP ") && text.contains(&format!("\n{first}  new ")), "{text}");
    assert!(text.contains(&format!("{}: 1597 open letters in {} groups", job.dead_letters, found.len())), "{text}");

    let group = group_of(&groups, "fromisoformat: argument must be str");
    let shown = run(&job, &["show", &group[..6]]);
    for part in
        [&*format!("group {group}: rejected: fromisoformat"), "  state     new", "  version   reduce_visit ", "letter "]
    {
        assert!(shown.contains(part), "{part:?} is not in:\n{shown}");
    }
    let listed = run(&job, &["list", &group, "--limit", "3"]);
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let position = listed.split_whitespace().next().expect("a position");
    let letter = &json(&job, &["show", position])[0];
    assert_eq!((letter["position"].as_str(), letter["fingerprint"].as_str()), (Some(position), Some(&*group)));
    let source = letter["source"].as_str().expect("a source").to_owned();
    assert_eq!(&json(&job, &["show", &source])[0], letter, "by the position of the record that failed");

    // The cases fail with the version that wrote the letters, and hold their inputs.
    let dir = tempfile::tempdir().expect("a folder");
    let cases = run(&job, &["cases", &group, "--limit", "5"]);
    std::fs::write(dir.path().join("cases.jsonl"), &cases).expect("a file");
    let inputs = reference::cases();
    for case in cases.lines() {
        let case: serde_json::Value = serde_json::from_str(case).expect("JSON");
        assert!(inputs.iter().any(|input| case["input"]["value"] == input.value.as_str()), "{case}");
    }
    let mut test = host::command(HOST);
    let cases_file = dir.path().join("cases.jsonl");
    test.arg("test").arg(crate::reduce_visit()).arg("--cases").arg(&cases_file);
    let ended = host::Host::spawn(&mut test).wait();
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains("0 passed, ") && ended.output.contains("\"succeeds\": true"), "{}", ended.output);
}

#[test]
fn filters_select_letters_and_reading_leaves_no_trace() {
    let job = reference_job("dlq-filters");
    let groups = json(&job, &["groups"]);
    let group = group_of(&groups, "fromisoformat: argument must be str");
    let all = run(&job, &["list"]).lines().count();
    assert_eq!(all, 1597);
    let count = |args: &[&str]| run(&job, &[&["export"], args].concat()).lines().count();
    let in_group = count(&[&group]);
    assert!(in_group > 0 && in_group < all);
    assert_eq!(count(&["--kind", "rejected"]), all);
    assert_eq!(count(&["--kind", "trap"]), 0);
    assert_eq!(count(&["--since", "1h"]), all);
    assert_eq!(count(&["--until", "2020-01-01"]), 0);
    assert_eq!(count(&["--version", "reduce_visit@0.1.0"]), all);
    assert_eq!(count(&["--grep", "argument must be str"]), in_group);
    assert_eq!(count(&["--state", "closed"]), 0);
    assert_eq!(count(&["--state", "new"]), all);
    assert_eq!(count(&["--state", "muted"]), 0);
    let ended = dlq(&job, &["show", "0000000000000000"]);
    assert!(ended.code == Some(1) && ended.output.contains("no dead letter of "), "{}", ended.output);
    let ended = dlq(&job, &["groups", "--state", "fresh"]);
    assert!(ended.code == Some(2) && ended.output.contains("give one of open, closed, all, "), "{}", ended.output);
    // No state topic was created, and the group of the job has no new member.
    let states = format!("{}.state", job.dead_letters);
    assert!(!topics::exists(job.kafka, &states));
    assert_eq!(topics::members(job.kafka, &job.group), 0);
}

#[test]
fn letters_of_other_programs_are_read_and_other_records_are_counted() {
    let job = harness::host::Job::new(harness::kafka::Kafka::shared(), "dlq-foreign", HOST, &crate::reduce_visit());
    let connect = NewRecord::value("connect")
        .header("__connect.errors.topic", "shop")
        .header("__connect.errors.partition", "3")
        .header("__connect.errors.offset", "17")
        .header("__connect.errors.exception.class.name", "java.lang.IllegalStateException")
        .header("__connect.errors.exception.message", "no page");
    let spring = NewRecord::value(&b"\xff\x00spring"[..])
        .header("kafka_dlt-original-topic", "shop")
        .header("kafka_dlt-original-partition", 3_i32.to_be_bytes())
        .header("kafka_dlt-original-offset", 18_i64.to_be_bytes())
        .header("kafka_dlt-exception-fqcn", "java.lang.IllegalStateException")
        .header("kafka_dlt-exception-message", "no page");
    let envelope =
        r#"{"processing_time": "2024-01-13T04:21:50.037894", "input_json": "\u001b[31m{", "error_message": "x"}"#;
    let records =
        [connect, spring, NewRecord::value(envelope), NewRecord::value("not a letter"), NewRecord::tombstone()];
    topics::produce(job.kafka, &job.dead_letters, records.into_iter().map(|record| record.partition(0)));
    let groups = json(&job, &["groups"]);
    assert_eq!((&groups["letters"]["open"], &groups["letters"]["foreign"]), (&3.into(), &2.into()), "{groups:#}");
    let text = run(&job, &["groups"]);
    assert!(text.contains("2 records of the topic are no dead letters in a known format"), "{text}");
    let shop = group_of(&groups, "no page");
    let shown = run(&job, &["show", &shop]);
    assert!(shown.contains("letter ") && shown.contains(" of shop/3@17") && shown.contains("shop/3@18"), "{shown}");
    assert!(shown.contains("8 bytes that are not UTF-8") && shown.contains("ff 00 73 70"), "{shown}");
    let escape = run(&job, &["show", &format!("{}/0@2", job.dead_letters)]);
    assert!(!escape.contains('\u{1b}') && escape.contains("[31m{"), "{escape:?}");
}
