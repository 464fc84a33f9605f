//! Try-outs and redrives over HTTP.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use harness::host::Host;
use harness::topics::{self, NewRecord};
use serde_json::{Value, json};

use super::super::redrive::Redrive;
use super::super::{group_of, json as from_command, reference_job};
use super::{Api, parsed, start};
use crate::swap::version;

const SOON: Duration = Duration::from_secs(60);
const WASM: &str = "content-type: application/wasm";
const SLOW: &str = "/redrives?rate=4/s";

impl Api {
    /// Sends a plugin, or none.
    fn send_plugin(&self, path: &str, word: Option<&str>) -> (u16, Value) {
        let request = format!("POST {path}");
        parsed(match word {
            Some(word) => self.send(&request, &[WASM], &version(word)),
            None => self.send(&request, &[], b""),
        })
    }

    /// Starts a redrive. Returns its id.
    fn start_redrive(&self, path: &str, word: Option<&str>) -> String {
        let (status, redrive) = self.send_plugin(path, word);
        assert_eq!(status, 202, "{path}: {redrive:#}");
        redrive["id"].as_str().expect("an id").to_owned()
    }

    fn redrive(&self, id: &str) -> Value {
        self.found(&format!("/redrives/{id}"))
    }

    fn wait(&self, id: &str, what: &str, reached: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + SOON;
        loop {
            let now = self.redrive(id);
            if reached(&now) {
                return now;
            }
            assert!(Instant::now() < deadline, "{what}: {now:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_for_state(&self, id: &str, state: &str) -> Value {
        self.wait(id, state, |now| now["state"] == state)
    }

    /// The events of a redrive: their names and data, until the server ends the stream.
    fn events(&self, id: &str) -> Vec<(String, Value)> {
        let mut stream = TcpStream::connect(&self.address).expect("a server");
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        let headers = self.headers.join("\r\n");
        write!(stream, "GET /redrives/{id}/events HTTP/1.1\r\nconnection: close\r\n{headers}\r\n\r\n")
            .expect("a request");
        let (mut events, mut name) = (Vec::new(), String::new());
        let mut is_stream = false;
        for line in BufReader::new(stream).lines() {
            let line = line.expect("an event");
            is_stream |= line == "content-type: text/event-stream";
            if let Some(given) = line.strip_prefix("event: ") {
                given.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                events.push((name.clone(), serde_json::from_str(data).expect("JSON")));
            }
        }
        assert!(is_stream, "not a stream of events: {events:?}");
        events
    }
}

/// A running host whose version has failed on the records with even offsets.
fn running(name: &str, records: usize, args: &[&str]) -> (Redrive, Host, Api) {
    let test = Redrive::new(name, records);
    let plugin = test.plugin("rejects-some");
    let always = ["--plugin", &plugin, "--workers", "1", "--commit-interval", "20ms", "--watch", "off"];
    let (host, api) = start(&test.job, &[&always, args].concat());
    (test, host, api)
}

#[test]
fn story_from_a_group_to_its_redrive_over_http() {
    let job = reference_job("api-story");
    let (_host, api) = start(&job, &[]);
    let group = group_of(&api.found("/dead-letters/groups"), "fromisoformat: argument must be str");
    let shown = api.found(&format!("/dead-letters/groups/{group}"));
    let count = shown["count"].as_u64().expect("a number");
    assert_eq!(api.send(&format!("GET /dead-letters/cases?group={group}"), &[], b"").1.lines().count(), 20);
    let outputs = || topics::read_all(job.kafka, &job.output).len() as u64;
    let before = outputs();

    let (status, tried) = api.send_plugin(&format!("/dead-letters/try?group={group}"), Some("plain"));
    assert_eq!((status, &tried["letters"], &tried["passed"]), (200, &count.into(), &count.into()), "{tried:#}");
    assert_eq!(tried["left_out"], json!({"exhausted": 0, "lost": 0, "stale": 0}));
    let (status, tried) = api.send_plugin(&format!("/redrives?group={group}&dry-run=true&limit=10"), None);
    assert_eq!((status, &tried["letters"], &tried["failed_as_before"]), (200, &10.into(), &10.into()), "{tried:#}");
    assert_eq!((outputs(), api.found("/redrives")), (before, json!([])), "a try-out writes nothing");

    let id = api.start_redrive(&format!("/redrives?group={group}"), Some("plain"));
    let events = api.events(&id);
    let (last, others) = events.split_last().expect("events");
    assert_eq!((last.0.as_str(), &last.1["state"]), ("ended", &"finished".into()), "{events:#?}");
    assert!(others.iter().all(|(name, _)| name == "progress"), "{events:#?}");
    let done: Vec<u64> = events.iter().filter_map(|(_, now)| now["progress"]["done"].as_u64()).collect();
    assert!(done.is_sorted() && done.last() == Some(&count), "{done:?}");
    assert_eq!(outputs(), before + count, "each letter has one output");
    assert_eq!(api.redrive(&id), last.1);
    let left = from_command(&job, &["groups"]);
    assert!(left["groups"].as_array().expect("groups").iter().all(|found| found["fingerprint"] != *group), "{left:#}");
    assert_eq!(left["letters"]["closed"], count);
    // Nothing is left: a redrive of it ends at once.
    let id = api.start_redrive(&format!("/redrives?group={group}"), Some("plain"));
    assert_eq!(api.events(&id).last().map(|(_, now)| now["progress"]["letters"].clone()), Some(0.into()));
    assert_eq!(outputs(), before + count);
}

#[test]
fn second_redrive_is_refused_wherever_the_first_runs_and_a_stopped_one_continues() {
    let (test, host, api) = running("api-two", 120, &[]);
    let open = test.open_letters();
    let first = api.start_redrive(SLOW, Some("plain"));
    let (status, error) = api.send_plugin("/redrives", Some("plain"));
    let why = error["reason"].as_str().unwrap_or_default();
    assert!(status == 409 && why.contains(&first) && why.contains("started by http@"), "{status} {error:#}");
    let ended = test.redrive("plain", &[]);
    assert!(ended.output.contains(&format!("process {}", host.id())), "{}", ended.output);

    api.wait(&first, "a transaction", |now| now["progress"]["done"].as_u64() > Some(0));
    let (status, stopping) = parsed(api.send(&format!("DELETE /redrives/{first}"), &[], b""));
    assert!(status == 202 && stopping["state"] == "stopping", "{status} {stopping:#}");
    let stopped = api.wait_for_state(&first, "stopped");
    let done = stopped["progress"]["done"].as_u64().expect("a number");
    assert_eq!(test.open_letters(), open - done);
    assert_eq!(parsed(api.send(&format!("DELETE /redrives/{first}"), &[], b"")).0, 200);

    // A command has the claim now.
    let plugin = test.plugin("plain");
    let mut command = test.spawn(&["redrive", "--plugin", &plugin, "--rate", "2/s", "--commit-interval", "20ms"]);
    command.wait_for("\"progress\"");
    let (status, error) = api.send_plugin("/redrives", Some("plain"));
    let why = error["reason"].as_str().unwrap_or_default();
    assert!(status == 409 && why.contains(&format!("process {}", command.id())), "{status} {error:#}");
    assert_eq!(api.found("/redrives").as_array().map(Vec::len), Some(1), "a redrive that did not begin is not kept");
    command.signal(2);
    command.wait();

    let last = api.start_redrive("/redrives", Some("plain"));
    assert_eq!(api.events(&last).last().map(|(_, now)| now["state"].clone()), Some("finished".into()));
    assert_eq!((test.outputs().len(), test.open_letters()), (120, 0));
}

#[test]
fn redrive_waits_between_batches_for_the_answer() {
    let (test, _host, api) = running("api-batches", 60, &[]);
    let open = test.open_letters();
    let id = api.start_redrive("/redrives?batches=3,4,all", Some("plain"));
    for done in [3, 7] {
        let waiting = api.wait(&id, "a batch", |now| now["state"] == "waiting" && now["progress"]["done"] == done);
        assert_eq!(test.open_letters(), open - done, "{waiting:#}");
        let (status, _) = api.send_plugin(&format!("/redrives/{id}/continue"), None);
        assert_eq!(status, 200);
    }
    api.wait_for_state(&id, "finished");
    let (status, error) = api.send_plugin(&format!("/redrives/{id}/continue"), None);
    let why = error["reason"].as_str().unwrap_or_default();
    assert!(status == 409 && why.contains("does not wait for an answer: it is finished"), "{status} {error:#}");
    assert_eq!((test.outputs().len(), test.open_letters()), (60, 0));
    let (status, error) = api.get("/redrives/7");
    assert!(status == 404 && error["reason"].as_str().is_some_and(|why| why.contains("no redrive \"7\"")), "{error}");
    let (status, error) = parsed(api.send("POST /redrives", &[WASM], b"not a plugin"));
    assert!(status == 422 && error["step"] == "compile", "{status} {error:#}");
    let (status, error) = api.send_plugin("/redrives?to-input=true", Some("plain"));
    assert!(
        status == 400 && error["reason"].as_str().is_some_and(|why| why.contains("leave out the plugin")),
        "{error}"
    );
}

#[test]
fn active_version_redrives_and_a_swap_during_a_redrive_changes_only_the_pipeline() {
    let (test, _host, api) = running("api-swap", 80, &[]);
    let open = test.open_letters();
    let id = api.start_redrive("/redrives?rate=20/s&limit=20", Some("plain"));
    let (status, report) = api.send_plugin("/swap?force=true", Some("two"));
    assert!(matches!(status, 200 | 202), "{status} {report:#}");
    topics::produce(test.job.kafka, &test.job.input, (0..10).map(|number| NewRecord::value(format!("new {number}"))));
    let finished = api.wait_for_state(&id, "finished");
    assert_eq!((&finished["progress"]["done"], &finished["version"]["digest"]), (&20.into(), &digest("plain").into()));
    let words = |word: &str| test.outputs().values().filter(|found| *found == word).count();
    assert_eq!(words("plain"), 20);
    // Without a body, the version that the workers have by now.
    let id = api.start_redrive("/redrives", None);
    let finished = api.wait_for_state(&id, "finished");
    assert_eq!(finished["version"]["digest"], digest("two"));
    let deadline = Instant::now() + SOON;
    while test.outputs().len() < 90 {
        assert!(Instant::now() < deadline, "{} outputs", test.outputs().len());
    }
    assert_eq!((words("plain"), words("two"), test.open_letters()), (20, open as usize - 20 + 10, 0));
}

fn digest(word: &str) -> String {
    mapper_core::identity::Digest::hash_bytes(&version(word)).to_string()
}

#[test]
fn ending_host_stops_its_redrive_after_the_open_transaction() {
    let (test, host, api) = running("api-shutdown", 60, &[]);
    let id = api.start_redrive(SLOW, Some("plain"));
    api.wait(&id, "a transaction", |now| now["progress"]["done"].as_u64() > Some(0));
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(ended.output.contains("the redrive ended") && ended.output.contains("stopped"), "{}", ended.output);
    // The claim is released, and nothing is left half done.
    let rest = test.redrive("plain", &[]);
    assert_eq!(rest.code, Some(0), "{}", rest.output);
    assert_eq!((test.outputs().len(), test.open_letters()), (60, 0));
}

#[test]
fn client_that_goes_away_does_not_end_a_redrive() {
    let (test, _host, api) = running("api-gone", 40, &[]);
    let id = api.start_redrive(SLOW, Some("plain"));
    let mut stream = TcpStream::connect(&api.address).expect("a server");
    let headers = api.headers.join("\r\n");
    write!(stream, "GET /redrives/{id}/events HTTP/1.1\r\n{headers}\r\n\r\n").expect("a request");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("an answer");
    assert!(line.contains("200"), "{line}");
    api.wait_for_state(&id, "finished");
    assert_eq!((test.outputs().len(), test.open_letters()), (40, 0));
}

#[test]
fn changes_of_letters_need_the_token() {
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    let dir = tempfile::tempdir().expect("a folder");
    let token = dir.path().join("token");
    std::fs::write(&token, TOKEN).expect("a file");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    let token = token.display().to_string();
    let (test, _host, api) = running("api-token", 20, &["--admin-token-file", &token]);
    let open = test.open_letters();
    let groups = api.found("/dead-letters/groups");
    let group = groups["groups"][0]["fingerprint"].as_str().expect("a fingerprint");
    let bearer = format!("authorization: Bearer {TOKEN}");
    let status_of = |request: &str, headers: &[&str]| api.send(request, headers, &version("plain")).0;
    for request in [
        &*format!("POST /dead-letters/groups/{group}/acknowledge"),
        &*format!("POST /dead-letters/groups/{group}/resolve"),
        &*format!("POST /dead-letters/groups/{group}/mute"),
        &*format!("POST /dead-letters/groups/{group}/reopen"),
        "POST /dead-letters/discard?kind=rejected",
        "POST /dead-letters/try",
        "POST /redrives",
        "POST /redrives/1/continue",
        "DELETE /redrives/1",
    ] {
        assert_eq!(status_of(request, &[WASM]), 401, "{request}");
        assert_eq!(status_of(request, &[WASM, &bearer, "origin: http://evil.example"]), 403, "{request}");
    }
    for path in ["/dead-letters", "/dead-letters/groups", "/redrives"] {
        assert_eq!(api.get(path).0, 200, "{path}");
    }
    assert_eq!((test.open_letters(), api.found("/redrives")), (open, json!([])));
    assert_eq!(status_of("POST /redrives", &[WASM, &bearer]), 202);
}
