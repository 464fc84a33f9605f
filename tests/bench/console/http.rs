//! A browser's requests, and the wait for a quiet machine.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The variable with the path of a file that is locked during the measurement.
const QUIET_LOCK: &str = "BENCH_LOCK";

/// The time until the whole answer is read, and its body.
pub(crate) fn get(address: &str, path: &str) -> (Duration, String) {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).expect("a server");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").expect("a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let took = started.elapsed();
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).expect("a status");
    assert_eq!(status, "200", "{path}: {body}");
    (took, body.to_owned())
}

/// The JSON of an answer of the API.
pub(crate) fn json(address: &str, path: &str) -> serde_json::Value {
    serde_json::from_str(&get(address, path).1).expect("JSON")
}

/// Locks the file that `BENCH_LOCK` names, if it names one, until the result is dropped.
pub(crate) fn wait_for_quiet() -> Option<File> {
    let path = std::env::var_os(QUIET_LOCK)?;
    let file = File::open(&path).unwrap_or_else(|error| panic!("{QUIET_LOCK}: {}: {error}", path.display()));
    file.lock().expect("a lock");
    Some(file)
}
