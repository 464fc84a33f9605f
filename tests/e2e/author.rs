//! The commands of a plugin author without Kafka: from `mapper-host new` to a mapper that passes its cases.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use harness::host::{self, Host};

use crate::HOST;

/// The host in a folder. Its builds share compiled dependencies and do not use the network.
pub(crate) fn in_dir(dir: &Path, args: &[&str]) -> Command {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/new-projects");
    let mut command = host::command(HOST);
    command.current_dir(dir).args(args).env("CARGO_NET_OFFLINE", "true").env("CARGO_TARGET_DIR", target);
    command.env("MAPPER_CACHE_DIR", dir.join(".cache"));
    command
}

/// Exit code, stdout and stderr.
pub(crate) fn ended(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

pub(crate) fn run(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    ended(in_dir(dir, args).output().expect("the host can be run"))
}

/// With something on standard input.
pub(crate) fn pipe(dir: &Path, args: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let mut command = in_dir(dir, args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the host can be run");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    // The process may end before it has read all of its input.
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("our child");
    writer.join().expect("the writer ends");
    ended(output)
}

fn lines(dir: &Path, name: &str, lines: &[&str]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, lines.join("\n") + "\n").expect("a file");
    path
}

#[test]
fn new_rust_project_is_tested_built_and_mapped_offline() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let (code, out, err) = run(dir, &["new", "my-mapper", "--lang", "rust"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("cd my-mapper\n    mapper-host test\n    mapper-host build ."), "{out}");
    let project = dir.join("my-mapper");
    let (code, _, err) = run(dir, &["new", "my-mapper", "--lang", "rust"]);
    assert!(code == Some(2) && err.contains("No file was overwritten"), "{err}");

    let cargo = |args: &[&str]| {
        let mut command = Command::new("cargo");
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/new-projects");
        command.current_dir(&project).args(args).env("CARGO_NET_OFFLINE", "true").env("CARGO_TARGET_DIR", target);
        let output = command.output().expect("cargo");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    cargo(&["fmt", "--check"]);
    cargo(&["test", "--locked"]);

    let (code, out, err) = run(&project, &["test"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(
        out,
        "ok      a visit is reduced, under its key  (cases.jsonl:1)\n\
         ok      a visit without a time goes to the dead letters  (cases.jsonl:2)\n\
         ok      a tombstone is skipped  (cases.jsonl:3)\n\
         3 passed, 0 failed\n"
    );
    let (code, out, err) = run(&project, &["build", "."]);
    assert_eq!((code, out.as_str()), (Some(0), "my-mapper.wasm\n"), "{err}");
    let visit = br#"{"visit_id": 1, "event_time": "2023-11-01T00:00:00", "page": "home"}"#;
    let (code, out, err) = pipe(&project, &["map", "my-mapper.wasm"], visit);
    assert_eq!(
        (code, out.as_str()),
        (Some(0), "{\"visit_id\":1,\"event_time\":1698796800,\"page\":\"home\"}\n"),
        "{err}"
    );

    // The compiler error is shown, and the exit code is that of an unusable plugin.
    std::fs::write(project.join("src/lib.rs"), "mistake!();").expect("a file");
    let (code, _, err) = run(&project, &["test"]);
    assert!(code == Some(3) && err.contains("cannot find macro `mistake`"), "{err}");
}

#[test]
fn failed_cases_are_shown_and_can_be_blessed() {
    let plugin = crate::reduce_visit().display().to_string();
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let visit = r#"{"visit_id": 1, "event_time": "2023-11-01", "page": "home"}"#;
    let wrong = format!(
        r#"{{"name": "page", "input": {{"value": {visit}}}, "output": {{"value": {{"visit_id": 1, "event_time": 1698796800, "page": "main"}}}}}}"#
    );
    let cases = lines(
        dir,
        "cases.jsonl",
        &[
            &wrong,
            r#"{"name": "words", "input": {"value": {"visit_id": 1, "event_time": null, "page": 1}}, "error": "no time"}"#,
            r#"{"input": {"value": null}, "error_matches": "^the record has no value"}"#,
        ],
    );
    let cases = cases.display().to_string();
    let (code, out, err) = run(dir, &["test", &plugin, "--cases", "cases.jsonl", "--junit", "report.xml"]);
    assert_eq!(code, Some(1), "{err}");
    assert_eq!(
        out,
        r#"FAILED  page  (cases.jsonl:1)
            "output": {
              "value": {
                "event_time": 1698796800,
        -       "page": "main",
        +       "page": "home",
                "visit_id": 1
              }
            }
FAILED  words  (cases.jsonl:2)
          {
        -   "error": "no time",
        +   "error": "fromisoformat: argument must be str",
            "kind": "rejected"
          }
ok      cases.jsonl:3

- expected, + actual
1 passed, 2 failed
"#
    );
    let report = std::fs::read_to_string(dir.join("report.xml")).expect("the report");
    assert!(report.contains(r#"tests="3" skipped="0" failures="2" errors="0""#), "{report}");
    assert!(report.contains("fromisoformat: argument must be str"), "{report}");

    let (code, out, _) = run(dir, &["test", &plugin, "--cases", &cases, "--filter", "words"]);
    assert!(code == Some(1) && out.ends_with("0 passed, 1 failed\n"), "{out}");
    let (code, out, _) = run(dir, &["test", &plugin, "--cases", &cases, "--filter", "words", "--bless"]);
    assert!(code == Some(0) && out.ends_with("0 passed, 1 blessed\n"), "{out}");
    assert!(out.starts_with("blessed  words  (") && !out.contains("FAILED"), "{out}");
    let (code, out, _) = run(dir, &["test", &plugin, "--cases", &cases]);
    assert!(code == Some(1) && out.ends_with("2 passed, 1 failed\n"), "{out}");
    let blessed = std::fs::read_to_string(&cases).expect("the cases");
    assert!(
        blessed.starts_with(&wrong) && blessed.contains(r#""error": "fromisoformat: argument must be str"}"#),
        "{blessed}"
    );
}

#[test]
fn each_cause_that_prevents_cases_from_running_has_its_exit_code() {
    let plugin = crate::reduce_visit().display().to_string();
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    lines(dir, "cases.jsonl", &[r#"{"input": {"value": 1}, "output": {}}"#]);
    lines(dir, "wrong.jsonl", &["", r#"{"input": {"vale": 1}}"#]);
    lines(dir, "settings.jsonl", &[r#"{"settings": {"a": "1"}, "input": {"value": 1}, "output": {}}"#]);
    for (args, code, words) in [
        (&["test", &plugin, "--cases", "none.jsonl"][..], 2, "none.jsonl: No such file"),
        (
            &["test", &plugin, "--cases", "wrong.jsonl"],
            2,
            "wrong.jsonl, line 2: \"input\": unknown key \"vale\"; did you mean \"value\"?",
        ),
        (&["test", &plugin, "--cases", "cases.jsonl", "--filter", "xyz"], 2, "no case matches --filter \"xyz\""),
        (
            &["test", &plugin, "--cases", "cases.jsonl", "--set", "a=1"],
            3,
            "unknown setting 'a': this mapper has no settings",
        ),
        (&["test", &plugin, "--cases", "settings.jsonl"], 3, "unknown setting 'a'"),
        (&["test", "elsewhere/none.wasm"], 2, "no cases found: no elsewhere/none.cases.jsonl"),
        (&["test", "."], 3, "it has no Cargo.toml"),
        (&["test", &plugin, "--cases", "cases.jsonl", "--memory-limit", "1"], 2, "--memory-limit"),
        (&["map", "none.wasm"], 3, "none.wasm"),
        (&["map", &plugin, "none.jsonl"], 2, "none.jsonl: No such file"),
        (&["map", &plugin, "--format", "json"], 2, "give value, record or dead-letter"),
        (&["map", &plugin, "--from-topic", "x"], 2, "--brokers localhost:9092"),
        (&["new", "x", "--lang", "rst"], 2, "did you mean rust?"),
        (&["new", "X", "--lang", "rust"], 2, "invalid project name: \"X\""),
    ] {
        let (seen, _, err) = pipe(dir, args, b"");
        assert_eq!(seen, Some(code), "{args:?}: {err}");
        assert!(err.contains(words), "{args:?}: {err}");
    }
}

#[test]
fn cases_are_found_beside_the_plugin_or_in_folders() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    std::fs::copy(crate::reduce_visit(), dir.join("r.wasm")).expect("a copy");
    lines(dir, "r.cases.jsonl", &[r#"{"input": {"value": null}, "error": "the record has no value (a tombstone)"}"#]);
    let (code, out, err) = run(dir, &["test", "r.wasm"]);
    assert_eq!((code, out.as_str()), (Some(0), "ok      r.cases.jsonl:1\n1 passed, 0 failed\n"), "{err}");
    lines(dir, "cases.jsonl", &[r#"{"input": {"value": "{"}, "error_matches": "not a visit"}"#]);
    let (code, out, err) = run(dir, &["test", "r.wasm"]);
    let expected = "ok      r.cases.jsonl:1\nok      cases.jsonl:1\n2 passed, 0 failed\n";
    assert_eq!((code, out.as_str()), (Some(0), expected), "{err}");
    std::fs::create_dir(dir.join("all")).expect("a folder");
    for name in ["all/b.jsonl", "all/a.jsonl", "all/not.txt"] {
        lines(dir, name, &[r#"{"input": {"value": null}, "error_matches": "tombstone"}"#]);
    }
    let (code, out, err) = run(dir, &["test", "r.wasm", "--cases", "all"]);
    let expected = "ok      all/a.jsonl:1\nok      all/b.jsonl:1\n2 passed, 0 failed\n";
    assert_eq!((code, out.as_str()), (Some(0), expected), "{err}");
}

#[test]
fn terminal_shows_colours_and_progress() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let plugin = crate::reduce_visit().display().to_string();
    let good = r#"{"input": {"value": "{"}, "error_matches": "."}"#;
    lines(dir, "cases.jsonl", &[good, &good.replace("error_matches", "error")]);
    let test = ["test", &plugin, "--cases", "cases.jsonl"];
    let ended = Host::spawn_at_terminal(in_dir(dir, &test), true).wait();
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains("\x1b[32m") && ended.output.contains("\x1b[31m"), "{:?}", ended.output);
    let mut plain = in_dir(dir, &test);
    plain.env("NO_COLOR", "1");
    let ended = Host::spawn_at_terminal(plain, true).wait();
    assert!(ended.output.contains("1 passed, 1 failed") && !ended.output.contains("\x1b["), "{:?}", ended.output);

    let visit = r#"{"visit_id": "1", "event_time": "2023-11-01T00:00:00Z", "page": "home"}"#;
    lines(dir, "large.jsonl", &vec![visit; 150_000]);
    let map = ["map", &plugin, "large.jsonl"];
    let ended = Host::spawn_at_terminal(in_dir(dir, &map), false).wait();
    assert!(ended.code == Some(0) && ended.output.contains(" left"), "{:?}", ended.output);
    // A progress line would be between the outputs.
    let ended = Host::spawn_at_terminal(in_dir(dir, &map), true).wait();
    assert!(ended.code == Some(0) && !ended.output.contains(" left"));
}

#[test]
fn cases_with_a_byte_order_mark_and_crlf_are_read_and_blessed() {
    let plugin = crate::reduce_visit().display().to_string();
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let cases = "\u{feff}{\"input\": {\"value\": null}, \"error\": \"x\"}\r\n{\"input\": {\"value\": null}, \"error_matches\": \"tombstone\"}\r\n";
    std::fs::write(dir.join("cases.jsonl"), cases).expect("a file");
    let (code, out, err) = run(dir, &["test", &plugin, "--cases", "cases.jsonl"]);
    assert!(code == Some(1) && out.ends_with("1 passed, 1 failed\n"), "{out}{err}");
    let (code, out, err) = run(dir, &["test", &plugin, "--cases", "cases.jsonl", "--bless"]);
    assert!(code == Some(0) && out.ends_with("1 passed, 1 blessed\n"), "{out}{err}");
    let blessed = std::fs::read_to_string(dir.join("cases.jsonl")).expect("the cases");
    assert_eq!(blessed, cases.replace("\"x\"", "\"the record has no value (a tombstone)\""));
    let utf_16: Vec<u8> = std::iter::once(0xfeff).chain("{}".encode_utf16()).flat_map(u16::to_le_bytes).collect();
    for file in ["cases.jsonl", "settings.toml"] {
        std::fs::write(dir.join(file), &utf_16).expect("a file");
    }
    for args in [
        &["test", &plugin, "--cases", "cases.jsonl"][..],
        &["map", &plugin, "cases.jsonl"],
        &["run", "--plugin", &plugin, "--config", "settings.toml"],
    ] {
        let (code, _, err) = run(dir, args);
        assert!(
            code == Some(2)
                && err.contains("not UTF-8: the byte order mark of UTF-16")
                && err.contains("iconv -f UTF-16 -t UTF-8"),
            "{args:?}: {err}"
        );
    }
}

#[test]
fn bare_rust_project_has_no_visits_and_its_cases_pass() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let (code, out, err) = run(dir, &["new", "bare-mapper", "--lang", "rust", "--bare"]);
    assert!(code == Some(0) && out.contains("it passes each record on as it is"), "{out}{err}");
    let project = dir.join("bare-mapper");
    let mut cargo = Command::new("cargo");
    let formatted = cargo.current_dir(&project).args(["fmt", "--check"]).output().expect("cargo");
    assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stdout));
    let (code, out, err) = run(&project, &["test"]);
    assert!(code == Some(0) && out.ends_with("2 passed, 0 failed\n"), "{out}{err}");
}
