//! The admin API for dead letters.

mod known;
mod reading;
mod redrive;

use std::time::{Duration, Instant};

use harness::host::{Host, Job};
use serde_json::Value;

use crate::swap::http::ask;

/// The admin server of a host.
struct Api {
    address: String,
    headers: Vec<String>,
}

impl Api {
    fn of(host: &mut Host) -> Self {
        let address = crate::admin::address(host);
        crate::admin::wait_until_ready(&address);
        let headers = vec![format!("host: {address}")];
        Self { address, headers }
    }

    /// The status and the body of the answer.
    fn send(&self, request: &str, more: &[&str], body: &[u8]) -> (u16, String) {
        let headers: Vec<&str> = self.headers.iter().map(String::as_str).chain(more.iter().copied()).collect();
        ask(&self.address, request, &headers, body)
    }

    fn get(&self, path: &str) -> (u16, Value) {
        parsed(self.send(&format!("GET {path}"), &[], b""))
    }

    /// The body of an answer with the status 200 that has all changes before the request. On a busy machine, the host can say that its
    /// answer has not.
    fn found(&self, path: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (status, body) = self.get(path);
            assert_eq!(status, 200, "{path}: {body:#}");
            if body.get("as_of").is_none() {
                return body;
            }
            assert!(Instant::now() < deadline, "{path} is not current: {body:#}");
        }
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let body = serde_json::to_vec(body).expect("JSON");
        parsed(self.send(&format!("POST {path}"), &["content-type: application/json"], &body))
    }
}

fn parsed((status, body): (u16, String)) -> (u16, Value) {
    let parsed = serde_json::from_str(&body);
    (status, parsed.unwrap_or_else(|error| panic!("{status}, {error}: {body}")))
}

/// A host that runs the pipeline of a job.
fn start(job: &Job<'_>, args: &[&str]) -> (Host, Api) {
    let mut host = job.start(&[&["--admin", "127.0.0.1:0"], args].concat());
    let api = Api::of(&mut host);
    (host, api)
}
