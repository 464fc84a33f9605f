//! The headers of each set.

use super::*;

#[test]
fn headers_of_the_input_are_kept_byte_for_byte_and_in_order() {
    let headers = vec![
        header(b"b", Some(b"1")),
        header(b"a", None),
        header(b"b", Some(b"1")),
        header(b"b", Some(b"\xff\x00")),
        header(b"\xff\xfe", Some(b"")),
        header(b"", Some(b"no name")),
        header(b"mapper-hosts", Some(b"not ours")),
    ];
    let input = Input { key: Some(b"\xffkey".to_vec()), headers: headers.clone(), ..input_with_value(b"{}") };
    let written = write(&input, MESSAGE, NO_LIMIT);
    assert_eq!((written.kept(), &written.key), (&headers[..], &input.key));
    assert_eq!(write(&Input { key: Some(vec![]), ..input }, MESSAGE, NO_LIMIT).key, Some(vec![]));
}

#[test]
fn headers_have_the_position_and_the_cause() {
    let mut failure = Failure::new(FailureKind::Trap, "unreachable");
    failure.details = "0: 0x12 - m.wasm!reduce".into();
    let connect = [
        ("__connect.errors.topic", "visits"),
        ("__connect.errors.partition", "1"),
        ("__connect.errors.offset", "42"),
        ("__connect.errors.connector.name", "visits_reader"),
        ("__connect.errors.task.id", "3"),
        ("__connect.errors.stage", "TRANSFORMATION"),
        ("__connect.errors.class.name", "reduce-visit"),
        ("__connect.errors.exception.class.name", "trap"),
        ("__connect.errors.exception.message", "unreachable"),
        ("__connect.errors.exception.stacktrace", "trap: unreachable\n0: 0x12 - m.wasm!reduce"),
    ];
    let full = [
        ("mapper-host.headers", "1"),
        ("mapper-host.kind", "trap"),
        ("mapper-host.fingerprint", FINGERPRINT_OF_TRAP),
        ("mapper-host.plugin.name", "reduce-visit"),
        ("mapper-host.plugin.version", "0.1.0"),
        ("mapper-host.plugin.digest", "abc123"),
        ("mapper-host.contract", "1.0.0"),
        ("mapper-host.group", "visits_reader"),
        ("mapper-host.attempt", "1"),
        ("mapper-host.source.timestamp-ms", "1700000000000"),
    ];
    let plugin = ("mapper-host.plugin", "reduce-visit 0.1.0 abc123");
    let cause = format!("trap {FINGERPRINT_OF_TRAP}");
    let compact = [("mapper-host.source", "visits/1@42"), ("mapper-host.failure", cause.as_str()), plugin];
    let backtrace = [("mapper-host.backtrace", "0: 0x12 - m.wasm!reduce")];
    for (set, expected) in [
        (HeaderSet::Compact, [&compact[..], &backtrace].concat()),
        (HeaderSet::Connect, [&connect[..], &compact].concat()),
        (HeaderSet::Full, [&connect[..], &full].concat()),
    ] {
        let written = write_with(&mut letters_with(set, NO_LIMIT), &input_with_value(b"{}"), &failure, false);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let headers = written.headers.iter().map(|(name, value)| (text(name), text(value.as_ref().unwrap())));
        let expected = expected.iter().map(|(name, value)| (text(name.as_bytes()), text(value.as_bytes())));
        assert!(headers.eq(expected), "{set}: {written:?}");
    }
}

#[test]
fn empty_value_has_no_header() {
    let mut batch = Batch::new("visits");
    batch.push((1, 42), NO_TIMESTAMP, None, None, std::iter::empty());
    let mut letters = letters(NO_LIMIT);
    let letter = letters.write(batch.record(0), &rejected(""), DeadLetterForm::default());
    let names: Vec<&[u8]> = letter.headers().map(|(name, _)| name).collect();
    for name in ["mapper-host.source.timestamp-ms", "__connect.errors.exception.message", "mapper-host.cut"] {
        assert!(!names.contains(&name.as_bytes()), "{name}");
    }
}

#[test]
fn headers_of_an_earlier_dead_letter_are_replaced() {
    let mut input = Input { key: Some(b"k".to_vec()), headers: vec![header(b"own", None)], ..input_with_value(b"{}") };
    // Whatever the set of the one before.
    for (attempt, set) in (1..=12).zip(HeaderSet::ALL.into_iter().cycle()) {
        // Another program has appended a header.
        input.headers.push(header(b"__connect.errors.other", Some(b"1")));
        let again = write_set(set, &input, MESSAGE, NO_LIMIT);
        let expected = Some(attempt.to_string()).filter(|_| attempt > 1 || set == HeaderSet::Full);
        assert_eq!(again.header("mapper-host.attempt"), expected.as_deref(), "{set}");
        assert_eq!(again.kept(), [header(b"own", None)]);
        let first = write_set(set, &Input { headers: vec![header(b"own", None)], ..input.clone() }, MESSAGE, NO_LIMIT);
        assert_eq!(
            again.headers.len(),
            first.headers.len() + usize::from(attempt > 1 && set != HeaderSet::Full),
            "{set}"
        );
        input.headers = again.headers;
    }
}

#[test]
fn invalid_attempt_counts_as_none() {
    let most = u32::MAX.to_string();
    for (before, expected) in [
        (vec![Some(&b"7"[..])], "8"),
        (vec![Some(b"7"), Some(b"9")], "10"),
        (vec![Some(b"many")], "1"),
        (vec![Some(b"-1")], "1"),
        (vec![Some(b"\xff")], "1"),
        (vec![None], "1"),
        (vec![Some(most.as_bytes())], &most),
    ] {
        let headers = before.iter().map(|value| header(b"mapper-host.attempt", *value)).collect();
        let written = write(&Input { headers, ..input_with_value(b"{}") }, MESSAGE, NO_LIMIT);
        assert_eq!(written.header("mapper-host.attempt"), Some(expected), "{before:?}");
    }
    let mut input = input_with_value(b"{}");
    input.headers = vec![header(b"mapper-host.source", Some(b"visits/1@42"))];
    assert_eq!(write(&input, MESSAGE, NO_LIMIT).header("mapper-host.attempt"), Some("2"), "version 2 omits a 1");
}

#[test]
fn compact_set_has_a_timestamp_only_if_the_dead_letter_has_another_one() {
    const NOW_MS: i64 = 1_705_119_710_037;
    let mut letters = letters_with(HeaderSet::Compact, NO_LIMIT);
    let mut written = |timestamp_ms: i64, timestamp| {
        let mut batch = Batch::new("visits");
        batch.push((1, 42), timestamp_ms, None, None, std::iter::empty());
        let form = DeadLetterForm { timestamp, ..DeadLetterForm::default() };
        let letter = letters.write(batch.record(0), &rejected(MESSAGE), form);
        let headers: Vec<Header<'_>> = letter.headers().collect();
        let sent_at = letter.timestamp_ms.unwrap_or(NOW_MS);
        let read = source_timestamp_ms(headers.iter().copied(), Some(sent_at));
        (headers.iter().any(|(name, _)| *name == b"mapper-host.source.timestamp-ms"), read)
    };
    assert_eq!(written(42, DeadLetterTimestamp::Source), (false, Some(42)));
    assert_eq!(written(42, DeadLetterTimestamp::Present), (true, Some(42)));
    assert_eq!(written(42, DeadLetterTimestamp::Absent), (true, Some(42)));
    assert_eq!(written(NO_TIMESTAMP, DeadLetterTimestamp::Source), (true, None));
}

#[test]
fn compact_set_has_at_most_five_headers() {
    let mut failure = Failure::new(FailureKind::Trap, "unreachable");
    failure.details = "0: 0x12 - m.wasm!reduce".into();
    let again = Input { headers: vec![header(b"mapper-host.attempt", Some(b"7"))], ..input_with_value(b"{}") };
    let written = write_with(&mut letters_with(HeaderSet::Compact, NO_LIMIT), &again, &failure, false);
    assert_eq!(written.headers.len(), 5, "{written:?}");
}

#[test]
fn source_and_kind_are_read_from_every_header_set() {
    let failure = Failure::new(FailureKind::Trap, "unreachable");
    // The input has the source of an earlier host.
    let input = Input { headers: vec![header(b"mapper-host.source", Some(b"old/7@1"))], ..input_with_value(b"{}") };
    for set in HeaderSet::ALL {
        let written = write_with(&mut letters_with(set, NO_LIMIT), &input, &failure, false);
        let headers = written.headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref()));
        let (source, kind) = letter_source(headers).unwrap();
        assert_eq!((source.topic, source.partition, source.offset, kind), ("visits", 1, 42, "trap"), "{set}");
    }
    assert_eq!(letter_source([(&b"mapper-host.source"[..], Some(&b"visits/1@42"[..]))].into_iter()), None);
}
