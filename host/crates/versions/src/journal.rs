//! The history on disk: one JSON event a line. A thread of its own syncs the file.
//! So the record path waits for the disk only before it makes an output visible.

mod read;

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::history::{Event, History, Tally, Term, Trigger, Version};
use mapper_core::counts::Counts;
use mapper_core::record::Positions;
use mapper_core::topics::{Recreation, TopicIdentity};
use mapper_state::files::{Limit, NewFile, PrivateDir};
use read::read;
pub use read::read_unchanged;

/// The file in the folder of the journal.
const FILE: &str = "history.jsonl";
/// The copy of a damaged file.
const DAMAGED: &str = "history.damaged";
/// A longer file is replaced by a file with one snapshot.
const MOST_LINES: usize = 4096;
/// The host bounds terms and lines, so it never writes a larger file.
const LIMIT: Limit = Limit::new("a history of versions", 1 << 30);
/// The interval in which the writer thread writes counts; no output depends on them.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// A position in the journal that a caller can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Ticket(u64);

struct Inner {
    history: History,
    /// `None` if the journal is in memory only or failed to start; `error` has the reason.
    file: Option<File>,
    lines: usize,
    /// Lines since the snapshot in progress, if there is one.
    since_snapshot: Option<Vec<u8>>,
    written: u64,
    synced: u64,
    /// The worker of this process that opened the last span of each partition.
    owners: BTreeMap<i32, usize>,
    /// Whether some counts are not in the file yet.
    has_new_counts: bool,
    error: Option<String>,
    ended: bool,
}

struct Shared {
    /// `None` if the journal is in memory only.
    dir: Option<PrivateDir>,
    inner: Mutex<Inner>,
    changed: Condvar,
}

/// The journal of one host. Drop writes the remaining counts.
pub struct Journal {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn new(history: History, file: Option<File>) -> Self {
        Self {
            history,
            file,
            lines: 1,
            since_snapshot: None,
            written: 0,
            synced: 0,
            owners: BTreeMap::new(),
            has_new_counts: false,
            error: None,
            ended: false,
        }
    }

    fn write(&mut self, event: &Event) {
        let mut line = serde_json::to_vec(event).expect("an event is text and numbers");
        line.push(b'\n');
        self.append(&line);
    }

    fn append(&mut self, line: &[u8]) {
        self.lines += 1;
        self.written += 1;
        if let Some(since) = &mut self.since_snapshot {
            since.extend_from_slice(line);
        }
        let written = self.file.as_mut().map_or(Ok(()), |file| file.write_all(line));
        if let Err(error) = written {
            self.fail(&error.to_string());
        }
    }

    /// The pipeline continues without a history; `/status` shows the error.
    fn fail(&mut self, error: &str) {
        if self.error.is_none() {
            tracing::error!(error, "failed to write the history of versions; the pipeline continues");
        }
        self.error = Some(error.to_owned());
    }

    fn write_progress(&mut self) {
        self.has_new_counts = false;
        let Some(term) = self.history.last() else { return };
        let (term, tally) = (term.number, term.tally.clone());
        let open = self.history.spans(term).filter(|(_, span)| span.to.is_none());
        let offsets: Positions = open.map(|(partition, span)| (partition, span.reached)).collect();
        self.write(&Event::Progress { term, offsets, tally });
    }
}

impl Journal {
    /// Opens the journal in this folder; creates it if it is missing.
    ///
    /// # Errors
    /// If a file is not writable, or if other users can change it.
    pub fn open(dir: PrivateDir) -> anyhow::Result<Self> {
        let named = || dir.path().join(FILE).display().to_string();
        let history = read(&dir).with_context(named)?;
        let file = write_new(&dir, &snapshot(&history)).and_then(|new| new.persist(FILE)).with_context(named)?;
        Ok(Self::start(dir, history, file))
    }

    /// A journal without a file; it ends with the process.
    pub fn in_memory() -> Self {
        Self::in_memory_with(History::default())
    }

    /// The same, which continues a history. It needs no thread: there is no disk to wait for.
    pub fn in_memory_with(history: History) -> Self {
        let inner = Inner { ended: true, ..Inner::new(history, None) };
        Self { shared: Arc::new(Shared { dir: None, inner: Mutex::new(inner), changed: Condvar::new() }), writer: None }
    }

    fn start(dir: PrivateDir, history: History, file: File) -> Self {
        let inner = Mutex::new(Inner::new(history, Some(file)));
        let shared = Arc::new(Shared { dir: Some(dir), inner, changed: Condvar::new() });
        let writer = std::thread::Builder::new().name("history".into()).spawn({
            let shared = shared.clone();
            move || {
                let _release = ReleaseOnPanic(&shared);
                keep_durable(&shared);
            }
        });
        if let Err(error) = &writer {
            let mut inner = shared.lock();
            inner.file = None;
            inner.ended = true;
            inner.fail(&error.to_string());
        }
        Self { shared, writer: writer.ok() }
    }

    /// Starts the host with this version. If it was active last, its term continues. Also returns the version that was active last.
    pub fn start_with(&self, version: Version) -> (Term, Option<Version>) {
        let last = self.read(|history| history.last().cloned());
        match last {
            Some(last) if last.version.digest == version.digest => (last.clone(), Some(last.version)),
            last => (self.begin(version, Trigger::Start, false), last.map(|last| last.version)),
        }
    }

    pub fn begin(&self, version: Version, by: Trigger, forced: bool) -> Term {
        let mut inner = self.shared.lock();
        let term = Term {
            number: inner.history.next_number(),
            since: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            by,
            forced,
            before: inner.history.rollback_target(&version, by),
            probation_failure: None,
            tally: Tally::default(),
            recreations: VecDeque::new(),
            version,
        };
        // Later progress events contain only the counts of the new term.
        inner.write_progress();
        self.record(&mut inner, Event::Term(term.clone()));
        term
    }

    /// Records that the version of a term failed its probation. A rollback without a version skips it.
    pub fn record_probation_failure(&self, term: u64, reason: &str) {
        self.record(&mut self.shared.lock(), Event::ProbationFailed { term, reason: reason.to_owned() });
    }

    /// Opens the spans of a version in a worker. They must be durable, see [`Journal::wait`], before an output becomes visible.
    pub fn open_spans(&self, term: u64, worker: usize, offsets: Positions) -> Ticket {
        let mut inner = self.shared.lock();
        inner.owners.extend(offsets.keys().map(|partition| (*partition, worker)));
        self.record(&mut inner, Event::From { term, offsets })
    }

    /// Closes the spans of a version in a worker; the offsets are the first ones after each span. A worker that learns late that it
    /// has lost a partition does not close the span that another worker of this process has opened there.
    pub fn close_spans(&self, term: u64, worker: usize, mut offsets: Positions) {
        let mut inner = self.shared.lock();
        offsets.retain(|partition, _| inner.owners.get(partition) == Some(&worker));
        if !offsets.is_empty() {
            self.record(&mut inner, Event::To { term, offsets });
        }
    }

    /// The last known identity of a topic name.
    pub fn topic(&self, name: &str) -> Option<TopicIdentity> {
        self.read(|history| history.topic(name).cloned())
    }

    /// Records the identity of a topic, if it changed.
    pub fn record_topic(&self, name: &str, identity: &TopicIdentity) {
        let mut inner = self.shared.lock();
        if inner.history.topic(name) != Some(identity) {
            let event = Event::Topic { name: name.to_owned(), identity: identity.clone() };
            self.record(&mut inner, event);
        }
    }

    pub fn record_topic_recreation(&self, recreation: Recreation) {
        self.record(&mut self.shared.lock(), Event::TopicRecreated(recreation));
    }

    fn record(&self, inner: &mut Inner, event: Event) -> Ticket {
        inner.write(&event);
        inner.history.apply(event);
        self.shared.changed.notify_all();
        Ticket(inner.written)
    }

    /// Counts a committed transaction. The writer thread writes the counts from time to time.
    pub fn record_commit(&self, term: u64, next: &Positions, counts: &Counts) {
        let mut inner = self.shared.lock();
        next.iter().for_each(|(partition, next)| inner.history.set_reached(term, *partition, *next));
        inner.history.add_counts(term, counts);
        inner.has_new_counts = true;
    }

    /// Waits until all events up to the ticket are on disk, or until the writer thread has ended.
    pub fn wait(&self, ticket: Ticket) {
        let mut inner = self.shared.lock();
        while inner.synced < ticket.0 && !inner.ended {
            inner = self.shared.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub fn read<T>(&self, look: impl FnOnce(&History) -> T) -> T {
        look(&self.shared.lock().history)
    }

    /// The last write error.
    pub fn error(&self) -> Option<String> {
        self.shared.lock().error.clone()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Releases the workers that wait for the disk if the writer thread panics.
struct ReleaseOnPanic<'a>(&'a Shared);

impl Drop for ReleaseOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut inner = self.0.lock();
            inner.fail("the writer thread of the history panicked; the log has the error");
            (inner.file, inner.ended) = (None, true);
            self.0.changed.notify_all();
        }
    }
}

/// The writer thread: syncs new lines and writes counts.
fn keep_durable(shared: &Shared) {
    let mut last_progress = Instant::now();
    loop {
        let mut inner = shared.lock();
        while inner.written == inner.synced && !inner.ended {
            let left = PROGRESS_INTERVAL.saturating_sub(last_progress.elapsed());
            if left.is_zero() {
                last_progress = Instant::now();
                if inner.has_new_counts {
                    inner.write_progress();
                }
                continue;
            }
            inner = shared.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if inner.ended && inner.has_new_counts {
            inner.write_progress();
        }
        let (written, ended) = (inner.written, inner.ended);
        let snapshot = (inner.lines > MOST_LINES && inner.file.is_some()).then(|| snapshot(&inner.history));
        inner.since_snapshot = snapshot.is_some().then(Vec::new);
        let file = inner.file.as_ref().map(File::try_clone);
        drop(inner);
        let synced = file.map_or(Ok(()), |file| file.and_then(|file| file.sync_data()));
        let mut inner = shared.lock();
        if let Err(error) = synced {
            inner.fail(&error.to_string());
        }
        inner.synced = written;
        shared.changed.notify_all();
        drop(inner);
        if let Some(snapshot) = snapshot {
            compact(shared, &snapshot);
        }
        if ended {
            return;
        }
    }
}

/// Replaces the file by a snapshot. Events go to the old file meanwhile, so no caller waits for the disk; they are copied at the end.
fn compact(shared: &Shared, snapshot: &[u8]) {
    let Some(dir) = &shared.dir else { return };
    let new = write_new(dir, snapshot);
    let mut inner = shared.lock();
    let since = inner.since_snapshot.take().unwrap_or_default();
    let replaced = new.and_then(|mut new| {
        new.file.write_all(&since)?;
        new.rename(FILE)
    });
    match replaced {
        Ok(file) => {
            let lines = since.iter().filter(|byte| **byte == b'\n').count();
            (inner.file, inner.lines) = (Some(file), 1 + lines);
        }
        Err(error) => inner.fail(&error.to_string()),
    }
    drop(inner);
    // New lines are durable only if the rename is durable.
    if let Err(error) = dir.sync() {
        shared.lock().fail(&error.to_string());
    }
}

fn snapshot(history: &History) -> Vec<u8> {
    let mut line = serde_json::to_vec(&Event::Snapshot(history.clone())).expect("a history is text and numbers");
    line.push(b'\n');
    line
}

/// Writes a file that will replace another one.
fn write_new(dir: &PrivateDir, content: &[u8]) -> std::io::Result<NewFile> {
    let mut new = dir.new_file()?;
    new.file.write_all(content)?;
    // No caller waits yet. So the sync under the lock is short later.
    new.file.sync_all()?;
    Ok(new)
}

#[cfg(test)]
#[path = "journal/tests.rs"]
mod tests;
