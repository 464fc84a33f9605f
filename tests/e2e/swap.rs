//! Versions swapped live, on a real Kafka under load.

mod delivery;
mod files;
pub(crate) mod http;
mod memory;
mod refused;
mod shadow;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::host::{Host, Job};
use harness::topics::{self, NewRecord, Record};
use mapper_api::versions::Versions;
use mapper_core::identity::Digest;
use mapper_host::remote::client::Client;
use mapper_state::files::PrivateDir;
use mapper_versions::{History, Journal};
use tempfile::TempDir;

use crate::HOST;

const SOON: Duration = Duration::from_secs(60);
const MARK: &[u8] = b"version-word:";
const WORD_BYTES: usize = 32 - MARK.len();

/// The bytes of the version of the guest that implements this word.
pub(crate) fn version(word: &str) -> Vec<u8> {
    static PLAIN: OnceLock<Vec<u8>> = OnceLock::new();
    let plain = PLAIN.get_or_init(|| {
        let path = harness::plugins::build(HOST, "tests/guests/versions");
        fs::read(path).expect("it was built")
    });
    let mut bytes = plain.clone();
    let at = bytes.windows(MARK.len()).position(|window| window == MARK).expect("the guest has its mark") + MARK.len();
    assert!(word.len() <= WORD_BYTES);
    bytes[at..at + WORD_BYTES].copy_from_slice(format!("{word:.<WORD_BYTES$}").as_bytes());
    bytes
}

/// A digest in the form of the history.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Digest::hash_bytes(bytes).to_string()
}

/// The plugin file of one test.
struct File {
    dir: TempDir,
}

impl File {
    fn new(word: &str) -> Self {
        let file = Self { dir: TempDir::new().expect("a folder") };
        fs::write(file.path(), version(word)).expect("a file");
        file
    }

    fn path(&self) -> PathBuf {
        self.at("plugin.wasm")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Replaces the file by another version, atomically.
    fn replace(&self, bytes: &[u8]) {
        fs::write(self.at("new"), bytes).expect("a file");
        fs::rename(self.at("new"), self.path()).expect("a rename");
    }
}

/// A client of this host.
pub(crate) fn client(host: &mut Host) -> Client {
    Client::new(&url(host), None).expect("a client")
}

fn url(host: &mut Host) -> String {
    format!("http://{}", crate::admin::address(host))
}

/// The part of `/status` about versions.
pub(crate) fn status(host: &mut Host) -> Versions {
    let status = crate::admin::status(&crate::admin::address(host));
    serde_json::from_value(status["versions"].clone()).unwrap_or_else(|error| panic!("{error}: {status}"))
}

#[track_caller]
pub(crate) fn wait_for(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !reached() {
        assert!(Instant::now() < deadline, "{what} never happened");
        thread::sleep(Duration::from_millis(10));
    }
}

fn job<'k>(name: &str, kafka: &'k harness::kafka::Kafka, plugin: &Path) -> Job<'k> {
    Job::new(kafka, name, HOST, plugin)
}

/// With an admin server.
const ARGS: [&str; 2] = ["--admin", "127.0.0.1:0"];
/// For a host that is killed: its session and its transaction expire soon. On a slow machine they sometimes expire for a
/// live host, too, and its records are mapped again; so other hosts don't have this setting.
const KILLED_ARGS: [&str; 4] = ["--session-timeout", "2s", "--transaction-timeout", "5s"];

/// Produces records with this value, to both partitions alternately.
pub(crate) fn produce(job: &Job<'_>, value: &str, count: usize) {
    let records = (0..count).map(|number| NewRecord::value(value).partition((number % 2) as i32));
    topics::produce(job.kafka, &job.input, records);
}

/// Sets the flag when it is dropped, so that the waiting thread also ends when a test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Calls `work` while good records are produced, `at_once` at a time. Returns its result and the number of records.
fn while_records_flow<T>(job: &Job<'_>, (at_once, pause): (usize, Duration), work: impl FnOnce() -> T) -> (T, usize) {
    let (ends, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let done = thread::scope(|scope| {
        scope.spawn(|| {
            while !ends.load(Ordering::Relaxed) {
                produce(job, "good", at_once);
                sent.fetch_add(at_once, Ordering::Relaxed);
                thread::sleep(pause);
            }
        });
        let _end = End(&ends);
        work()
    });
    (done, sent.into_inner())
}

/// The records of the output topic and its transaction markers.
fn produced(job: &Job<'_>) -> usize {
    topics::end_offsets(job.kafka, &job.output).iter().sum::<i64>() as usize
}

/// The history of the only host of a job, after its end.
fn history(job: &Job<'_>) -> History {
    let folders =
        fs::read_dir(job.dir().join("state")).expect("a state folder").map(|entry| entry.expect("an entry").path());
    let folders: Vec<PathBuf> = folders.filter(|path| path.is_dir()).collect();
    let [folder] = &folders[..] else { panic!("one host has one history: {folders:?}") };
    let folder = PrivateDir::open(folder).expect("a private folder");
    Journal::open(folder).expect("the journal is whole").read(History::clone)
}

/// Whether this version made the output.
fn is_by(word: &str, output: &Record) -> bool {
    let rest = output.value.as_deref().and_then(|value| value.strip_prefix(word.as_bytes()));
    rest.is_some_and(|rest| rest.starts_with(b" "))
}

/// Produces records with this value and waits for as many outputs.
fn come_through(job: &Job<'_>, value: &str, count: usize) {
    let before = topics::read_all(job.kafka, &job.output).len();
    produce(job, value, count);
    topics::read_until(job.kafka, &job.output, before + count, SOON);
}

/// Maps some records, so that the try-out has a sample.
fn warm_up(job: &Job<'_>, count: usize) {
    produce(job, "good", count);
    topics::read_until(job.kafka, &job.output, count, SOON);
}
