//! Redrives of special letters, and beside a running host.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use harness::host::{self, Host, Job};
use harness::kafka::Kafka;
use harness::letters;
use harness::topics::{self, NewRecord};

use super::redrive::Redrive;
use super::run;
use crate::HOST;

#[test]
fn audit_explains_the_outputs_and_letters_of_a_redrive() {
    let ledger = topics::unique("redrive-ledger");
    topics::create(Kafka::shared(), &ledger, 1, &[]);
    let test = Redrive::with_args("redrive-audit", 60, &["--ledger-topic", &ledger, "--provenance", "headers"]);
    let job = &test.job;
    let audit = || {
        let mut command = host::command(HOST);
        command.args(["audit", "--brokers", job.kafka.brokers(), "--group", &job.group, "--input-topic", &job.input]);
        command.args(["--output-topic", &job.output, "--dead-letter-topic", &job.dead_letters]);
        command.args(["--ledger-topic", &ledger, "--provenance", "headers"]);
        Host::spawn(&mut command).wait()
    };
    assert_eq!(audit().code, Some(0));
    let with_ledger = ["--ledger-topic", &ledger, "--consumer-group", &job.group, "--provenance", "headers"];
    let failed = test.redrive("rejects", &[&with_ledger[..], &["--limit", "5"]].concat());
    assert_eq!(failed.code, Some(10), "{}", failed.output);
    let redriven = test.redrive("plain", &with_ledger);
    assert_eq!((redriven.code, test.open_letters()), (Some(0), 0), "{}", redriven.output);
    let audited = audit();
    assert_eq!(audited.code, Some(0), "{}", audited.output);
    // An output that no redrive has written is found.
    let source = letters::source(&topics::read_all(job.kafka, &job.dead_letters)[0]).2.to_string();
    let outputs = topics::read_all(job.kafka, &job.output);
    let is_of_letter =
        |output: &&topics::Record| output.value.as_deref().is_some_and(|value| value.ends_with(source.as_bytes()));
    let output = outputs.iter().find(is_of_letter).expect("the output of a letter");
    let copy = NewRecord::value(output.value.clone().expect("a value"));
    let own = output.headers.iter().map(|(name, value)| (name, value.clone().unwrap_or_default()));
    let copy = own.fold(copy, |record, (name, value)| record.header(name, value));
    topics::produce(job.kafka, &job.output, [copy]);
    assert_eq!(audit().code, Some(6));
}

#[test]
fn letters_of_the_same_record_are_redriven_once_and_keys_keep_their_order() {
    let test = Redrive::new("redrive-twice", 60);
    let letters = topics::read_all(test.job.kafka, &test.job.dead_letters);
    // As after a repeated batch: all letters again, in the opposite order.
    let copy = |letter: &topics::Record| {
        let mut record = NewRecord::value(letter.value.clone().expect("a value")).partition(letter.partition);
        record = record.key(letter.key.clone().expect("a key")).timestamp(letter.timestamp.expect("a timestamp"));
        letter.headers.iter().fold(record, |record, (name, value)| match value {
            Some(value) => record.header(name, value.clone()),
            None => record.null_header(name),
        })
    };
    topics::produce(test.job.kafka, &test.job.dead_letters, letters.iter().rev().map(copy));
    assert_eq!(test.open_letters(), 2 * letters.len() as u64);
    let redriven = test.redrive("plain", &[]);
    assert_eq!((redriven.code, test.open_letters()), (Some(0), 0), "{}", redriven.output);
    assert_eq!(test.outputs().len(), 60);
    let mut last: BTreeMap<(i32, Vec<u8>), i64> = BTreeMap::new();
    for record in topics::read_all(test.job.kafka, &test.job.output) {
        let value = String::from_utf8(record.value.expect("a value")).expect("text");
        if !letters
            .iter()
            .any(|letter| value.ends_with(&format!(" {} {}", letters::source(letter).1, letters::source(letter).2)))
        {
            continue;
        }
        let offset = value.rsplit(' ').next().expect("an offset").parse().expect("a number");
        let before = last.insert((record.partition, record.key.expect("a key")), offset);
        assert!(before.is_none_or(|before| before < offset), "{value} is behind {before:?}");
    }
}

#[test]
fn letter_whose_key_has_a_newer_output_is_counted_or_left_out() {
    let test = Redrive::new("redrive-stale", 60);
    let letters = topics::read_all(test.job.kafka, &test.job.dead_letters);
    let outputs = topics::read_all(test.job.kafka, &test.job.output);
    let newest = |key: &Option<Vec<u8>>| {
        outputs.iter().filter(|output| output.key == *key).filter_map(|output| output.timestamp).max()
    };
    let stale = letters.iter().filter(|letter| newest(&letter.key) > letter.timestamp).count();
    assert!(stale > 0 && stale < letters.len(), "{stale} of {}", letters.len());
    let skipped = test.redrive("plain", &["--stale-keys", "skip"]);
    let left_out = format!("left out {stale} letters whose key has an output with a later timestamp");
    assert!(skipped.code == Some(0) && skipped.output.contains(&left_out), "{}", skipped.output);
    assert!(skipped.output.contains("\"finished\""), "{}", skipped.output);
    assert_eq!(test.open_letters(), stale as u64);
    let warned = test.redrive("plain", &[]);
    assert!(warned.output.contains(&format!("redrove {stale} letters whose key has an output")), "{}", warned.output);
    assert_eq!((test.outputs().len(), test.open_letters()), (60, 0));
}

#[test]
fn edited_record_is_redriven_with_a_header_that_names_the_original() {
    let dir = tempfile::tempdir().expect("a folder");
    let job = Job::new(Kafka::shared(), "redrive-edit", HOST, &crate::reduce_visit());
    let broken = r#"{"visit_id": "1", "event_time": null, "page": "home"}"#;
    topics::produce(job.kafka, &job.input, [NewRecord::value(broken).key("k").partition(0)]);
    let test = Redrive { job, dir };
    test.job.run_to_end(&["--workers", "1"]);
    let editor = test.dir.path().join("editor.sh");
    std::fs::write(&editor, "sed -i 's/null/\"2023-11-01\"/' \"$1\"\n").expect("a file");
    let edit = |editor: &str, args: &[&str]| {
        let plugin = crate::reduce_visit().display().to_string();
        let position = format!("{}/0@0", test.job.dead_letters);
        let mut command = host::command(HOST);
        command.args(["dlq", "edit", &position, "--plugin", &plugin, "--brokers", test.job.kafka.brokers()]).args(args);
        command.args(["--dead-letter-topic", &test.job.dead_letters, "--output-topic", &test.job.output]);
        command.env("EDITOR", editor).env_remove("VISUAL").env("USER", "ada");
        Host::spawn(&mut command).wait()
    };
    assert_eq!(edit("true", &[]).code, Some(2), "only with --allow-edit");
    let unchanged = edit("true", &["--allow-edit"]);
    assert!(unchanged.code == Some(0) && unchanged.output.contains("unchanged"), "{}", unchanged.output);
    let failed = edit("false", &["--allow-edit"]);
    assert!(failed.code == Some(2) && failed.output.contains("the editor 'false' ended with"), "{}", failed.output);
    assert_eq!(test.open_letters(), 1);
    let edited = edit(&format!("sh {}", editor.display()), &["--allow-edit"]);
    assert_eq!((edited.code, test.open_letters()), (Some(0), 0), "{}", edited.output);
    let output = topics::read_all(test.job.kafka, &test.job.output).remove(0);
    assert_eq!(output.value.as_deref(), Some(&br#"{"visit_id":"1","event_time":1698796800,"page":"home"}"#[..]));
    let header = letters::header(&output, "mapper-host.edited").expect("the header");
    assert!(header.starts_with(&format!("{}/0@0 ada@", test.job.input)), "{header}");
}

#[test]
fn exported_letters_are_the_same_after_an_import() {
    let test = Redrive::new("redrive-import", 20);
    let exported = run(&test.job, &["export"]);
    let file = test.dir.path().join("letters.jsonl");
    std::fs::write(&file, &exported).expect("a file");
    let before = topics::read_all(test.job.kafka, &test.job.dead_letters);
    run(&test.job, &["discard", "--kind", "rejected", "--reason", "moved"]);
    assert_eq!(test.open_letters(), 0);
    let imported = run(&test.job, &["import", &file.display().to_string()]);
    assert!(imported.contains(&format!("imported {} letters", before.len())), "{imported}");
    assert_eq!(test.open_letters(), before.len() as u64);
    let content = |record: &topics::Record| {
        let record = record.clone();
        (record.key, record.value, record.headers, record.timestamp)
    };
    let mut all: Vec<_> = topics::read_all(test.job.kafka, &test.job.dead_letters).iter().map(content).collect();
    let mut twice: Vec<_> = before.iter().chain(&before).map(content).collect();
    all.sort();
    twice.sort();
    assert_eq!(all, twice);
    let wrong = super::dlq(&test.job, &["import", "/dev/null/none"]);
    assert!(wrong.code == Some(2) && wrong.output.contains("can't be read"), "{}", wrong.output);
}

#[test]
fn redrive_beside_a_running_host_and_a_rebalance_is_exactly_once() {
    let test = Redrive::new("redrive-live", 400);
    let failing = topics::read_all(test.job.kafka, &test.job.dead_letters).len();
    let plugin = test.plugin("rejects-some");
    let first = test.job.start(&["--plugin", &plugin, "--workers", "1", "--commit-interval", "20ms"]);
    let fixed = test.plugin("plain");
    let mut redrive = test.spawn(&["redrive", "--plugin", &fixed, "--rate", "100/s", "--commit-interval", "20ms"]);
    redrive.wait_for("\"progress\"");
    // New records fail while the redrive runs; it does not take their letters. A second host makes the group rebalance.
    let second = test.job.start(&["--plugin", &plugin, "--workers", "1", "--commit-interval", "20ms"]);
    topics::produce(test.job.kafka, &test.job.input, (0..200).map(|number| NewRecord::value(format!("more {number}"))));
    let redriven = redrive.wait();
    assert_eq!(redriven.code, Some(0), "{}", redriven.output);
    assert!(redriven.output.contains(&format!("\"done\":{failing}")), "{}", redriven.output);
    let deadline = Instant::now() + Duration::from_secs(60);
    while topics::committed(test.job.kafka, &test.job.group, &test.job.input)
        .iter()
        .filter_map(|(_, offset)| *offset)
        .sum::<i64>()
        < 600
    {
        assert!(Instant::now() < deadline, "the hosts do not commit all records:\n{}", first.output());
        std::thread::sleep(Duration::from_millis(50));
    }
    first.stop();
    second.stop();
    let last = test.redrive("plain", &[]);
    assert_eq!((last.code, test.open_letters()), (Some(0), 0), "{}", last.output);
    assert_eq!(test.outputs().len(), 600);
}
