//! Key, headers and timestamp of a record are kept byte for byte, and large or unusual records are delivered.

use harness::host::Job;
use harness::kafka::Kafka;
use harness::letters;
use harness::topics::{self, NewRecord, Record};

use crate::{HOST, reduce_visit};

const GOOD: &str = r#"{"visit_id": "1", "event_time": "2023-11-01T00:00:00+00:00", "page": "home"}"#;

fn job(name: &str) -> Job<'static> {
    Job::new(Kafka::shared(), name, HOST, &reduce_visit())
}

/// The headers that the producer of the record set.
fn kept(record: &Record) -> Vec<(String, Option<Vec<u8>>)> {
    let ours = |name: &str| name.starts_with("__connect.errors.") || name.starts_with("mapper-host.");
    record.headers.iter().filter(|(name, _)| !ours(name)).cloned().collect()
}

#[test]
fn key_headers_and_timestamp_are_kept_byte_for_byte() {
    let job = job("fidelity");
    let odd = |record: NewRecord| {
        record
            .key(&b"\x00\xffkey"[..])
            .header("h", &b"\xfe\x00"[..])
            .null_header("n")
            .header("h", "")
            .timestamp(1_234_567)
    };
    topics::produce(job.kafka, &job.input, [odd(NewRecord::value(GOOD)), odd(NewRecord::value("{"))]);
    job.run_to_end(&[]);
    let expected =
        vec![("h".to_owned(), Some(b"\xfe\x00".to_vec())), ("n".to_owned(), None), ("h".to_owned(), Some(Vec::new()))];
    for topic in [&job.output, &job.dead_letters] {
        let records = topics::read_all(job.kafka, topic);
        assert_eq!(records.len(), 1, "{records:?}");
        assert_eq!(records[0].key.as_deref(), Some(&b"\x00\xffkey"[..]));
        assert_eq!(records[0].timestamp, Some(1_234_567));
        assert_eq!(kept(&records[0]), expected);
    }
}

#[test]
fn dead_letter_headers_name_the_input_and_the_reason() {
    let job = job("letter");
    topics::produce(
        job.kafka,
        &job.input,
        [
            NewRecord::value(r#"{"visit_id": "1", "event_time": null, "page": "ä"}"#).partition(1).timestamp(42),
            NewRecord::tombstone().partition(1),
            NewRecord::value(&b"\xff\xfe{"[..]).partition(1),
        ],
    );
    job.run_to_end(&[]);
    let found = topics::read_all(job.kafka, &job.dead_letters);
    let mut values: Vec<serde_json::Value> = found.iter().map(letters::envelope).collect();
    values.sort_by_key(|value| value["error_message"].to_string());
    assert_eq!(values.len(), 3);
    let of = |start: &str| {
        let found =
            values.iter().find(|value| value["error_message"].as_str().is_some_and(|text| text.starts_with(start)));
        found.unwrap_or_else(|| panic!("no '{start}' in {values:?}"))
    };
    assert_eq!(
        of("fromisoformat: argument must be str")["input_json"],
        r#"{"visit_id": "1", "event_time": null, "page": "ä"}"#
    );
    assert!(of("the record has no value")["input_json"].is_null());
    let odd = of("not a visit: expected value");
    assert_eq!((odd["input_json"].as_str(), odd["input_encoding"].as_str()), (Some("//57"), Some("base64")));
    let first = found.iter().find(|letter| letter.timestamp == Some(42)).expect("the timestamp is kept");
    assert_eq!(letters::source(first), (job.input.as_str(), 1, 0));
    assert_eq!(letters::kind(first), "rejected");
    assert_eq!(letters::fingerprint(first).len(), 16);
    let plugin = letters::header(first, "mapper-host.plugin").expect("the plugin");
    assert!(plugin.starts_with("reduce_visit 0.1.0 ") && plugin.len() == 19 + 64, "{plugin}");
    let names: Vec<&str> = first.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["mapper-host.source", "mapper-host.failure", "mapper-host.plugin"], "nothing is written twice");
}

#[test]
fn a_dead_letter_has_the_set_of_headers_that_was_asked_for() {
    for (set, count, has_message, has_version_1) in [("connect", 13, true, false), ("full", 20, true, true)] {
        let job = job(set);
        topics::produce(job.kafka, &job.input, [NewRecord::value("{").partition(1).timestamp(42)]);
        job.run_to_end(&["--dead-letter-headers", set]);
        let [letter] = &topics::read_all(job.kafka, &job.dead_letters)[..] else { panic!("one dead letter: {set}") };
        assert_eq!(letter.headers.len(), count, "{letter:?}");
        let header = |name: &str| letters::header(letter, name);
        assert_eq!(header("__connect.errors.topic"), Some(job.input.as_str()));
        assert_eq!((header("__connect.errors.partition"), header("__connect.errors.offset")), (Some("1"), Some("0")));
        let message = letters::message(letter);
        assert_eq!(header("__connect.errors.exception.message"), Some(message.as_str()).filter(|_| has_message));
        assert_eq!(header("mapper-host.kind"), Some("rejected").filter(|_| has_version_1));
        assert_eq!(header("mapper-host.group"), Some(job.group.as_str()).filter(|_| has_version_1));
        assert_eq!(header("mapper-host.attempt"), Some("1").filter(|_| has_version_1));
        assert_eq!(header("mapper-host.source.timestamp-ms"), Some("42").filter(|_| has_version_1));
    }
}

#[test]
fn record_of_a_megabyte_passes_and_its_dead_letter_is_truncated() {
    let job = job("large");
    let page = "x".repeat(1_000_000);
    let good = format!(r#"{{"visit_id": "1", "event_time": "2023-11-01", "page": "{page}"}}"#);
    // Every quote takes two bytes in the envelope, so the value does not fit there.
    let bad = format!("[{}\"\"]", "\"\",".repeat(330_000));
    topics::produce(job.kafka, &job.input, [NewRecord::value(good), NewRecord::value(bad.clone())]);
    job.run_to_end(&[]);
    let output = topics::read_all(job.kafka, &job.output);
    assert_eq!(output.len(), 1);
    assert!(output[0].value.as_ref().expect("a value").len() > 1_000_000);
    let found = topics::read_all(job.kafka, &job.dead_letters);
    assert_eq!(found.len(), 1);
    assert_eq!(
        letters::header(&found[0], "mapper-host.cut"),
        Some(format!("input_json: {} bytes", bad.len()).as_str())
    );
    assert_eq!(letters::source(&found[0]).0, job.input);
    let letter = letters::envelope(&found[0]);
    let input = letter["input_json"].as_str().expect("text");
    assert!(bad.starts_with(input) && input.len() > 500_000, "cut to {} bytes", input.len());
}

#[test]
fn tombstones_null_keys_and_timestamps_are_produced_and_an_unknown_output_topic_rejects_only_its_record() {
    for world in crate::guests::WORLDS {
        let plugin = harness::plugins::build(HOST, world);
        let job = Job::new(Kafka::shared(), "told", HOST, &plugin);
        let commands = ["value first", "topic nowhere", "tombstone", "null-key", "time 5", "value last"];
        let record = |command: &str| NewRecord::value(command).key("key").partition(0);
        topics::produce(job.kafka, &job.input, commands.map(record));
        job.run_to_end(&[]);
        let output = topics::read_all(job.kafka, &job.output);
        let find = |value: Option<&[u8]>| output.iter().find(|record| record.value.as_deref() == value);
        assert_eq!(output.len(), 5, "{world}: {output:?}");
        assert!(find(Some(b"first")).is_some() && find(Some(b"last")).is_some(), "{world}: {output:?}");
        assert_eq!(find(None).expect("a tombstone").key.as_deref(), Some(&b"key"[..]), "{world}");
        assert_eq!(find(Some(b"null-key")).expect("an output").key, None, "{world}");
        assert_eq!(find(Some(b"time 5")).expect("an output").timestamp, Some(5), "{world}");
        let found = topics::read_all(job.kafka, &job.dead_letters);
        assert_eq!(found.len(), 1, "{world}");
        assert_eq!(letters::kind(&found[0]), "invalid-output", "{world}");
        assert_eq!(letters::source(&found[0]).2, 1, "{world}");
    }
}

#[test]
fn output_rejected_by_its_topic_is_a_dead_letter_and_other_records_pass() {
    let kafka = Kafka::shared();
    let job = job("oversize");
    let small = topics::unique("oversize-small");
    topics::create(kafka, &small, 2, &[("max.message.bytes", "2000")]);
    let visit = |page: usize| {
        let page = "x".repeat(page);
        NewRecord::value(format!(r#"{{"visit_id": "1", "event_time": "2023-11-01", "page": "{page}"}}"#)).partition(0)
    };
    topics::produce(kafka, &job.input, [visit(10), visit(5000), visit(20)]);
    job.run_to_end(&["--output-topic", &small]);
    assert_eq!(topics::read_all(kafka, &small).len(), 2);
    let found = topics::read_all(kafka, &job.dead_letters);
    assert_eq!(found.len(), 1);
    assert_eq!(letters::kind(&found[0]), "oversize");
    assert_eq!(letters::source(&found[0]).2, 1);
}

#[test]
fn record_rejected_by_the_broker_is_found_and_other_records_are_produced_once() {
    let kafka = Kafka::shared();
    let job = job("refused");
    let visit = |number: usize| {
        // The host read a limit of a megabyte for this topic at its start.
        // Random bytes, which do not become small enough by compression.
        let mut noise = number as u64 + 1;
        let digits = (0..if number == 777 { 1000 } else { 2 }).map(|_| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{:08x}", noise >> 32)
        });
        let page: String = digits.collect();
        NewRecord::value(format!(r#"{{"visit_id": "{number}", "event_time": "2023-11-01", "page": "{page}"}}"#))
            .partition(0)
    };
    topics::produce(kafka, &job.input, [visit(0)]);
    let host = job.start(&[]);
    topics::read_until(kafka, &job.output, 1, std::time::Duration::from_secs(60));
    // Smaller than a batch of many visits, larger than one.
    topics::alter(kafka, &job.output, &[("max.message.bytes", "2000")]);
    topics::produce(kafka, &job.input, (1..1000).map(visit));
    let output = topics::read_until(kafka, &job.output, 999, std::time::Duration::from_secs(90));
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert_eq!(output.len(), 999);
    let found = topics::read_all(kafka, &job.dead_letters);
    assert_eq!(found.len(), 1, "{found:?}");
    // The limit of the topic is read again after a rejection.
    assert_eq!(letters::kind(&found[0]), "oversize");
    assert_eq!(letters::source(&found[0]).2, 777);
}

/// The log line names the record, the plugin and its version.
#[test]
fn guest_stderr_is_logged_with_its_record() {
    for world in crate::guests::WORLDS {
        let job = Job::new(Kafka::shared(), "lines", HOST, &harness::plugins::build(HOST, world));
        let commands = ["skip", "log noted", "skip", "print printed", "skip"];
        topics::produce(job.kafka, &job.input, commands.map(|command| NewRecord::value(command).partition(1)));
        let ended = job.run_to_end(&[]);
        for (text, offset) in [("noted", 1), ("printed", 3)] {
            let lines: Vec<&str> = ended.output.lines().filter(|line| line.contains(&format!(" {text} "))).collect();
            let [line] = lines[..] else { panic!("{world}: {}", ended.output) };
            let name = world.rsplit('/').next().expect("a name");
            for field in [
                format!("plugin=\"{name}\""),
                format!("topic=\"{}\"", job.input),
                format!("partition=1 offset={offset}"),
            ] {
                assert!(line.contains(&field), "{world}: {line}");
            }
        }
    }
}
