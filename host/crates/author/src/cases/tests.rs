//! Passing and failing cases, with a mapper that is controlled by its records.

use std::collections::BTreeMap;

use std::ops::Range;

use super::*;
use mapper_core::record::{Batch, KEEP};
use mapper_core::verdict::{Columns, Failure, OutputHeaders, OutputTopics, Verdicts};
use mapper_runtime::Mapper;

/// Commands in the value: `skip`, `fail WORDS`, `trap WORDS`, `twice`. Other values are kept, with the key `new`, the topic
/// `other`, no headers and the timestamp 5.
struct CommandMapper;

impl Mapper for CommandMapper {
    fn map_until_failure(&mut self, batch: &Batch, records: Range<usize>, verdicts: &mut Verdicts) {
        for record in records.map(|index| batch.record(index)) {
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

fn run_all(text: &str) -> Vec<CaseResult> {
    let cases = parse(text).unwrap();
    split_runs(&cases).into_iter().flat_map(|range| run(&mut CommandMapper, &cases[range])).collect()
}

fn run_one(text: &str) -> CaseResult {
    run_all(text).pop().unwrap()
}

#[test]
fn matching_result_passes_and_mismatch_shows_both_results() {
    for case in [
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
        let result = run_one(case);
        assert!(result.passed, "{case}: {} {}", result.expected, result.actual);
    }
    for (case, expected, actual) in [
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
        let result = run_one(case);
        assert!(!result.passed, "{case}");
        assert_eq!((result.expected.to_string().as_str(), result.actual.to_string().as_str()), (expected, actual));
    }
    assert_eq!(run_one(r#"{"input": {"value": "trap x"}, "output": {}}"#).details, "at boom");
}

#[test]
fn settings_apply_to_later_cases_and_split_runs() {
    let text = r#"{"input": {"value": 1}, "skipped": true}

{"settings": {"a": "1", "b": "1"}}
{"input": {"value": 2}, "skipped": true}
{"input": {"value": 3}, "settings": {"b": "2"}, "skipped": true}
{"input": {"value": 4, "topic": "t"}, "settings": {"b": "2"}, "skipped": true}
{"settings": {}}
{"input": {"value": 5}, "skipped": true}"#;
    let cases = parse(text).unwrap();
    assert_eq!(cases.iter().map(|case| case.line).collect::<Vec<_>>(), [1, 4, 5, 6, 8]);
    assert_eq!(split_runs(&cases), [0..1, 1..2, 2..3, 3..4, 4..5]);
    let common = [("a".to_owned(), "0".to_owned()), ("c".to_owned(), "0".to_owned())];
    let settings = |index: usize| {
        let settings = cases[index].merge_settings(&common);
        settings.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!([settings(0), settings(1), settings(2)], ["a=0 c=0", "a=1 b=1 c=0", "a=1 b=2 c=0"]);
}

#[test]
fn invalid_case_is_rejected_with_its_line() {
    for (text, message) in [
        (r#"{"inptu": {"value": 1}}"#, "unknown key \"inptu\"; did you mean \"input\"?"),
        (
            r#"{"output": {}}"#,
            "missing key \"input\". Example: {\"input\": {\"value\": …}, \"output\": {\"value\": …}}",
        ),
        (r#"{"input": {"valu": 1}, "output": {}}"#, "\"input\": unknown key \"valu\"; did you mean \"value\"?"),
        (
            r#"{"input": {"value": 1}, "output": {"vaule": 1}}"#,
            "output: unknown key \"vaule\"; did you mean \"value\"?",
        ),
        (
            r#"{"input": {"value": 1}, "output": {}, "skipped": true}"#,
            "\"output\" and \"skipped\" are mutually exclusive",
        ),
        (
            r#"{"input": {"value": 1}, "skipped": false}"#,
            "\"skipped\": must be true, or replaced by the expected result",
        ),
        (
            r#"{"input": {"value": 1}, "output": {}, "kind": "trap"}"#,
            "\"kind\" requires \"error\" or \"error_matches\"",
        ),
        (
            r#"{"input": {"value": 1}, "settings": {"a": 1}, "output": {}}"#,
            "\"settings\": invalid type: integer `1`, expected a string",
        ),
    ] {
        let error = LineError { line: 2, reason: message.to_owned() };
        assert_eq!(parse(&format!("\n{text}\n")).unwrap_err(), error, "{text}");
    }
    let reason = |text| parse(text).unwrap_err().reason;
    let kind = reason(r#"{"input": {"value": 1}, "error": "", "kind": "trp"}"#);
    assert!(kind.starts_with("\"kind\": unknown kind \"trp\"; known kinds: rejected, trap, "), "{kind}");
    let pattern = reason(r#"{"input": {"value": 1}, "error_matches": "("}"#);
    assert!(pattern.starts_with("\"error_matches\": regex parse error"), "{pattern}");
}

#[test]
fn bless_changes_expected_results_only() {
    let text = "{\"name\": \"a\",  \"input\": {\"value\":  {\"x\": 1.50} }, \"output\": {\"value\": 1, \"key\": 2}, \"settings\": {}}\r\n\
        \n\
        {\"skipped\":true,\"input\":{\"value\":\"fail \\\"x\\\"\"}}\n\
        {\"input\": {\"value\": \"skip\"}, \"error\": \"was\", \"kind\": \"trap\", \"name\": \"c\"}\n\
        {\"input\": {\"value\": \"trap x\"}, \"outputs\": []}\n\
        {\"input\": {\"value\": \"twice\"}}\n\
        {\"input\": {\"value\": \"skip\"}, \"skipped\":  true}";
    let results = run_all(text);
    let cases = parse(text).unwrap();
    let failed: BTreeMap<usize, &CaseResult> = cases
        .iter()
        .zip(&results)
        .filter(|(_, result)| !result.passed)
        .map(|(case, result)| (case.line, result))
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
    assert!(run_all(&blessed).iter().all(|result| result.passed), "{blessed}");
}
