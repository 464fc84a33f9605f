//! The admin API and the commands that call it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;

use harness::host::command;
use harness::kafka::Kafka;
use mapper_api::versions::{Step, SwapOutcome};
use mapper_versions::Trigger;

use super::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn args(more: &[&'static str]) -> Vec<&'static str> {
    ARGS.into_iter().chain(["--watch", "off"]).chain(more.iter().copied()).collect()
}

/// The status and the body of the answer to a request with these lines of headers.
pub(crate) fn ask(address: &str, request: &str, headers: &[&str], body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("a server");
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let head = format!("{request} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    stream.write_all(head.as_bytes()).expect("a request");
    // The server may close the connection before the whole request is sent.
    let _ = stream.write_all(body);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    (head.split(' ').nth(1).expect("a status").parse().expect("a number"), body.to_owned())
}

/// Runs one of the commands against this host; returns exit code, stdout and stderr.
fn run(host: &mut Host, args: &[&str]) -> (i32, String, String) {
    let address = crate::admin::address(host);
    run_at(args, &address)
}

fn run_at(args: &[&str], address: &str) -> (i32, String, String) {
    let mut command: Command = command(HOST);
    let output = command.args(args).args(["--admin", address]).output().expect("the host can be run");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
}

#[test]
fn swap_history_and_rollback_from_the_command_line() {
    let file = File::new("one");
    let job = job("commands", Kafka::shared(), &file.path());
    let mut host = job.start(&args(&[]));
    warm_up(&job, 20);
    let (two, bad) = (file.at("two.wasm"), file.at("bad.wasm"));
    fs::write(&two, version("two")).expect("a file");
    fs::write(&bad, version("rejects")).expect("a file");
    let (two, bad) = (two.display().to_string(), bad.display().to_string());

    let (code, stdout, _) = run(&mut host, &["swap", &two, "--dry-run"]);
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains("tried out on 20 records") && stdout.contains("20 different"), "{stdout}");
    assert!(stdout.contains("stays active (--dry-run)"), "{stdout}");
    // The old and the new verdict of one record.
    let lines: Vec<&str> = stdout.lines().collect();
    let old = lines.iter().position(|line| line.starts_with("    - one ")).expect("a difference");
    assert_eq!(lines[old].replace("- one", "+ two"), lines[old + 1], "{stdout}");
    assert_eq!(status(&mut host).current.digest, digest(&version("one")));

    let (code, stdout, stderr) = run(&mut host, &["swap", &bad]);
    assert_eq!(code, 3, "{stdout}");
    assert!(stderr.contains("refused at the step try-out: 20 of 20 records"), "{stderr}");
    assert!(stdout.contains("+ rejected: not today"), "{stdout}");

    let (code, stdout, stderr) = run(&mut host, &["swap", &two]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("swapped in") && stdout.contains("partition 0: from offset 10"), "{stdout}");
    let (_, stdout, _) = run(&mut host, &["swap", &two]);
    assert!(stdout.contains("is active already"), "{stdout}");

    warm_up(&job, 40);
    // Without a terminal there is no prompt, so the command only prints the plan and the flag.
    let (code, _, stderr) = run(&mut host, &["rollback"]);
    let one = digest(&version("one"));
    let prefix = &one[..12];
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains(&format!("({prefix}), last active since ")), "{stderr}");
    assert!(stderr.contains("--yes") && stderr.contains(&format!("--to {prefix}")), "{stderr}");
    assert_eq!(status(&mut host).current.digest, digest(&version("two")));
    let (code, stdout, stderr) = run(&mut host, &["rollback", "--yes"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("partition 1: from offset"), "{stdout}");
    let (code, _, stderr) = run(&mut host, &["rollback"]);
    assert_eq!(code, 3);
    assert!(stderr.contains("there is no version before this one"), "{stderr}");

    let (code, stdout, _) = run(&mut host, &["history"]);
    assert_eq!(code, 0);
    assert!(
        stdout.contains("by rollback; nothing to roll back to")
            && stdout.contains("by http")
            && stdout.contains("by start"),
        "{stdout}"
    );
    let (_, stdout, _) = run(&mut host, &["history", "--json"]);
    let terms: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(terms.as_array().map(Vec::len), Some(3));
    assert_eq!(terms[0]["current"], true);
    assert_eq!(terms[1]["digest"], digest(&version("two")));
    assert_eq!(terms[2]["offsets"]["0"][0]["from"], 0);
}

#[test]
fn rollback_after_an_automatic_rollback_needs_a_named_version() {
    let file = File::new("one");
    let job = job("further-back", Kafka::shared(), &file.path());
    let mut host = job.start(&args(&[]));
    warm_up(&job, 20);
    let swapper = client(&mut host);
    assert_eq!(swapper.swap(version("two"), false, false).expect("an answer").outcome, SwapOutcome::Swapped);
    assert_eq!(swapper.swap(version("traps"), false, true).expect("an answer").outcome, SwapOutcome::Swapped);
    produce(&job, "good", 2);
    wait_for("the rollback", || status(&mut host).last.is_some_and(|last| last.by == Trigger::Probation));
    let [one, two, traps] = ["one", "two", "traps"].map(|word| digest(&version(word))[..12].to_owned());
    for args in [&["rollback"][..], &["rollback", "--yes"]] {
        let (code, _, stderr) = run(&mut host, args);
        assert_eq!(code, 3, "{stderr}");
        assert!(stderr.contains("already rolled back") && stderr.contains(&traps), "{stderr}");
        assert!(stderr.contains(&format!("mapper-host rollback --to {one}")), "{stderr}");
    }
    // As over HTTP by a script that does not know of the automatic rollback.
    assert_eq!(swapper.rollback().expect("an answer").outcome, SwapOutcome::Refused);
    assert_eq!(status(&mut host).current.digest, digest(&version("two")));
    // All builds of this guest have the same version, so the version is ambiguous.
    let (code, _, stderr) = run(&mut host, &["rollback", "--to", "0.1.0"]);
    assert_eq!(code, 3, "{stderr}");
    assert!([&one, &two, &traps].into_iter().all(|digest| stderr.contains(digest.as_str())), "{stderr}");
    let (code, stdout, stderr) = run(&mut host, &["rollback", "--to", &one, "--json"]);
    assert_eq!(code, 0, "{stderr}");
    let report: serde_json::Value = serde_json::from_str(&stdout).expect("JSON, and nothing else");
    assert_eq!(report["outcome"], "swapped");
    assert_eq!(status(&mut host).current.digest, digest(&version("one")));
    // A version that failed is restored by its name, and has a new probation.
    let (code, _, stderr) = run(&mut host, &["rollback", "--to", &traps]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("it failed its probation: "), "{stderr}");
    produce(&job, "good", 2);
    wait_for("the rollback", || status(&mut host).last.is_some_and(|last| last.by == Trigger::Probation));
    let (_, stdout, _) = run(&mut host, &["history"]);
    assert!(stdout.contains("failed its probation: 1 of its first"), "{stdout}");
}

#[test]
fn restart_loads_the_plugin_file_and_keeps_the_rollback_target() {
    let file = File::new("one");
    let job = job("restart", Kafka::shared(), &file.path());
    let mut host = job.start(&args(&[]));
    warm_up(&job, 20);
    client(&mut host).swap(version("two"), false, false).expect("an answer");
    let ended = host.stop();
    assert!(!ended.output.contains("another version than the last run"), "{}", ended.output);
    let mut host = job.start(&args(&[]));
    host.wait_for("another version than the last run");
    assert_eq!(status(&mut host).current.digest, digest(&version("one")));
    // The version exists only in the state folder.
    let report = client(&mut host).rollback().expect("a way back");
    assert_eq!(report.outcome, SwapOutcome::Swapped, "{report:?}");
    assert_eq!(status(&mut host).current.digest, digest(&version("two")));
    assert_eq!(status(&mut host).by, Trigger::Rollback);
}

#[test]
fn changes_need_the_token_and_the_same_origin() {
    let file = File::new("one");
    let token = file.at("token");
    fs::write(&token, format!("{TOKEN}\n")).expect("a file");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).expect("a mode");
    let token = token.display().to_string();
    let job = job("token", Kafka::shared(), &file.path());
    let args: Vec<&str> = args(&[]).into_iter().chain(["--admin-token-file", token.as_str()]).collect();
    let mut host = job.start(&args);
    warm_up(&job, 20);
    let address = crate::admin::address(&mut host);
    let bytes = version("two");
    let (here, wasm) = (format!("host: {address}"), "content-type: application/wasm");
    let shown = format!("authorization: Bearer {TOKEN}");
    let status_of = |request: &str, headers: &[&str]| ask(&address, request, headers, &bytes).0;
    // Reading needs no token.
    crate::admin::wait_until_ready(&address);
    for path in ["/history", "/shadow", "/rollback?to=0.1.0", "/status", "/metrics", "/livez", "/readyz"] {
        assert_eq!(status_of(&format!("GET {path}"), &[&here]), 200, "{path}");
    }
    for request in ["POST /swap", "POST /rollback", "POST /shadow", "DELETE /shadow"] {
        assert_eq!(status_of(request, &[&here, wasm]), 401, "{request}");
        assert_eq!(status_of(request, &[&here, wasm, "authorization: Bearer 0123456789abcdef"]), 401, "{request}");
        assert_eq!(status_of(request, &[&here, wasm, &shown, "origin: http://evil.example"]), 403, "{request}");
        assert_eq!(status_of(request, &["host: evil.example", wasm, &shown]), 403, "{request}");
    }
    assert_eq!(status_of("GET /status", &["host: evil.example"]), 403);
    assert_eq!(status_of("POST /swap", &[&here, &shown]), 415);
    assert_eq!(status_of("POST /swap?file=/etc/passwd", &[&here, &shown, wasm]), 400);
    assert_eq!(status_of("GET /swap", &[&here]), 405);
    assert_eq!(ask(&address, "POST /swap", &[&here, &shown, wasm], b"").0, 400);
    let large = [here.as_str(), &shown, wasm, "content-length: 67108865"];
    let mut stream = TcpStream::connect(&address).expect("a server");
    write!(stream, "POST /swap HTTP/1.1\r\nconnection: close\r\n{}\r\n\r\n", large.join("\r\n")).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // A chunked body, whose size is not known before its end.
    let mut stream = TcpStream::connect(&address).expect("a server");
    let chunked = [here.as_str(), &shown, wasm, "transfer-encoding: chunked"].join("\r\n");
    write!(stream, "POST /swap HTTP/1.1\r\nconnection: close\r\n{chunked}\r\n\r\n").expect("a request");
    let chunk = vec![0; 1 << 20];
    // The server may answer and close before all is sent.
    let sent = (0..65).try_for_each(|_| {
        write!(stream, "{:x}\r\n", chunk.len())?;
        stream.write_all(&chunk)?;
        write!(stream, "\r\n")
    });
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer:?} ({sent:?}, {read:?})");
    assert_eq!(ask(&address, "POST /swap", &[&here, &shown, wasm], b"not a plugin").0, 422);
    assert_eq!(status_of("POST /swap", &[&here, &shown, wasm]), 200);
    // The commands show it, too.
    let (code, _, stderr) = run(&mut host, &["rollback", "--yes"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("--admin-token-file"), "{stderr}");
    let (code, _, stderr) = run(&mut host, &["rollback", "--yes", "--admin-token-file", &token]);
    assert_eq!(code, 0, "{stderr}");
    let (code, _, stderr) = run_at(&["history"], "127.0.0.1:1");
    assert_eq!(code, 1);
    assert!(stderr.contains("Check that a host runs there"), "{stderr}");
}

#[test]
fn concurrent_swap_is_refused() {
    let file = File::new("one");
    let job = job("at-once", Kafka::shared(), &file.path());
    // The duration of the first swap.
    let mut host = job.start(&args(&["--record-timeout", "10s"]));
    warm_up(&job, 20);
    let address = crate::admin::address(&mut host);
    // Incomplete uploads do not block other swaps.
    let begin = |_| {
        let mut stream = TcpStream::connect(&address).expect("a server");
        let head = format!("host: {address}\r\ncontent-type: application/wasm\r\ncontent-length: 1000000\r\n\r\n");
        write!(stream, "POST /swap HTTP/1.1\r\n{head}half").expect("a request");
        stream
    };
    let _uploads: Vec<TcpStream> = (0..6).map(begin).collect();
    let url = url(&mut host);
    let slow = thread::spawn(move || Client::new(&url, None).expect("a client").swap(version("endless"), false, false));
    wait_for("the first swap to begin", || status(&mut host).swapping.is_some());
    let here = format!("host: {address}");
    let (code, body) = ask(&address, "POST /swap", &[&here, "content-type: application/wasm"], &version("two"));
    assert_eq!(code, 409, "{body}");
    assert!(body.contains("another swap is in progress"), "{body}");
    let (code, body) = ask(&address, "POST /rollback", &[&here], b"");
    assert_eq!(code, 409, "{body}");
    let first = slow.join().expect("no panic").expect("an answer");
    assert_eq!(first.outcome, SwapOutcome::Refused);
    assert_eq!(client(&mut host).swap(version("two"), false, false).expect("an answer").outcome, SwapOutcome::Swapped);
}

/// A worker that is busy with a record takes the new version later: the response does not wait for it.
#[test]
fn swap_is_answered_before_a_busy_worker_takes_it() {
    let file = File::new("sleeps");
    let job = job("kept", Kafka::shared(), &file.path());
    let mut host = job.start(&args(&["--record-timeout", "10m"]));
    let address = crate::admin::address(&mut host);
    crate::admin::wait_until_ready(&address);
    // The records keep one worker busy for two minutes.
    let records = [0, 0].map(|partition| NewRecord::value("good").partition(partition));
    topics::produce(job.kafka, &job.input, records);
    wait_for("a record to be mapped", || {
        let workers = crate::admin::status(&address)["workers"].clone();
        workers.as_array().is_some_and(|workers| workers.iter().any(|worker| worker["activity"] == "mapping"))
    });
    let here = format!("host: {address}");
    let (code, body) = ask(&address, "POST /swap", &[&here, "content-type: application/wasm"], &version("two"));
    assert_eq!(code, 202, "{body}");
    assert!(body.contains("1 of 2 workers have not ended their transaction yet"), "{body}");
    assert_eq!(status(&mut host).swapping, Some(Step::Switch));
    // The other worker already has the new version.
    topics::produce(job.kafka, &job.input, [NewRecord::value("good").partition(1)]);
    let made = topics::read_until(job.kafka, &job.output, 1, SOON).remove(0);
    assert!(made.value.is_some_and(|value| value.starts_with(b"two 1 0")));
}

#[test]
fn swap_during_a_shutdown_is_refused() {
    let file = File::new("one");
    let job = job("ending", Kafka::shared(), &file.path());
    let mut host = job.start(&args(&["--record-timeout", "2s"]));
    warm_up(&job, 20);
    let url = url(&mut host);
    let slow = thread::spawn(move || Client::new(&url, None).expect("a client").swap(version("endless"), false, false));
    wait_for("the swap to begin", || status(&mut host).swapping.is_some());
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    // The swap thread ends before the host, or is abandoned; then the response may be cut off.
    let refused = ended.output.contains("refused the swap; the old version stays active");
    let left = ended.output.contains("ended without waiting for the swap in progress");
    assert!(refused != left, "{}", ended.output);
    if let Ok(report) = slow.join().expect("no panic") {
        assert_eq!((report.outcome, refused), (SwapOutcome::Refused, true), "{report:?}");
    }
    let active = history(&job).last().map(|last| last.version.digest.clone());
    assert_eq!(active, Some(digest(&version("one"))));
}

#[test]
fn public_admin_address_needs_a_token() {
    let mut command = command(HOST);
    let output = command.args(["--plugin", "p.wasm", "--admin", "0.0.0.0:0"]).output().expect("the host can be run");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--admin-token-file"), "{stderr}");
}

#[test]
fn outputs_have_provenance_headers_with_provenance() {
    let file = File::new("one");
    let job = job("provenance", Kafka::shared(), &file.path());
    let mut host = job.start(&args(&["--provenance", "headers"]));
    // The provenance headers of another host are replaced.
    let record = NewRecord::value("good").header("mapper-host.plugin.digest", "old").header("kept", "yes");
    topics::produce(job.kafka, &job.input, [record.partition(0)]);
    topics::read_until(job.kafka, &job.output, 1, SOON);
    client(&mut host).swap(version("two"), false, false).expect("an answer");
    warm_up(&job, 2);
    topics::read_until(job.kafka, &job.output, 3, SOON);
    for record in topics::read_all(job.kafka, &job.output) {
        let by_one = is_by("one", &record);
        let of = |name: &str| -> Vec<String> {
            let all = record.headers.iter().filter(|(known, _)| known == name);
            all.map(|(_, value)| String::from_utf8(value.clone().expect("a value")).expect("text")).collect()
        };
        let expected = digest(&version(if by_one { "one" } else { "two" }));
        assert_eq!(of("mapper-host.plugin.digest"), [expected]);
        assert_eq!(of("mapper-host.plugin.version"), ["0.1.0"]);
        assert_eq!(of("kept").len(), usize::from(by_one));
    }
}

#[test]
fn watched_build_is_swapped_in_if_its_cases_pass() {
    let file = File::new("one");
    let job = job("build", Kafka::shared(), &file.path());
    let mut host = job.start(&args(&[]));
    warm_up(&job, 20);
    let (url, built) = (url(&mut host), file.at("built.wasm").display().to_string());
    let (cases, skipped) = (file.at("built.cases.jsonl"), r#"{"input": {"value": "good"}, "skipped": true}"#);
    fs::write(&cases, skipped).expect("a file");
    let project = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/guests/versions");
    let mut watching =
        Host::spawn(command(HOST).args(["build", project, "--output", &built, "--watch", "--swap", &url]));
    watching.wait_for("0 passed, 1 failed");
    watching.wait_for("waiting for changes");
    assert_eq!(status(&mut host).last, None);
    fs::write(&cases, skipped.replace("\"skipped\": true", "\"output\": {}")).expect("a file");
    watching.wait_for("1 passed, 0 failed");
    watching.wait_for("swapped in");
    assert_eq!(status(&mut host).current.digest, digest(&version("plain")));
    watching.kill();
}
