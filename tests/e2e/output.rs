//! Output to a terminal, a log and a pipe: foreign control characters are escaped, and a closed reader ends no work.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use harness::components::{BATCH, BY_HAND, WIT, component};
use harness::host::{self, Host, Job};
use harness::kafka::Kafka;
use harness::{plugins, topics};

use crate::author::{in_dir, pipe, run};
use crate::guests::WORLDS;
use crate::{HOST, reduce_visit};

/// A title for the terminal, a colour, a forged line, a control character of 8 bits, and a mark that reverses text.
const HOSTILE: &str =
    "\u{1b}]0;pwned\u{7}\u{1b}[31mred\r\n2026-11-25T00:00:00.000000Z ERROR forged\u{9b}2J\u{202e}\u{2028}";
const ESCAPED: &str =
    "\\x1b]0;pwned\\x07\\x1b[31mred\\r\\n2026-11-25T00:00:00.000000Z ERROR forged\\u{9b}2J\\u{202e}\\u{2028}";

/// Every character that must not reach a terminal.
fn unsafe_characters(text: &str) -> Vec<char> {
    text.chars().filter(|c| c.is_control() && *c != '\n' || "\u{202e}\u{2028}\u{fffe}\u{ffff}".contains(*c)).collect()
}

fn assert_safe(text: &str) {
    assert!(unsafe_characters(text).is_empty(), "{text:?}");
    assert!(text.lines().all(|line| !line.starts_with("2026-11-25")), "a line is forged: {text}");
}

fn command_of(word: &str) -> String {
    serde_json::json!({ "value": format!("{word} {HOSTILE}") }).to_string()
}

#[test]
fn errors_and_logs_of_a_guest_are_escaped_lines() {
    let dir = tempfile::tempdir().expect("a folder");
    for world in WORLDS {
        let plugin = plugins::build(HOST, world).display().to_string();
        let input: String = ["reject", "log", "print", "panic"].map(|word| command_of(word) + "\n").concat();
        let args = ["map", &plugin, "--format", "record", "-v"];
        let (code, _, err) = pipe(dir.path(), &args, input.as_bytes());
        assert_eq!(code, Some(10), "{err}");
        assert_safe(&err);
        assert!(err.contains(&format!("line 1: rejected: {ESCAPED}\n")), "{err}");
        let logged = err.lines().find(|line| line.contains("plugin=") && line.contains(ESCAPED));
        assert!(logged.is_some_and(|line| line.contains("offset=2")), "{err}");

        let json = [&args[..], &["--log-format", "json"]].concat();
        let (_, _, err) = pipe(dir.path(), &json, (command_of("log") + "\n").as_bytes());
        assert_safe(&err);
        let line: serde_json::Value = serde_json::from_str(err.trim()).expect("a line of JSON");
        assert_eq!(line["message"], HOSTILE);
    }
}

#[test]
fn values_are_raw_for_a_program_and_escaped_for_a_terminal() {
    let dir = tempfile::tempdir().expect("a folder");
    let plugin = plugins::build(HOST, WORLDS[0]).display().to_string();
    std::fs::write(dir.path().join("in.jsonl"), command_of("value") + "\n").expect("a file");
    let args = ["map", &plugin, "in.jsonl", "--format", "record"];
    let values = ["map", &plugin, "value.txt"];
    std::fs::write(dir.path().join("value.txt"), "value \u{1b}[2J\u{9b}\u{202e}\n").expect("a file");

    let (code, out, err) = run(dir.path(), &values);
    assert_eq!((code, out.as_str()), (Some(0), "\u{1b}[2J\u{9b}\u{202e}\n"), "{err}");
    let ended = Host::spawn_at_terminal(in_dir(dir.path(), &values), true).wait();
    assert_eq!((ended.code, ended.output.as_str()), (Some(0), "\\x1b[2J\\u{9b}\\u{202e}\r\n"));

    let (_, out, _) = run(dir.path(), &args);
    let ended = Host::spawn_at_terminal(in_dir(dir.path(), &args), true).wait();
    let shown = ended.output.replace("\r\n", "\n");
    assert_safe(&shown);
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(read(&shown), read(&out));
}

#[test]
fn names_of_plugins_cases_and_arguments_are_escaped() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let plugin = plugins::build(HOST, WORLDS[0]).display().to_string();
    let case = |name: &str, rest: &str| format!(r#"{{"name": {}, {rest}}}"#, serde_json::json!(name));
    let cases = [
        case(HOSTILE, r#""input": {"value": "keep"}, "output": {"value": "keep"}"#),
        case("\u{fffe}\u{ffff}]]>&<", &format!(r#""input": {}, "error": "other""#, command_of("reject"))),
    ];
    std::fs::write(dir.join("c.jsonl"), cases.join("\n")).expect("a file");
    let (code, out, err) = run(dir, &["test", &plugin, "--cases", "c.jsonl", "--junit", "junit.xml"]);
    assert_eq!(code, Some(1), "{err}");
    assert_safe(&(out.clone() + &err));
    assert!(out.contains(&format!("ok      {ESCAPED}  (c.jsonl:1)\n")), "{out}");
    let xml = std::fs::read_to_string(dir.join("junit.xml")).expect("a report");
    assert_safe(&xml);
    let report = quick_junit::Report::deserialize_from_str(&xml).expect("well-formed");
    assert_eq!(report.test_suites[0].test_cases.len(), 2);

    let name = by_hand_named("\u{1b}[31mevil\n  valid     yes\r\u{202e}");
    std::fs::write(dir.join("named.wasm"), name).expect("a file");
    let (_, out, err) = run(dir, &["check", "named.wasm"]);
    assert_safe(&(out.clone() + &err));
    assert_eq!(out.matches("\n  valid ").count(), 1, "{out}");
    let (_, json, _) = run(dir, &["check", "named.wasm", "--json"]);
    assert_safe(&json);
    serde_json::from_str::<serde_json::Value>(&json).expect("JSON");

    for args in
        [&[HOSTILE][..], &["check", HOSTILE], &["map", &plugin, HOSTILE], &["--plugin", HOSTILE, "--workers", HOSTILE]]
    {
        let (code, out, err) = run(dir, args);
        assert_ne!(code, Some(0));
        assert_safe(&(out + &err));
    }
}

/// A handwritten guest with this name.
fn by_hand_named(name: &str) -> Vec<u8> {
    let length = u8::try_from(name.len()).expect("a short name");
    let escaped: String = name.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    // The address and the length of its name, the first result of `describe`. The name is at 3072.
    let named = BY_HAND.replacen(r"\10\04\00\00\07\00\00\00", &format!(r"\00\0c\00\00\{length:02x}\00\00\00"), 1);
    let data = format!("(data (i32.const 3072) \"{escaped}\")\n  (data (i32.const 1040)");
    component(&named.replacen("(data (i32.const 1040)", &data, 1), WIT, BATCH)
}

/// A stdout without a reader.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// The exit code with both streams open, with stdout closed, and with both closed; and the stderr with stdout closed.
fn with_closed_streams(command: impl Fn() -> Command) -> ([Option<i32>; 3], String) {
    let open = command().output().expect("the host can be run");
    let silent = command().stdout(closed()).stderr(Stdio::piped()).output().expect("the host can be run");
    let deaf = command().stdout(closed()).stderr(closed()).status().expect("the host can be run");
    let codes = [open.status.code(), silent.status.code(), deaf.code()];
    (codes, String::from_utf8_lossy(&silent.stderr).into_owned())
}

#[test]
fn closed_stdout_ends_commands_silently_with_their_own_exit_code() {
    let dir = tempfile::tempdir().expect("a folder");
    let plugin = reduce_visit().display().to_string();
    std::fs::write(dir.path().join("bad.wasm"), "no plugin").expect("a file");
    std::fs::write(dir.path().join("in.txt"), "{\n".repeat(1000)).expect("a file");
    let case = r#"{"input": {"value": "{"}, "error": "other"}"#;
    std::fs::write(dir.path().join("c.jsonl"), format!("{case}\n").repeat(200)).expect("a file");
    for (args, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["run", "--help"], 0),
        (&["completions", "bash"], 0),
        (&["man"], 0),
        (&["check", &plugin], 0),
        (&["check", &plugin, "--json"], 0),
        (&["check", "bad.wasm"], 3),
        (&["test", &plugin, "--cases", "c.jsonl"], 1),
        (&["map", &plugin, "in.txt"], 10),
    ] {
        let (codes, err) = with_closed_streams(|| in_dir(dir.path(), args));
        assert_eq!(codes, [Some(code); 3], "{args:?}: {err}");
        assert!(!err.contains("panic") && !err.contains("Broken pipe"), "{args:?}: {err}");
    }
    let (codes, err) = with_closed_streams(|| in_dir(dir.path(), &["--no-such-flag"]));
    assert_eq!(codes, [Some(2); 3], "{err}");
}

#[test]
fn output_that_does_not_fit_on_a_disk_is_an_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let plugin = reduce_visit().display().to_string();
    for args in [&["check", &plugin][..], &["--help"], &["completions", "bash"]] {
        let full = File::options().write(true).open("/dev/full").expect("a full device");
        let output = in_dir(dir.path(), args).stdout(full).output().expect("the host can be run");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {err}");
        assert!(err.contains("failed to write to stdout: No space left on device"), "{args:?}: {err}");
    }
}

#[test]
fn host_without_readers_of_its_output_loses_no_record() {
    let job = Job::new(Kafka::shared(), "unread", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, (0..500).map(|_| topics::NewRecord::value("{")));
    let mut command = host::command(HOST);
    let folder = |name: &str| job.dir().join(name).display().to_string();
    command
        .args(["run", "--plugin", &reduce_visit().display().to_string(), "--brokers", job.kafka.brokers()])
        .args(["--input-topic", &job.input, "--output-topic", &job.output, "--dead-letter-topic", &job.dead_letters])
        .args(["--group", &job.group, "--state-dir", &folder("state"), "--cache-dir", &folder("cache")])
        .args(["--until-end", "--log-level", "debug"]);
    let code = command.stdin(Stdio::null()).stdout(closed()).stderr(closed()).status().expect("it can be run").code();
    assert_eq!(code, Some(0));
    assert_eq!(topics::read_all(job.kafka, &job.dead_letters).len(), 500);
}

#[test]
fn demo_ends_when_its_stdout_is_closed() {
    let mut command = host::command(HOST);
    command.args(["--plugin", &reduce_visit().display().to_string()]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut first = [0; 100];
    child.stdout.take().expect("a pipe").read_exact(&mut first).expect("a banner");
    let output = child.wait_with_output().expect("our child");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panic"));
}

#[test]
fn secret_in_a_wrong_argument_is_not_printed() {
    let plugin = reduce_visit().display().to_string();
    let base = ["run", "--plugin", &plugin, "--brokers", "127.0.0.1:1", "--connect-timeout", "1s"];
    for entries in [
        &["sasl.pasword=hunter2"][..],
        &["sasl.mechanism=hunter2", "security.protocol=sasl_ssl"],
        &["security.protocol=sasl_plaintext", "sasl.mechanism=PLAIN", "sasl.username=hunter2", "sasl.password=hunter2"],
        &["security.protocol=ssl", "ssl.key.pem=hunter2", "ssl.certificate.pem=hunter2"],
        &["security.protocol=ssl", "ssl.ca.location=hunter2"],
        &["security.protocol=ssl", "ssl.key.password=hunter2", "ssl.key.location=hunter2"],
        &["enable.ssl.certificate.verification=hunter2x"],
        &["sasl.oauthbearer.method=hunter2"],
    ] {
        let dir = tempfile::tempdir().expect("a folder");
        let flags = entries.iter().flat_map(|entry| ["--kafka", entry]);
        let mut command = host::command(HOST);
        command.env("MAPPER_STATE_DIR", dir.path()).args(base).args(flags).args(["--log-level", "debug"]);
        let output = command.output().expect("the host can be run");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(!output.status.success() && !text.contains("hunter2"), "{entries:?}: {text}");
    }
}
