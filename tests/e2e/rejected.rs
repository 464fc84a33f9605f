//! A record that the output topic rejects becomes a dead letter, and parts that the dead-letter topic rejects are replaced in the
//! dead letter: the records behind it are processed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use harness::host::Job;
use harness::kafka::Kafka;
use harness::letters;
use harness::topics::{self, NewRecord, Record};

use crate::{HOST, reduce_visit};

/// At least once, with one worker: a worker that joins later takes partitions from the other, which causes duplicates.
const DELIVERIES: [[&str; 4]; 2] =
    [["--delivery", "exactly-once", "--workers", "2"], ["--delivery", "at-least-once", "--workers", "1"]];
const DAY_MS: i64 = 86_400_000;
const TIMEOUT: Duration = Duration::from_secs(90);

/// A job whose topics have these settings.
fn job(name: &str, [input, output, dead_letters]: [&[(&str, &str)]; 3]) -> Job<'static> {
    let job = Job::new(Kafka::shared(), name, HOST, &reduce_visit());
    for (topic, config) in [(&job.input, input), (&job.output, output), (&job.dead_letters, dead_letters)] {
        if !config.is_empty() {
            topics::alter(job.kafka, topic, config);
        }
    }
    job
}

fn visit(number: usize) -> NewRecord {
    let value = format!(r#"{{"visit_id": "{number}", "event_time": "2023-11-01", "page": "home"}}"#);
    NewRecord::value(value).partition(0)
}

pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    i64::try_from(now.as_millis()).expect("a time of this age")
}

/// The dead letters by the offset of their record, each with its message.
fn dead_letters(job: &Job<'_>) -> Vec<(usize, Record)> {
    let letters = topics::read_all(job.kafka, &job.dead_letters).into_iter();
    let offset = |letter: &Record| usize::try_from(letters::source(letter).2).expect("an offset");
    let mut letters: Vec<(usize, Record)> = letters.map(|letter| (offset(&letter), letter)).collect();
    letters.sort_by_key(|(offset, _)| *offset);
    letters
}

#[test]
fn timestamp_out_of_range_is_a_dead_letter_with_the_timestamp_in_a_header() {
    for delivery in DELIVERIES {
        let range: &[(&str, &str)] = &[("message.timestamp.before.max.ms", "604800000")];
        let input: &[(&str, &str)] = &[("message.timestamp.after.max.ms", "9223372036854775807")];
        let job = job("out-of-range", [input, range, range]);
        let now_ms = now_ms();
        let timestamps = [now_ms, now_ms + 3 * DAY_MS, now_ms, 42, now_ms, -5, now_ms - DAY_MS, i64::MAX / 2, now_ms];
        let records = timestamps.iter().enumerate().map(|(number, at)| visit(number).key("k").timestamp(*at));
        topics::produce(job.kafka, &job.input, records);
        job.run_to_end(&delivery);
        job.run_to_end(&delivery);
        let output = topics::read_all(job.kafka, &job.output);
        assert_eq!(output.len(), 5, "{delivery:?}: {output:?}");
        let found = dead_letters(&job);
        assert_eq!(found.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [1, 3, 5, 7], "{delivery:?}");
        for (offset, letter) in found {
            assert_eq!(letters::kind(&letter), "undeliverable");
            assert_eq!(
                letters::header(&letter, "mapper-host.source.timestamp-ms"),
                Some(timestamps[offset].to_string().as_str())
            );
            let message = letters::message(&letter);
            let reason = [
                "",
                "message.timestamp.after.max.ms",
                "",
                "message.timestamp.before.max.ms",
                "",
                "negative",
                "",
                "after.max.ms",
            ];
            assert!(message.contains(reason[offset]) && message.contains(&job.output), "{delivery:?}: {message}");
            assert!(letter.timestamp.expect("a timestamp") >= now_ms - 60_000, "{delivery:?}: {letter:?}");
        }
    }
}

#[test]
fn record_without_a_key_for_a_compacted_topic_is_a_dead_letter_with_a_generated_key() {
    for delivery in DELIVERIES {
        let compacted: &[(&str, &str)] = &[("cleanup.policy", "compact")];
        let job = job("keyless", [&[], compacted, compacted]);
        let is_keyless = |number: usize| number % 100 == 50;
        let keyed = |number| if is_keyless(number) { visit(number) } else { visit(number).key(format!("k{number}")) };
        topics::produce(job.kafka, &job.input, (0..500).map(keyed));
        let ended = job.run_to_end(&delivery);
        assert!(!ended.output.contains("the broker rejected"), "known before it was sent: {}", ended.output);
        assert_eq!(topics::read_all(job.kafka, &job.output).len(), 495, "{delivery:?}");
        let found = dead_letters(&job);
        assert_eq!(found.len(), 5, "{delivery:?}");
        for (offset, letter) in found {
            let key = format!("{}-0-{offset}", job.input);
            assert_eq!(letter.key.as_deref(), Some(key.as_bytes()), "{delivery:?}");
            assert_eq!(letters::header(&letter, "mapper-host.key"), Some("generated"));
            assert!(letters::message(&letter).contains("cleanup.policy"), "{letter:?}");
        }
    }
}

#[test]
fn topic_limit_changed_under_a_running_host_rejects_only_the_affected_records() {
    for delivery in DELIVERIES {
        let job = job("changed", [&[], &[], &[]]);
        topics::produce(job.kafka, &job.input, [visit(0).key("k0")]);
        let host = job.start(&delivery);
        topics::read_until(job.kafka, &job.output, 1, TIMEOUT);
        for topic in [&job.output, &job.dead_letters] {
            topics::alter(job.kafka, topic, &[("cleanup.policy", "compact")]);
        }
        let keyed = |number| if number % 250 == 77 { visit(number) } else { visit(number).key(format!("k{number}")) };
        topics::produce(job.kafka, &job.input, (1..1000).map(keyed));
        topics::read_until(job.kafka, &job.output, 996, TIMEOUT);
        topics::read_until(job.kafka, &job.dead_letters, 4, TIMEOUT);
        let ended = host.stop();
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        let found = dead_letters(&job);
        let offsets: std::collections::BTreeSet<usize> = found.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(offsets.into_iter().collect::<Vec<_>>(), [77, 327, 577, 827], "{delivery:?}");
        for (_, letter) in found {
            let message = letters::message(&letter);
            assert!(message.contains("cleanup.policy"), "{delivery:?}: {message}");
            assert_eq!(letters::header(&letter, "mapper-host.key"), Some("generated"));
        }
        // The broker named the rejected record, or the host found it without a wait.
        assert!(!ended.output.contains("rewinding to the last committed offsets"), "{delivery:?}: {}", ended.output);
    }
}

#[test]
fn dead_letter_fits_into_a_small_topic_for_each_large_part_of_its_record() {
    let small: &[(&str, &str)] = &[("max.message.bytes", "3000")];
    let job = job("small", [&[], &[], small]);
    let bad = |value: &[u8]| NewRecord::value(value).partition(0);
    let large = vec![b'x'; 5000];
    let records = [
        bad(b"{").key(&large[..]),
        bad(b"{").key("k").header("h", &large[..]),
        bad(&large).key("k"),
        bad(&large).key(&large[..]).header("h", &large[..]),
        NewRecord::tombstone().partition(0).key(&large[..]),
    ];
    topics::produce(job.kafka, &job.input, records);
    job.run_to_end(&[]);
    let found = dead_letters(&job);
    let cuts: Vec<&str> =
        found.iter().map(|(_, letter)| letters::header(letter, "mapper-host.cut").expect("a cut")).collect();
    assert_eq!(
        cuts,
        [
            "key: 5000 bytes",
            "headers: 5011 bytes",
            "input_json: 5000 bytes",
            "input_json: 5000 bytes, headers: 5011 bytes, key: 5000 bytes",
            "key: 5000 bytes",
        ]
    );
    let keys: Vec<Option<&[u8]>> = found.iter().map(|(_, letter)| letter.key.as_deref()).collect();
    assert_eq!(keys, [None, Some(&b"k"[..]), Some(b"k"), None, None]);
    assert_eq!(letters::header(&found[0].1, "mapper-host.source.key"), Some("x".repeat(256).as_str()));
}
