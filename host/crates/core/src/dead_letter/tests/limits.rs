//! The parts that are cut or replaced if a dead letter exceeds the limits of its topic.

use proptest::prelude::*;

use super::super::kept::MAX_SOURCE_KEY_BYTES;
use super::*;
use crate::decision::TimestampLimits;

/// A cut can leave this much room, because a character of six bytes did not fit.
const MOST_SLACK: usize = 5;

fn contents(max_bytes: usize) -> impl Strategy<Value = Vec<u8>> {
    let text = |max_bytes| {
        let piece = proptest::sample::select(vec!["a", "\"", "\\", "\u{1}", "\n", "\u{7f}", "é", "漢", "😀"]);
        proptest::collection::vec(piece, 0..max_bytes).prop_map(|pieces| pieces.concat().into_bytes())
    };
    prop_oneof![text(max_bytes), proptest::collection::vec(any::<u8>(), 0..max_bytes)]
}

fn inputs() -> impl Strategy<Value = Input> {
    let headers = proptest::collection::vec((contents(8), proptest::option::of(contents(200))), 0..4);
    let value = proptest::option::weighted(0.9, contents(2000));
    (proptest::option::of(contents(200)), value, headers).prop_map(|(key, value, headers)| Input {
        key,
        value,
        headers,
    })
}

fn sets() -> impl Strategy<Value = HeaderSet> {
    proptest::sample::select(HeaderSet::ALL.to_vec())
}

/// Checks a dead letter with this limit.
fn check_cut(set: HeaderSet, input: &Input, message: &str, max_bytes: usize) {
    let (whole, written) = (write_set(set, input, message, NO_LIMIT), write_set(set, input, message, max_bytes));
    assert!(written.bytes() <= max_bytes, "{} bytes instead of {max_bytes}", written.bytes());
    if whole.bytes() <= max_bytes {
        assert_eq!(written, whole);
        return;
    }
    let value = input.value.clone().unwrap_or_default();
    let cut = written.header("mapper-host.cut").expect("a header that says so");
    let error = |letter: &Written| letter.field("error_message").as_str().unwrap().to_owned();
    if cut == "input_json, headers and key" {
        assert_eq!((&written.key, written.kept(), written.input()), (&None, &[][..], None));
        let least = Input { value: input.value.as_ref().map(|_| vec![]), ..Input::default() };
        let short = &message[..message.floor_char_boundary(SHORT_TEXT_BYTES)];
        // The header that lists the cut parts takes room, too.
        let cut_header = headers_bytes([(&b"mapper-host.cut"[..], Some(&[b'x'; 90][..]))].into_iter());
        let key = headers_bytes([(SOURCE_KEY.as_bytes(), input.key.as_deref())].into_iter());
        let encoding = ", \"input_encoding\": \"base64\"".len();
        assert!(
            write_set(set, &least, short, NO_LIMIT).bytes() + cut_header + key + encoding > max_bytes,
            "more is cut than must be"
        );
        return;
    }
    let is_cut = |what: &str| cut.contains(&format!("{what}: "));
    assert_eq!(written.kept(), if is_cut("headers") { &[] } else { whole.kept() });
    match is_cut("key") {
        true => {
            let key = input.key.as_deref().unwrap();
            let kept = written
                .headers
                .iter()
                .find(|(name, _)| name == SOURCE_KEY.as_bytes())
                .and_then(|(_, value)| value.clone());
            assert_eq!((&written.key, kept.as_deref()), (&None, Some(&key[..key.len().min(MAX_SOURCE_KEY_BYTES)])));
        }
        false => assert_eq!(written.key, whole.key),
    }
    assert!(is_cut("message") && error(&whole).starts_with(&error(&written)) || error(&whole) == error(&written));
    let kept = written.input();
    if is_cut("input_json") {
        let kept = kept.unwrap();
        assert!(value.starts_with(&kept) && kept.len() < value.len(), "the beginning is kept");
        assert!(max_bytes - written.bytes() <= MOST_SLACK, "{} bytes, but {max_bytes} fit", written.bytes());
    } else {
        assert_eq!(kept, input.value, "{cut}");
    }
}

/// The size of the smallest dead letter.
fn min_bytes(set: HeaderSet) -> usize {
    write_with(&mut letters_with(set, NO_LIMIT), &Input::default(), &rejected(""), true).bytes()
}

proptest! {
    #[test]
    fn dead_letter_never_exceeds_the_limit_of_its_topic(
        input in inputs(), message in contents(300), part in 0.0..1.1_f64, set in sets()
    ) {
        let message = String::from_utf8_lossy(&message);
        let (least, whole) = (min_bytes(set), write_set(set, &input, &message, NO_LIMIT).bytes());
        check_cut(set, &input, &message, least + (whole.saturating_sub(least) as f64 * part) as usize);
    }

    #[test]
    fn dead_letter_uses_the_limit_to_the_byte(
        input in inputs(), more in -40_isize..40, set in sets()
    ) {
        let whole = write_set(set, &input, MESSAGE, NO_LIMIT).bytes();
        check_cut(set, &input, MESSAGE, whole.saturating_add_signed(more).max(min_bytes(set)));
    }
}

#[test]
fn cut_falls_between_characters_at_every_size() {
    for value in ["\"\\\u{1}é漢😀".repeat(20).into_bytes(), [&b"\xff\x00abc"[..]; 30].concat()] {
        let input = Input { key: Some(vec![b'k'; 50]), ..input_with_value(&value) };
        for set in HeaderSet::ALL {
            let whole = write_set(set, &input, MESSAGE, NO_LIMIT).bytes();
            (min_bytes(set)..whole + 10).for_each(|max_bytes| check_cut(set, &input, MESSAGE, max_bytes));
        }
    }
}

#[test]
fn only_the_largest_part_is_cut() {
    let key = |bytes| Some(vec![b'k'; bytes]);
    let headers = |bytes| vec![header(b"h", Some(&vec![b'h'; bytes]))];
    let value = Some(b"{}".to_vec());
    for (input, message_bytes, cut) in [
        (Input { key: key(5000), headers: headers(5), value: value.clone() }, 5, "key: 5000 bytes"),
        (Input { key: key(5), headers: headers(5000), value: value.clone() }, 5, "headers: 5011 bytes"),
        (
            Input { key: key(5000), headers: headers(5000), value: value.clone() },
            5,
            "headers: 5011 bytes, key: 5000 bytes",
        ),
        (Input { key: key(5), headers: headers(5), value: value.clone() }, 5000, "message: 5000 bytes"),
        (Input { key: key(5), headers: headers(5), value: None }, 5000, "message: 5000 bytes"),
        (
            Input { key: key(5000), headers: headers(5), value: Some(vec![b'x'; 5000]) },
            5000,
            "input_json: 5000 bytes, message: 5000 bytes, key: 5000 bytes",
        ),
    ] {
        let message = "m".repeat(message_bytes);
        for set in HeaderSet::ALL {
            let written = write_set(set, &input, &message, 4000);
            assert_eq!(written.header("mapper-host.cut"), Some(cut), "{set}");
            check_cut(set, &input, &message, 4000);
        }
    }
}

#[test]
fn dead_letter_for_a_compacted_topic_has_a_generated_key() {
    let mut letters = letters(2000);
    letters.set_limits(TopicLimits { needs_key: true, ..limited(2000) });
    for (key, expected, marked) in [
        (None, "visits-1-42", Some("generated")),
        (Some(&b"k"[..]), "k", None),
        (Some(b""), "", None),
        (Some(&[b'k'; 3000]), "visits-1-42", Some("generated")),
    ] {
        let input = Input { key: key.map(<[u8]>::to_vec), ..input_with_value(b"{}") };
        let written = write_with(&mut letters, &input, &rejected(MESSAGE), false);
        assert_eq!(written.key.as_deref(), Some(expected.as_bytes()));
        assert_eq!(written.header("mapper-host.key"), marked);
        assert!(written.bytes() <= 2000);
    }
}

#[test]
fn dead_letter_has_the_timestamp_of_its_record_if_the_topic_accepts_it() {
    const NOW_MS: i64 = 1_705_119_710_037;
    let mut letters = letters(NO_LIMIT);
    let timestamps = Some(TimestampLimits { before_max_ms: 1000, after_max_ms: 50 });
    let mut written = |timestamp_ms: i64, timestamps, timestamp| {
        letters.set_limits(TopicLimits { timestamps, ..TopicLimits::default() });
        let mut batch = Batch::new("visits");
        batch.push((1, 42), timestamp_ms, None, None, std::iter::empty());
        let form = DeadLetterForm { timestamp, ..DeadLetterForm::default() };
        letters.write(batch.record(0), &rejected(MESSAGE), form).timestamp_ms
    };
    for (timestamp_ms, limits, form, expected) in [
        (NOW_MS + 50, timestamps, DeadLetterTimestamp::Source, Some(NOW_MS + 50)),
        (NOW_MS + 51, timestamps, DeadLetterTimestamp::Source, None),
        (NOW_MS - 1000, timestamps, DeadLetterTimestamp::Source, Some(NOW_MS - 1000)),
        (NOW_MS - 1001, timestamps, DeadLetterTimestamp::Source, None),
        (i64::MAX, None, DeadLetterTimestamp::Source, Some(i64::MAX)),
        (0, None, DeadLetterTimestamp::Source, Some(0)),
        (-5, None, DeadLetterTimestamp::Source, None),
        (NO_TIMESTAMP, None, DeadLetterTimestamp::Source, None),
        (NOW_MS, None, DeadLetterTimestamp::Present, None),
        (NOW_MS, None, DeadLetterTimestamp::Absent, Some(NO_TIMESTAMP)),
    ] {
        assert_eq!(written(timestamp_ms, limits, form), expected, "{timestamp_ms} {form:?}");
    }
}

#[test]
fn rejection_reduces_later_dead_letters() {
    let mut letters = letters(100_000);
    let form = letters.after_rejection(DeadLetterForm::default(), RejectionCause::TooLarge).unwrap();
    assert!(letters.effective(DeadLetterForm::default()) == form);
    let written = write_with(&mut letters, &input_with_value(&[b'x'; 50_000]), &rejected(MESSAGE), false);
    assert!(written.bytes() <= 25_000);
    // The broker rejects the current time. Later dead letters without a timestamp of their record have none.
    let present = DeadLetterForm { timestamp: DeadLetterTimestamp::Present, ..DeadLetterForm::default() };
    letters.after_rejection(present, RejectionCause::Timestamp).unwrap();
    let mut batch = Batch::new("visits");
    batch.push((1, 42), -5, None, None, std::iter::empty());
    let timestamp_ms = letters.write(batch.record(0), &rejected(MESSAGE), DeadLetterForm::default()).timestamp_ms;
    assert_eq!(timestamp_ms, Some(NO_TIMESTAMP));
}
