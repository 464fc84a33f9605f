//! `mapper-host map`: outputs, their order, and the exit code.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use harness::host::Job;
use harness::kafka::Kafka;
use harness::{reference, topics};

use crate::author::{in_dir, pipe};

const GOOD: &str = r#"{"visit_id": 1, "event_time": "2023-11-01", "page": "home"}"#;
const REDUCED: &str = r#"{"visit_id":1,"event_time":1698796800,"page":"home"}"#;

#[test]
fn reference_data_is_mapped_in_order_and_failures_have_their_line_number() {
    let dir = tempfile::tempdir().expect("a folder");
    let plugin = crate::reduce_visit().display().to_string();
    let cases = reference::cases();
    let values: String = cases.iter().map(|case| format!("{}\n", case.value)).collect();
    let (code, out, err) = pipe(dir.path(), &["map", &plugin, "--stats"], values.as_bytes());
    assert_eq!(code, Some(10), "{err}");
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let reduced: Vec<_> = cases.iter().filter_map(|case| case.reduced.as_deref()).map(json).collect();
    assert_eq!(out.lines().map(json).collect::<Vec<_>>(), reduced);
    let failed: Vec<usize> =
        cases.iter().enumerate().filter(|(_, case)| case.error.is_some()).map(|(index, _)| index + 1).collect();
    let messages: Vec<&str> = err.lines().filter(|line| line.starts_with("line ")).collect();
    assert_eq!(messages.len(), failed.len());
    for (line, message) in failed.iter().zip(messages) {
        assert!(message.starts_with(&format!("line {line}: rejected: ")), "{message}");
    }
    assert!(
        err.contains("3000 records in ") && err.contains(" 1403 outputs, 1597 failed (1597 rejected), 0 skipped\n"),
        "{err}"
    );
    assert!(err.contains(" µs per record"), "{err}");
}

#[test]
fn complete_records_are_mapped_to_complete_records() {
    let dir = tempfile::tempdir().expect("a folder");
    let plugin = harness::plugins::build(crate::HOST, "tests/guests/commands_batch").display().to_string();
    let input = r#"{"value": "keep", "key_base64": "/w==", "headers": [["h", null], [{"base64": "/w=="}, "1"]], "timestamp_ms": 7}

{"value": "three", "topic": "elsewhere"}
{"vale": "skip"}
{"value": "see", "topic": "elsewhere", "partition": 3, "offset": 9}
not json
{"value": "skip"}
"#;
    let (code, out, err) = pipe(dir.path(), &["map", &plugin, "--format", "record"], input.as_bytes());
    assert_eq!(code, Some(10), "{err}");
    assert_eq!(
        out.lines().collect::<Vec<_>>(),
        [
            r#"{"headers":[["h",null],[{"base64":"/w=="},"1"]],"key_base64":"/w==","timestamp_ms":7,"value":"keep"}"#,
            r#"{"key":null,"value":"one"}"#,
            r#"{"key":"k","timestamp_ms":7,"value":"three"}"#,
            r#"{"key":null,"topic":"other","value":"three"}"#,
            r#"{"key":null,"value":"elsewhere/3@9 none null 736565"}"#,
        ]
    );
    assert_eq!(
        err,
        "line 4: not a record: unknown key \"vale\"; did you mean \"value\"?\n\
         line 6: not a record: expected ident at line 1 column 2\n"
    );
}

#[test]
fn dead_letter_is_mapped_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let plugin = crate::reduce_visit().display().to_string();
    let letter =
        serde_json::json!({"processing_time": "2024-01-13T04:21:50.037894", "input_json": GOOD, "error_message": "x"});
    let letters = format!("{letter}\n{{\"input_json\": \"/w==\", \"input_encoding\": \"base64\"}}\n{{}}\n");
    let (code, out, err) = pipe(dir.path(), &["map", &plugin, "--format", "dead-letter"], letters.as_bytes());
    assert_eq!((code, out), (Some(10), format!("{REDUCED}\n")), "{err}");
    assert!(err.starts_with("line 2: rejected: not a visit"), "{err}");
    assert!(err.ends_with("line 3: not a record: it is no dead letter's value: it has no \"input_json\"\n"), "{err}");
}

#[test]
fn files_with_crlf_and_bom_are_mapped_in_every_format() {
    let dir = tempfile::tempdir().expect("a folder");
    let plugin = harness::plugins::build(crate::HOST, "tests/guests/commands_batch").display().to_string();
    let file = |name: &str, lines: [&str; 2]| {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("\u{feff}{}\r\n\r\n{}\r\n", lines[0], lines[1])).expect("a file");
        path.display().to_string()
    };
    let letter = |input: &str| serde_json::json!({"input_json": input}).to_string();
    for (format, lines) in [
        ("value", ["value 1", "value 2"].map(str::to_owned)),
        ("record", [r#"{"value": "value 1"}"#, r#"{"value": "value 2"}"#].map(str::to_owned)),
        ("dead-letter", ["value 1", "value 2"].map(letter)),
    ] {
        let path = file(format, lines.each_ref().map(String::as_str));
        // Each file has its own byte order mark.
        let args = ["map", &plugin, &path, &path, "--format", format, "--format-out", "value"];
        let (code, out, err) = pipe(dir.path(), &args, b"");
        assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "1\n2\n1\n2\n", ""), "{format}");
        let stdin = std::fs::read(&path).expect("the file");
        let (code, out, err) = pipe(dir.path(), &["map", &plugin, "--format", format, "--format-out", "value"], &stdin);
        assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "1\n2\n", ""), "{format}");
    }
}

#[test]
fn tombstone_is_its_own_line_in_values() {
    let dir = tempfile::tempdir().expect("a folder");
    let plugin = harness::plugins::build(crate::HOST, "tests/guests/commands_batch").display().to_string();
    let map = |more: &[&str], input: &[u8]| pipe(dir.path(), &[&["map", &plugin][..], more].concat(), input);
    let (code, out, err) = map(&["--tombstone", "NULL"], b"tombstone\nNULL\r\nvalue x\n NULL\n");
    assert_eq!((code, out.as_str()), (Some(10), "NULL\nx\n"), "{err}");
    assert!(err.contains("line 2: rejected: no value\n") && err.contains("line 4: "), "{err}");
    // A blank line, which other formats skip.
    let (code, out, err) = map(&["--tombstone", ""], b"\nvalue x\n \n");
    assert_eq!((code, out.as_str(), err.as_str()), (Some(10), "x\n", "line 1: rejected: no value\n"));
    let (code, out, err) = map(&["--tombstone", "NULL", "--format-out", "record"], b"NULL\nvalue x\n");
    assert_eq!((code, out.as_str()), (Some(10), "{\"key\":null,\"value\":\"x\"}\n"), "{err}");
    for (args, words) in [
        (&["--tombstone", "a\nb"][..], "give a text without line breaks"),
        (&["--tombstone", "x", "--format", "record"], "no line is a value here"),
        (&["--format-out", "values"], "give value or record"),
    ] {
        let (code, _, err) = map(args, b"");
        assert!(code == Some(2) && err.contains(words), "{args:?}: {err}");
    }
}

#[test]
fn dead_letters_are_mapped_again_with_key_headers_and_timestamp() {
    let dir = tempfile::tempdir().expect("a folder");
    let kafka = Kafka::shared();
    let job = Job::new(kafka, "map-letters", crate::HOST, &crate::reduce_visit());
    let record = topics::NewRecord::value("keep").key("k").header("h", "1").null_header("n");
    topics::produce(kafka, &job.input, [record.timestamp(1_700_000_000_123)]);
    let ended = job.run_to_end(&[]);
    // It is logged in one line.
    let logged = ended.output.lines().find(|line| line.contains("dead letter"));
    let fields = [
        "WARN",
        &format!("topic=\"{}\"", job.input),
        "partition=",
        "offset=0",
        "kind=\"rejected\"",
        "fingerprint=\"",
        "error=\"not a visit: ",
    ];
    assert!(logged.is_some_and(|line| fields.iter().all(|field| line.contains(field))), "{}", ended.output);
    // This mapper keeps the fields that it does not set.
    let plugin = harness::plugins::build(crate::HOST, "tests/guests/commands_batch").display().to_string();
    let expected = r#"{"headers":[["h","1"],["n",null]],"key":"k","timestamp_ms":1700000000123,"value":"keep"}"#;
    let formats = ["--format", "dead-letter", "--format-out", "record"];
    let from_topic = ["map", &plugin, "--from-topic", &job.dead_letters, "--brokers", kafka.brokers()];
    let (code, out, err) = pipe(dir.path(), &[&from_topic[..], &formats].concat(), b"");
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), format!("{expected}\n").as_str(), ""));
    // The same dead letter as a line: an unchanged record is the record of the topic.
    let letter = topics::read_all(kafka, &job.dead_letters).into_iter().next().expect("a dead letter");
    let text = |bytes: Option<Vec<u8>>| bytes.map(|bytes| String::from_utf8(bytes).expect("text"));
    let headers: Vec<_> = letter.headers.into_iter().map(|(name, value)| (name, text(value))).collect();
    let line = serde_json::json!({
        "key": text(letter.key),
        "value": text(letter.value),
        "headers": headers,
        "timestamp_ms": letter.timestamp,
    });
    let (code, out, err) = pipe(dir.path(), &[&["map", &plugin][..], &formats].concat(), line.to_string().as_bytes());
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), format!("{expected}\n").as_str(), ""));
}

#[test]
fn limits_details_and_success_are_reported() {
    let dir = tempfile::tempdir().expect("a folder");
    let plugin = harness::plugins::build(crate::HOST, "tests/guests/commands_batch").display().to_string();
    let args = |more: &[&'static str]| [&["map", plugin.as_str()][..], more].concat();
    let (code, out, err) = pipe(dir.path(), &args(&["--limit", "2"]), b"value 1\nvalue 2\npanic x\n");
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "1\n2\n", ""));
    // A file without an end of line, a blank line, and a tombstone.
    let (code, out, _) = pipe(dir.path(), &args(&["--limit", "9"]), b"tombstone\n \nvalue 2");
    assert_eq!((code, out.as_str()), (Some(0), "null\n2\n"));
    let (code, out, err) =
        pipe(dir.path(), &args(&["-v", "--record-timeout", "100ms"]), b"spin\npanic oh no\nvalue 3\n");
    assert_eq!((code, out.as_str()), (Some(10), "3\n"));
    assert!(err.contains("line 1: timeout: ") && err.contains("line 2: trap: "), "{err}");
    assert!(err.contains("oh no") && err.contains("    ") && err.contains("commands_batch"), "{err}");
}

#[test]
fn input_is_mapped_as_it_arrives_and_a_closed_pipe_ends_map_silently() {
    let dir = tempfile::tempdir().expect("a folder");
    let plugin = crate::reduce_visit().display().to_string();
    let mut command = in_dir(dir.path(), &["map", &plugin]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the host can be run");
    let (mut stdin, stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let mut stdout = BufReader::new(stdout);
    for _ in 0..2 {
        writeln!(stdin, "{GOOD}").expect("it reads");
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it writes");
        assert_eq!(line, format!("{REDUCED}\n"));
    }
    drop(stdout);
    // The host notices the closed pipe at its next output.
    while writeln!(stdin, "{GOOD}").is_ok() {}
    let mut err = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("UTF-8");
    assert_eq!((child.wait().expect("our child").code(), err.as_str()), (Some(0), ""));
}

#[test]
fn topic_is_mapped_from_its_beginning_without_a_group() {
    let dir = tempfile::tempdir().expect("a folder");
    let plugin = crate::reduce_visit().display().to_string();
    let kafka = Kafka::shared();
    let topic = topics::unique("map-from");
    topics::create(kafka, &topic, 2, &[]);
    topics::produce(kafka, &topic, (0..40).map(|_| topics::NewRecord::value(GOOD)));
    let args = ["map", &plugin, "--from-topic", &topic, "--brokers", kafka.brokers()];
    let (code, out, err) = pipe(dir.path(), &args, b"");
    assert_eq!((code, out.lines().count()), (Some(0), 40), "{err}");
    let limited = [&args[..], &["--limit", "7", "--format", "record", "--batch-records", "3"]].concat();
    let (code, out, err) = pipe(dir.path(), &limited, b"");
    assert_eq!((code, out.lines().count()), (Some(0), 7), "{err}");
    assert!(out.lines().all(|line| line.contains("\"timestamp_ms\":")), "{out}");
    // The group name that librdkafka requires of a reader has no committed offset.
    let left = topics::committed(kafka, "mapper-host-reads-without-a-group", &topic);
    assert!(left.iter().all(|(_, committed)| committed.is_none()), "{left:?}");
    let (code, _, err) =
        pipe(dir.path(), &["map", &plugin, "--from-topic", "no-such", "--brokers", kafka.brokers()], b"");
    assert!(code == Some(2) && err.contains("'no-such' doesn't exist"), "{err}");
}
