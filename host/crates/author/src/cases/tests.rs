//! Cases that hold and cases that don't, on a mapper that does what its record says.

use std::collections::BTreeMap;

use super::*;
use mapper_core::record::{Batch, KEEP};
use mapper_core::verdict::{Columns, Failure, OutputHeaders, OutputTopics, Verdicts};
use mapper_runtime::Mapper;

/// Values: `skip`, `fail WORDS`, `trap WORDS`, `twice`; any other is kept, under the key `new`, in the topic `other`,
/// without headers, at time 5.
struct Obedient;

impl Mapper for Obedient {
    fn map_until_failure(&mut self, batch: &Batch, verdicts: &mut Verdicts) {
        for record in batch.records() {
            let value = String::from_utf8_lossy(record.value().unwrap_or(b"skip")).into_owned();
            if let Some(words) = value.strip_prefix("trap ") {
                let mut failure = Failure::new(FailureKind::Trap, words.to_owned());
                failure.details = "at boom".into();
                verdicts.push_failure(failure);
                continue;
            }
            let mut columns = Columns { statuses: vec![0], ..Columns::default() };
            if let Some(words) = value.strip_prefix("fail ") {
                columns.statuses[0] = 1;
                columns.errors.push(Some(words.as_bytes()));
            } else if value == "twice" {
                (0..2).for_each(|_| columns.values.push_marked(KEEP, b""));
            } else if value != "skip" {
                columns.values.push_marked(KEEP, b"");
                let keys = columns.keys.get_or_insert_default();
                keys.push(Some(b"new"));
                columns.topics = Some(OutputTopics { names: vec!["other".into()], indexes: vec![1] });
                let mut headers = OutputHeaders { marks: vec![0], ..OutputHeaders::default() };
                headers.table.end_record();
                columns.headers = Some(headers);
                columns.timestamps_ms = Some(vec![5]);
            }
            columns.output_ends = vec![columns.values.len() as u32];
            columns.check(1).unwrap();
            verdicts.push_columns(columns);
        }
    }
}

fn judged(text: &str) -> Vec<Judged> {
    let cases = parse(text).unwrap();
    runs(&cases).into_iter().flat_map(|run| judge(&mut Obedient, &cases[run])).collect()
}

fn one(text: &str) -> Judged {
    judged(text).pop().unwrap()
}

#[test]
fn what_holds_passes_and_what_does_not_is_shown() {
    for holds in [
        r#"{"input": {"value": "skip"}, "skipped": true}"#,
        r#"{"input": {"value": null}, "outputs": []}"#,
        r#"{"input": {"value": "fail why not"}, "error": "why not"}"#,
        r#"{"input": {"value": "fail why not"}, "error_matches": "^why"}"#,
        r#"{"input": {"value": "trap boom"}, "error": "boom", "kind": "trap"}"#,
        r#"{"input": {"value": {"a": 1, "b": [2.5]}}, "output": {"value": {"b": [2.5], "a": 1}}}"#,
        r#"{"input": {"value": "text"}, "output": {"value": "text", "key": "new", "topic": "other", "headers": [], "timestamp_ms": 5}}"#,
        r#"{"input": {"value_base64": "/w=="}, "output": {"value_base64": "/w=="}}"#,
        r#"{"input": {"value": "twice", "key": "k", "headers": [["h", null]]}, "outputs": [{"key": "k", "headers": [["h", null]], "topic": null}, {}]}"#,
    ] {
        let judged = one(holds);
        assert!(judged.passed, "{holds}: {} {}", judged.expected, judged.seen);
    }
    for (fails, expected, seen) in [
        (
            r#"{"input": {"value": "fail why"}, "error": "why not"}"#,
            r#"{"error":"why not","kind":"rejected"}"#,
            r#"{"error":"why","kind":"rejected"}"#,
        ),
        (
            r#"{"input": {"value": "fail why"}, "error_matches": "not$"}"#,
            r#"{"error_matches":"not$","kind":"rejected"}"#,
            r#"{"error":"why","kind":"rejected"}"#,
        ),
        (
            r#"{"input": {"value": "trap why"}, "error": "why"}"#,
            r#"{"error":"why","kind":"rejected"}"#,
            r#"{"error":"why","kind":"trap"}"#,
        ),
        (
            r#"{"input": {"value": "{\"a\":1}"}, "output": {"value": "{\"a\": 1}"}}"#,
            r#"{"output":{"value":"{\"a\": 1}"}}"#,
            r#"{"output":{"value":"{\"a\":1}"}}"#,
        ),
        (
            r#"{"input": {"value": "not json"}, "output": {"value": {"a": 1}, "key": null}}"#,
            r#"{"output":{"key":null,"value":{"a":1}}}"#,
            r#"{"output":{"key":"new","value":"not json"}}"#,
        ),
        (
            r#"{"input": {"value": "twice"}, "output": {"value": "twice"}}"#,
            r#"{"output":{"value":"twice"}}"#,
            r#"{"outputs":[{"value":"twice"},{"key":null,"value":"twice"}]}"#,
        ),
        (r#"{"input": {"value": "skip"}, "output": {}}"#, r#"{"output":{}}"#, r#"{"skipped":true}"#),
        (r#"{"input": {"value": "fail x"}}"#, "null", r#"{"error":"x","kind":"rejected"}"#),
    ] {
        let judged = one(fails);
        assert!(!judged.passed, "{fails}");
        assert_eq!((judged.expected.to_string().as_str(), judged.seen.to_string().as_str()), (expected, seen));
    }
    assert_eq!(one(r#"{"input": {"value": "trap x"}, "output": {}}"#).details, "at boom");
}

#[test]
fn settings_hold_for_what_is_below_and_part_the_runs() {
    let text = r#"{"input": {"value": 1}, "skipped": true}

{"settings": {"a": "1", "b": "1"}}
{"input": {"value": 2}, "skipped": true}
{"input": {"value": 3}, "settings": {"b": "2"}, "skipped": true}
{"input": {"value": 4, "topic": "t"}, "settings": {"b": "2"}, "skipped": true}
{"settings": {}}
{"input": {"value": 5}, "skipped": true}"#;
    let cases = parse(text).unwrap();
    assert_eq!(cases.iter().map(|case| case.line).collect::<Vec<_>>(), [1, 4, 5, 6, 8]);
    assert_eq!(runs(&cases), [0..1, 1..2, 2..3, 3..4, 4..5]);
    let common = [("a".to_owned(), "0".to_owned()), ("c".to_owned(), "0".to_owned())];
    let settings = |index: usize| {
        let settings = cases[index].settings_over(&common);
        settings.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!([settings(0), settings(1), settings(2)], ["a=0 c=0", "a=1 b=1 c=0", "a=1 b=2 c=0"]);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (text, message) in [
        (r#"{"inptu": {"value": 1}}"#, "unknown key \"inptu\"; did you mean \"input\"?"),
        (
            r#"{"output": {}}"#,
            "there is no \"input\"; give it, as {\"input\": {\"value\": …}, \"output\": {\"value\": …}}",
        ),
        (r#"{"input": {"valu": 1}, "output": {}}"#, "\"input\": unknown key \"valu\"; did you mean \"value\"?"),
        (
            r#"{"input": {"value": 1}, "output": {"vaule": 1}}"#,
            "output: unknown key \"vaule\"; did you mean \"value\"?",
        ),
        (
            r#"{"input": {"value": 1}, "output": {}, "skipped": true}"#,
            "\"output\" and \"skipped\" are both there; give one of them",
        ),
        (
            r#"{"input": {"value": 1}, "skipped": false}"#,
            "\"skipped\": it can only be true; give what must come instead",
        ),
        (
            r#"{"input": {"value": 1}, "output": {}, "kind": "trap"}"#,
            "\"kind\" goes with \"error\" or \"error_matches\"",
        ),
        (
            r#"{"input": {"value": 1}, "settings": {"a": 1}, "output": {}}"#,
            "\"settings\": invalid type: integer `1`, expected a string",
        ),
    ] {
        assert_eq!(parse(&format!("\n{text}\n")).unwrap_err(), (2, message.to_owned()), "{text}");
    }
    let wrong = |text| parse(text).unwrap_err().1;
    let kind = wrong(r#"{"input": {"value": 1}, "error": "", "kind": "trp"}"#);
    assert!(kind.starts_with("\"kind\": there is no kind \"trp\"; known are: rejected, trap, "), "{kind}");
    let pattern = wrong(r#"{"input": {"value": 1}, "error_matches": "("}"#);
    assert!(pattern.starts_with("\"error_matches\": regex parse error"), "{pattern}");
}

#[test]
fn blessing_changes_expectations_and_nothing_else() {
    let text = "{\"name\": \"a\",  \"input\": {\"value\":  {\"x\": 1.50} }, \"output\": {\"value\": 1, \"key\": 2}, \"settings\": {}}\r\n\
        \n\
        {\"skipped\":true,\"input\":{\"value\":\"fail \\\"x\\\"\"}}\n\
        {\"input\": {\"value\": \"skip\"}, \"error\": \"was\", \"kind\": \"trap\", \"name\": \"c\"}\n\
        {\"input\": {\"value\": \"trap x\"}, \"outputs\": []}\n\
        {\"input\": {\"value\": \"twice\"}}\n\
        {\"input\": {\"value\": \"skip\"}, \"skipped\":  true}";
    let judged = judged(text);
    let cases = parse(text).unwrap();
    let failed: BTreeMap<usize, &Judged> = cases
        .iter()
        .zip(&judged)
        .filter(|(_, judged)| !judged.passed)
        .map(|(case, judged)| (case.line, judged))
        .collect();
    assert_eq!(failed.keys().copied().collect::<Vec<_>>(), [1, 3, 4, 5, 6]);
    let blessed = bless(text, &failed).unwrap();
    let expected = "{\"name\": \"a\", \"input\": {\"value\":  {\"x\": 1.50} }, \"output\": {\"topic\": \"other\", \"key\": \"new\", \
        \"value\": {\"x\": 1.50}, \"timestamp_ms\": 5}, \"settings\": {}}\r\n\
        \n\
        {\"error\":\"\\\"x\\\"\",\"input\":{\"value\":\"fail \\\"x\\\"\"}}\n\
        {\"input\": {\"value\": \"skip\"}, \"skipped\": true, \"name\": \"c\"}\n\
        {\"input\": {\"value\": \"trap x\"}, \"error\": \"x\", \"kind\": \"trap\"}\n\
        {\"input\": {\"value\": \"twice\"}, \"outputs\": [{\"value\": \"twice\"}, {\"value\": \"twice\"}]}\n\
        {\"input\": {\"value\": \"skip\"}, \"skipped\":  true}";
    assert_eq!(
        blessed,
        expected.replace(
            "\"value\": {\"x\": 1.50}, \"timestamp_ms\"",
            "\"value\": {\"x\": 1.50}, \"headers\": [], \"timestamp_ms\""
        )
    );
    assert!(self::judged(&blessed).iter().all(|judged| judged.passed), "{blessed}");
}
