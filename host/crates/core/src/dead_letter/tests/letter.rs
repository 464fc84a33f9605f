//! Dead letters are read as they were written.

use super::*;

const TRACE: &str = "java.lang.IllegalStateException: no page 7\n\tat shop.Visits.map(Visits.java:42)\n";

fn batch(written: &Written) -> Batch {
    let mut batch = Batch::new("visits_dlq");
    let headers = written.headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref()));
    batch.push((2, 7), 1_700_000_000_000, written.key.as_deref(), Some(&written.value), headers);
    batch
}

fn foreign(headers: &[(&str, &[u8])]) -> Batch {
    let mut batch = Batch::new("shop.DLT");
    let headers = headers.iter().map(|(name, value)| (name.as_bytes(), Some(*value)));
    let own = [(&b"trace"[..], Some(&b"1"[..])), (b"trace", None)];
    batch.push((0, 3), 5, Some(b"k"), Some(b"\xffvalue"), own.into_iter().chain(headers));
    batch
}

const SOURCE: RecordPosition<'static> = RecordPosition { topic: "visits", partition: 1, offset: 42 };

#[test]
fn letter_of_every_header_set_is_read_as_written() {
    for (set, format) in [
        (HeaderSet::Compact, LetterFormat::MapperHost(2)),
        (HeaderSet::Connect, LetterFormat::MapperHost(2)),
        (HeaderSet::Full, LetterFormat::MapperHost(1)),
    ] {
        for value in [Some(&b"{\"a\": 1}"[..]), Some(b"\xff\x00"), Some(b""), None] {
            let headers = vec![header(b"h", Some(b"1")), header(b"h", None)];
            let input = Input { key: Some(b"k".to_vec()), value: value.map(<[u8]>::to_vec), headers };
            let mut failure = Failure::new(FailureKind::Trap, "unreachable");
            failure.details = "error\n    0: 0x12 - m.wasm!reduce\n".into();
            let batch = batch(&write_with(&mut letters_with(set, NO_LIMIT), &input, &failure, false));
            let letter = DeadLetter::read(batch.record(0)).unwrap();
            assert_eq!((letter.format, letter.source), (format, Some(SOURCE)));
            assert_eq!((&*letter.kind, &*letter.fingerprint), ("trap", FINGERPRINT_OF_TRAP));
            assert_eq!((letter.attempt, &*letter.message()), (1, "unreachable"));
            assert!(letter.backtrace().unwrap().contains("m.wasm!reduce"), "{set}");
            let plugin = PluginName { name: "reduce-visit", version: "0.1.0", digest: "abc123" };
            assert_eq!(letter.plugin, Some(plugin));
            assert_eq!(letter.failed_at_ms(), Some(1_705_119_710_037));
            assert!(letter.is_complete());
            let failed = letter.input().unwrap();
            assert_eq!((failed.key, failed.value, failed.headers), (input.key, input.value, input.headers));
            assert_eq!(failed.timestamp_ms, Some(1_700_000_000_000));
        }
    }
}

#[test]
fn attempt_is_that_of_the_last_failure() {
    for set in HeaderSet::ALL {
        let first = write_set(set, &input_with_value(b"{}"), MESSAGE, NO_LIMIT);
        let again = Input { headers: first.headers, ..input_with_value(b"{}") };
        let batch = batch(&write_set(set, &again, MESSAGE, NO_LIMIT));
        assert_eq!(DeadLetter::read(batch.record(0)).unwrap().attempt, 2, "{set}");
    }
}

#[test]
fn cut_letter_is_not_complete() {
    for set in HeaderSet::ALL {
        let long = Input { key: Some(vec![b'k'; 9000]), ..input_with_value(&[b'x'; 9000]) };
        for max_bytes in [15_000, 2_000] {
            let batch = batch(&write_set(set, &long, MESSAGE, max_bytes));
            let letter = DeadLetter::read(batch.record(0)).unwrap();
            assert!(!letter.is_complete(), "{set}, {max_bytes}: {:?}", letter.cut());
            assert_eq!(letter.source, Some(SOURCE));
        }
        let bare = batch(&write_with(&mut letters_with(set, NO_LIMIT), &long, &rejected(MESSAGE), true));
        let letter = DeadLetter::read(bare.record(0)).unwrap();
        assert!(!letter.is_complete(), "{set}");
        let message = Input { ..input_with_value(b"{}") };
        let short = batch(&write_set(set, &message, &"m".repeat(9000), 4_000));
        assert!(DeadLetter::read(short.record(0)).unwrap().is_complete(), "only the message is cut: {set}");
    }
}

#[test]
fn envelope_without_headers_is_a_letter_of_unknown_source() {
    let envelope = br#"{"processing_time": "2024-01-13T04:21:50", "input_json": "{}", "error_message": "no 'x' at 7"}"#;
    let written = Written { key: None, value: envelope.to_vec(), headers: vec![] };
    let batch = batch(&written);
    let letter = DeadLetter::read(batch.record(0)).unwrap();
    assert_eq!((letter.format, letter.source, &*letter.kind), (LetterFormat::Envelope, None, UNKNOWN_KIND));
    assert_eq!(letter.source_or_self(), RecordPosition { topic: "visits_dlq", partition: 2, offset: 7 });
    assert_eq!((letter.failed_at_ms(), &*letter.message()), (Some(1_705_119_710_000), "no 'x' at 7"));
    assert_eq!(letter.input().unwrap().value.as_deref(), Some(&b"{}"[..]));
}

#[test]
fn letter_of_another_program_has_its_source_its_failure_and_its_value() {
    let connect: &[(&str, &[u8])] = &[
        ("__connect.errors.topic", b"shop"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"17"),
        ("__connect.errors.exception.class.name", b"java.lang.IllegalStateException"),
        ("__connect.errors.exception.message", b"no page 7"),
        ("__connect.errors.exception.stacktrace", TRACE.as_bytes()),
    ];
    let spring: &[(&str, &[u8])] = &[
        ("kafka_dlt-original-topic", b"shop"),
        ("kafka_dlt-original-partition", &[0, 0, 0, 3]),
        ("kafka_dlt-original-offset", &[0, 0, 0, 0, 0, 0, 0, 17]),
        ("kafka_dlt-exception-fqcn", b"java.lang.IllegalStateException"),
        ("kafka_dlt-exception-message", b"no page 8"),
        ("kafka_dlt-exception-stacktrace", TRACE.as_bytes()),
    ];
    let streams: &[(&str, &[u8])] = &[
        ("__streams.errors.topic", b"shop"),
        ("__streams.errors.partition", b"3"),
        ("__streams.errors.offset", b"17"),
        ("__streams.errors.exception", b"java.lang.IllegalStateException"),
        ("__streams.errors.message", b"no page 9"),
        ("__streams.errors.stacktrace", TRACE.as_bytes()),
    ];
    let mut fingerprints = Vec::new();
    for (headers, format) in
        [(connect, LetterFormat::KafkaConnect), (spring, LetterFormat::Spring), (streams, LetterFormat::KafkaStreams)]
    {
        let batch = foreign(headers);
        let letter = DeadLetter::read(batch.record(0)).unwrap();
        assert_eq!((letter.format, &*letter.kind), (format, "java.lang.IllegalStateException"));
        assert_eq!(letter.source, Some(RecordPosition { topic: "shop", partition: 3, offset: 17 }));
        assert_eq!(letter.backtrace().as_deref(), Some(TRACE));
        assert!(letter.message().starts_with("no page"), "{format:?}");
        let input = letter.input().unwrap();
        assert_eq!(input.value.as_deref(), Some(&b"\xffvalue"[..]));
        let own = vec![header(b"trace", Some(b"1")), header(b"trace", None)];
        assert_eq!((input.key.as_deref(), input.headers, input.timestamp_ms), (Some(&b"k"[..]), own, Some(5)));
        fingerprints.push(letter.fingerprint.into_owned());
    }
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 1, "the same failure, whoever wrote the letter");
}

#[test]
fn damaged_headers_of_a_foreign_letter_leave_its_source_unknown() {
    for (name, value) in [("offset", &b"x"[..]), ("offset", b"-1"), ("partition", b"4294967296"), ("topic", b"\xff")] {
        let name = format!("__connect.errors.{name}");
        let whole: [(&str, &[u8]); 3] = [
            ("__connect.errors.topic", b"shop"),
            ("__connect.errors.partition", b"3"),
            ("__connect.errors.offset", b"17"),
        ];
        let batch = foreign(&whole.map(|(known, old)| (known, if known == name { value } else { old })));
        assert_eq!(DeadLetter::read(batch.record(0)).unwrap().source, None, "{name}");
    }
    let spring = foreign(&[("kafka_dlt-original-topic", b"shop"), ("kafka_dlt-original-partition", b"3")]);
    assert_eq!(DeadLetter::read(spring.record(0)).unwrap().source, None);
}

#[test]
fn record_that_is_no_letter_is_not_read() {
    for value in [&b"{}"[..], b"text", br#"{"input_json": "x", "error_message": "y"}"#] {
        let batch = batch(&Written { key: None, value: value.to_vec(), headers: vec![header(b"h", None)] });
        assert!(DeadLetter::read(batch.record(0)).is_none());
    }
}

#[test]
fn position_is_parsed_from_its_text() {
    let position = RecordPosition { topic: "a/b@c", partition: 1, offset: 42 };
    assert_eq!(RecordPosition::parse(&position.to_string()), Some(position));
    for wrong in ["", "visits", "visits/1", "/1@2", "visits/x@2", "visits/1@", "visits/-1@2", "visits/1@-2"] {
        assert_eq!(RecordPosition::parse(wrong), None, "{wrong}");
    }
}
