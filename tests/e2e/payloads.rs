//! `--admin-payloads`: no answer of the admin server has record data that is hidden, whatever the route.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use harness::host::Job;
use harness::kafka::Kafka;
use harness::topics::{self, NewRecord};
use serde_json::{Value, json};

use crate::swap::http::ask;
use crate::swap::version;
use crate::{HOST, admin};

/// In the key, the value, a header, an output, a message and a line of the log. Its length is a multiple of 3, so that its base64 is a part of
/// longer base64.
const SECRET: &str = "sentinel-777";

fn has_secret(text: &str) -> bool {
    text.contains(SECRET) || text.contains(&BASE64_STANDARD.encode(SECRET))
}

fn records() -> Vec<NewRecord> {
    let key = [b"\xff\xfe\xfd", SECRET.as_bytes()].concat();
    let json = format!("keep {{\"user\": \"{SECRET}\"}}");
    let values = [format!("value {SECRET}"), json, format!("reject {SECRET}"), format!("panic {SECRET}")];
    let record = |value: String| NewRecord::value(value.into_bytes()).key(key.clone()).header("trace", SECRET);
    values.into_iter().map(record).collect()
}

/// A host with a mode, after it has mapped the records once more.
struct Api {
    address: String,
}

impl Api {
    fn get(&self, path: &str) -> (u16, String) {
        admin::get(&self.address, path)
    }

    fn found(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    fn post(&self, path: &str, content_type: &str, body: &[u8]) -> (u16, String) {
        let (host, content_type) = (format!("host: {}", self.address), format!("content-type: {content_type}"));
        ask(&self.address, &format!("POST {path}"), &[&host, &content_type], body)
    }

    /// The answers of all GET routes, as `/` lists them, and of the pages of the console.
    fn read_all(&self, redrive: &str) -> Vec<(String, u16, String)> {
        let group = &self.found("/dead-letters/groups")["groups"][0]["fingerprint"];
        let group = group.as_str().expect("a group").to_owned();
        let letters = self.found("/dead-letters");
        let positions = letters["letters"].as_array().expect("letters").iter();
        let positions: Vec<String> = positions
            .map(|letter| letter["position"].as_str().expect("a position").replace('/', "%2F").replace('@', "%40"))
            .collect();
        let list = self.get("/").1;
        let routes = list.lines().filter_map(|line| line.strip_prefix("GET ")?.split_whitespace().next());
        let routes: Vec<String> =
            routes.map(|path| path.replace("{fingerprint}", &group).replace("{id}", redrive)).collect();
        assert!(routes.len() > 15 && routes.iter().all(|path| !path.contains('{')), "{list}");
        let with_position = |path: &str| positions.iter().map(|at| format!("{path}?position={at}")).collect();
        let paths = routes.into_iter().flat_map(|path| match path.as_str() {
            "/dead-letters/letter" => with_position(&path),
            _ => vec![path],
        });
        let console = "/console/pipelines/default";
        let pages = ["", "/live", "/versions", "/dead-letters", "/redrives", "/settings", "/audit"]
            .map(|page| format!("{console}{page}"));
        let more = [
            format!("{console}/dead-letters/groups/{group}"),
            format!("{console}/dead-letters/groups/{group}/cases"),
            format!("{console}/redrives/{redrive}"),
        ];
        let letters: Vec<String> = with_position(&format!("{console}/dead-letters/letter"));
        let paths = paths.chain(pages).chain(more).chain(letters);
        paths.map(|path| (self.get(&path), path)).map(|((status, body), path)| (path, status, body)).collect()
    }

    /// The answers to requests that map records and change nothing.
    fn map_all(&self) -> Vec<(String, u16, String)> {
        let recent = self.found("/recent");
        let position = recent["records"][0]["position"].as_str().expect("a record");
        let map = json!({"position": position}).to_string();
        let other = version("keeps");
        let wasm = "application/wasm";
        let requests = [
            ("/map", "application/json", map.as_bytes()),
            ("/swap?dry-run=true", wasm, &other[..]),
            ("/dead-letters/try", wasm, &other[..]),
            ("/shadow", wasm, &other[..]),
        ];
        requests
            .into_iter()
            .map(|(path, content_type, body)| (self.post(path, content_type, body), path))
            .map(|((status, body), path)| (format!("POST {path}"), status, body))
            .collect()
    }

    /// Redrives all letters with the version that fails on them again. Returns the id.
    fn redrive(&self) -> String {
        let (status, body) = ask(&self.address, "POST /redrives?yes=true", &[&format!("host: {}", self.address)], b"");
        assert_eq!(status, 202, "{body}");
        let id = serde_json::from_str::<Value>(&body).expect("JSON")["id"].as_str().expect("an id").to_owned();
        // The stream ends with the redrive.
        let events = self.get(&format!("/redrives/{id}/events")).1;
        assert!(events.contains("event: ended") && events.contains("\"finished\""), "{events}");
        id
    }
}

#[test]
fn hidden_record_data_is_in_no_answer_and_redrives_use_the_records() {
    let plugin = harness::plugins::build(HOST, "tests/guests/commands_batch");
    let job = Job::new(Kafka::shared(), "payloads", HOST, &plugin);
    for mode in ["show", "mask", "off"] {
        let mut host = job.start(&["--admin", "127.0.0.1:0", "--watch", "off", "--admin-payloads", mode]);
        let api = Api { address: admin::address(&mut host) };
        admin::wait_until_ready(&api.address);
        topics::produce(job.kafka, &job.input, records());
        admin::wait_until_committed(&api.address, 4);
        let redrive = api.redrive();
        let mapped = api.map_all();
        // The shadow sees these.
        topics::produce(job.kafka, &job.input, records());
        admin::wait_until_committed(&api.address, 8);
        let read = api.read_all(&redrive);
        let with_secret: BTreeSet<&str> = mapped
            .iter()
            .chain(&read)
            .filter(|(_, _, body)| has_secret(body))
            .map(|(path, ..)| path.split(['?', '=']).next().unwrap_or_default())
            .collect();
        if mode == "show" {
            let expected = [
                "POST /map",
                "POST /swap",
                "POST /dead-letters/try",
                "/status",
                "/recent",
                "/dead-letters",
                "/dead-letters/groups",
                "/dead-letters/letter",
                "/dead-letters/cases",
                "/console/pipelines/default/live",
                "/console/pipelines/default/dead-letters/letter",
            ];
            for path in expected {
                assert!(with_secret.contains(path), "{path} of {with_secret:?}");
            }
        } else {
            assert_eq!(with_secret, BTreeSet::new(), "{mode}");
        }
        for (path, status, body) in mapped.iter().chain(&read) {
            let is_refused = mode != "show" && path.ends_with("/cases");
            let expected = match path.as_str() {
                _ if is_refused => 403,
                // There is no version before this one.
                "/rollback" => 422,
                // The pipeline has no ledger.
                "/audit" => 422,
                _ => 200,
            };
            assert_eq!(*status, expected, "{mode} {path}: {body}");
            if is_refused {
                assert!(body.contains(&format!("--admin-payloads is {mode}")), "{path}: {body}");
            }
        }
        let (status, body) = api.post("/redrives?yes=true", "application/wasm", &version("keeps"));
        assert_eq!(status, 202, "{body}");
        let id = serde_json::from_str::<Value>(&body).expect("JSON")["id"].as_str().expect("an id").to_owned();
        assert!(api.get(&format!("/redrives/{id}/events")).1.contains("\"finished\""));
        assert_eq!(host.stop().code, Some(0));
    }
    // Of each mode, two records of each round failed, and each letter was redriven.
    let outputs = topics::read_all(job.kafka, &job.output);
    let redriven = outputs.iter().filter(|output| {
        let value = String::from_utf8_lossy(output.value.as_deref().unwrap_or_default()).into_owned();
        value == format!("reject {SECRET}") || value == format!("panic {SECRET}")
    });
    assert_eq!(redriven.count(), 12);
}
