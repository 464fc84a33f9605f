//! The history on disk: one JSON object a line, appended as things happen and made durable by a thread of its own, so that the
//! record path waits for a disk only where something is about to become visible that the journal must know of.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::history::{By, Event, History, Tally, Term, Version};
use mapper_core::counts::Counts;
use mapper_core::record::Positions;
use mapper_core::topics::{Recreation, TopicIdentity};
use mapper_state::files::{Limit, NewFile, PrivateDir};

/// The file in the folder of the journal.
const FILE: &str = "history.jsonl";
/// Where a damaged one is put aside.
const DAMAGED: &str = "history.damaged";
/// Beyond this many lines, the file is written anew with one line that says it all.
const MOST_LINES: usize = 4096;
/// The terms are bounded, and so are the lines: a longer file is none of the host's.
const LIMIT: Limit = Limit::new("a history of versions", 1 << 30);
/// How often counts are written that nothing depends on.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// A place in the journal, to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Ticket(u64);

struct Inner {
    history: History,
    /// `None`: nothing can be kept, and it was said why.
    file: Option<File>,
    lines: usize,
    /// Lines since the snapshot that is being written, if one is.
    since_snapshot: Option<Vec<u8>>,
    written: u64,
    synced: u64,
    /// Counts that are not in the file yet.
    progressed: bool,
    error: Option<String>,
    ended: bool,
}

struct Shared {
    /// `None`: in memory only.
    dir: Option<PrivateDir>,
    inner: Mutex<Inner>,
    changed: Condvar,
}

/// The journal of one host. Dropping it writes what is left.
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

    /// The stream goes on without a history rather than not at all; `/status` says so.
    fn fail(&mut self, error: &str) {
        if self.error.is_none() {
            tracing::error!(error, "the history of versions can't be written any more; records are mapped on");
        }
        self.error = Some(error.to_owned());
    }

    fn progress(&mut self) {
        self.progressed = false;
        let Some(term) = self.history.last() else { return };
        let (term, tally) = (term.number, term.tally.clone());
        let open = self.history.spans(term).filter(|(_, span)| span.to.is_none());
        let offsets: Positions = open.map(|(partition, span)| (partition, span.reached)).collect();
        self.write(&Event::Progress { term, offsets, tally });
    }
}

impl Journal {
    /// Opens the journal in this folder, and makes it if need be.
    ///
    /// # Errors
    /// When the folder can't be written to, or other users could change what is in it.
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        let dir = PrivateDir::open(dir)?;
        let named = || dir.path().join(FILE).display().to_string();
        let history = read(&dir).with_context(named)?;
        let file = write_new(&dir, &snapshot(&history)).and_then(|new| new.persist(FILE)).with_context(named)?;
        Ok(Self::start(Some(dir), history, Some(file)))
    }

    /// A journal that lasts as long as the process.
    pub fn in_memory() -> Self {
        Self::start(None, History::default(), None)
    }

    fn start(dir: Option<PrivateDir>, history: History, file: Option<File>) -> Self {
        let inner = Inner {
            history,
            file,
            lines: 1,
            since_snapshot: None,
            written: 0,
            synced: 0,
            progressed: false,
            error: None,
            ended: false,
        };
        let shared = Arc::new(Shared { dir, inner: Mutex::new(inner), changed: Condvar::new() });
        let writer = std::thread::Builder::new().name("history".into()).spawn({
            let shared = shared.clone();
            move || keep_durable(&shared)
        });
        if let Err(error) = &writer {
            let mut inner = shared.lock();
            inner.file = None;
            inner.ended = true;
            inner.fail(&error.to_string());
        }
        Self { shared, writer: writer.ok() }
    }

    /// The host begins with this version. If that spoke last, its term goes on. Tells the version that spoke last.
    pub fn start_with(&self, version: Version) -> (Term, Option<Version>) {
        let last = self.read(|history| history.last().cloned());
        match last {
            Some(last) if last.version.digest == version.digest => (last.clone(), Some(last.version)),
            last => (self.begin(version, By::Start, false), last.map(|last| last.version)),
        }
    }

    /// A new term begins.
    pub fn begin(&self, version: Version, by: By, forced: bool) -> Term {
        let mut inner = self.shared.lock();
        let term = Term {
            number: inner.history.next_number(),
            since: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            by,
            forced,
            before: inner.history.before(&version, by),
            probation_failure: None,
            tally: Tally::default(),
            recreations: VecDeque::new(),
            version,
        };
        // What the one before has done is not written later by anyone.
        inner.progress();
        self.record(&mut inner, Event::Term(term.clone()));
        term
    }

    /// The version of a term failed its probation. A rollback that names no version does not return to it.
    pub fn probation_failed(&self, term: u64, reason: &str) {
        self.record(&mut self.shared.lock(), Event::ProbationFailed { term, reason: reason.to_owned() });
    }

    /// A version speaks from these offsets on. It must be durable, see [`Journal::wait`], before anyone can see an output.
    pub fn from(&self, term: u64, offsets: Positions) -> Ticket {
        self.record(&mut self.shared.lock(), Event::From { term, offsets })
    }

    /// A version no longer speaks for these partitions; these are the offsets after the last.
    pub fn to(&self, term: u64, offsets: Positions) {
        if !offsets.is_empty() {
            self.record(&mut self.shared.lock(), Event::To { term, offsets });
        }
    }

    /// Which topic a name stood for when a host with this history saw it last.
    pub fn topic(&self, name: &str) -> Option<TopicIdentity> {
        self.read(|history| history.topic(name).cloned())
    }

    /// From now on a name stands for this topic.
    pub fn keep_topic(&self, name: &str, identity: &TopicIdentity) {
        let mut inner = self.shared.lock();
        if inner.history.topic(name) != Some(identity) {
            let event = Event::Topic { name: name.to_owned(), identity: identity.clone() };
            self.record(&mut inner, event);
        }
    }

    /// A topic was deleted and created again.
    pub fn topic_recreated(&self, recreation: Recreation) {
        self.record(&mut self.shared.lock(), Event::TopicRecreated(recreation));
    }

    fn record(&self, inner: &mut Inner, event: Event) -> Ticket {
        inner.write(&event);
        inner.history.apply(event);
        self.shared.changed.notify_all();
        Ticket(inner.written)
    }

    /// A transaction was committed. It is written now and then.
    pub fn committed(&self, term: u64, next: &Positions, counts: &Counts) {
        let mut inner = self.shared.lock();
        next.iter().for_each(|(partition, next)| inner.history.reach(term, *partition, *next));
        inner.history.count(term, counts);
        inner.progressed = true;
    }

    /// Waits until all up to the ticket is on disk, or can't be.
    pub fn wait(&self, ticket: Ticket) {
        let mut inner = self.shared.lock();
        while inner.synced < ticket.0 && !inner.ended {
            inner = self.shared.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Looks at the history.
    pub fn read<T>(&self, look: impl FnOnce(&History) -> T) -> T {
        look(&self.shared.lock().history)
    }

    /// Why nothing can be written, if that is so.
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

/// Syncs whenever there is something new.
fn keep_durable(shared: &Shared) {
    let mut said = Instant::now();
    loop {
        let mut inner = shared.lock();
        while inner.written == inner.synced && !inner.ended {
            let left = PROGRESS_INTERVAL.saturating_sub(said.elapsed());
            if left.is_zero() {
                said = Instant::now();
                if inner.progressed {
                    inner.progress();
                }
                continue;
            }
            inner = shared.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if inner.ended && inner.progressed {
            inner.progress();
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

/// Writes the file anew. Meanwhile lines are appended to the old one; they are taken along, and nobody waits for a disk.
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
    // Before the next lines count as durable, the name of the file must be.
    if let Err(error) = dir.sync() {
        shared.lock().fail(&error.to_string());
    }
}

fn snapshot(history: &History) -> Vec<u8> {
    let mut line = serde_json::to_vec(&Event::Snapshot(history.clone())).expect("a history is text and numbers");
    line.push(b'\n');
    line
}

/// A file that is to be put in the place of another.
fn write_new(dir: &PrivateDir, content: &[u8]) -> std::io::Result<NewFile> {
    let mut new = dir.new_file()?;
    new.file.write_all(content)?;
    // Nobody waits for a disk yet, so that little is left for later.
    new.file.sync_all()?;
    Ok(new)
}

/// Reads what is there. A last line that was cut by a crash is left out; a file that is damaged otherwise is put aside.
fn read(dir: &PrivateDir) -> anyhow::Result<History> {
    let bytes = match dir.read(FILE, LIMIT) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(History::default()),
        bytes => bytes?,
    };
    // Bytes that are no text are a damaged line like any other.
    let text = String::from_utf8_lossy(&bytes);
    let mut history = History::default();
    let mut lines = text.split_inclusive('\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        match serde_json::from_str(line) {
            Ok(event) => history.apply(event),
            Err(_) if lines.peek().is_none() && !line.ends_with('\n') => break,
            Err(error) => {
                let aside = dir.path().join(DAMAGED);
                tracing::warn!(path = %dir.path().join(FILE).display(), line = index + 1, %error, aside = %aside.display(),
                    "the history of versions is damaged; it is put aside, and goes on from the line before");
                dir.write(DAMAGED, &bytes)?;
                break;
            }
        }
    }
    Ok(history)
}

#[cfg(test)]
#[path = "journal/tests.rs"]
mod tests;
