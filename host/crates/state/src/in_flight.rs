//! In-flight markers: the host writes the offsets of a call to a file before it calls the plugin. After a crash of the host, the next
//! start finds the records that may have caused it.
//!
//! The page cache survives a crash of the process, so there is no fsync, and a marker costs a few microseconds. Only a crash of the
//! machine loses markers, and no record causes that.

mod entry;
mod suspects;

use std::fs::{File, TryLockError};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;

use crate::claim::{self, StateClaim};
use crate::files::{Limit, PrivateDir};
use entry::{ENTRY_BYTES, Entry};
use mapper_core::in_flight::{Admission, InFlightMarker};
use mapper_core::record::{Batch, Positions};
use mapper_core::topic_table::TopicNames;
pub use suspects::Handling;
use suspects::Suspects;

const ENTRIES: &str = "calls";
const SUSPECTS: &str = "suspects.json";
/// The host never writes a larger file, because the number of suspects is limited.
const LIMIT: Limit = Limit::new("a file of suspected records", 64 << 20);

/// Another process locks the markers of a free slot only while it reads them.
const LOCK_ATTEMPTS: usize = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The in-flight markers of this process, and the suspects of crashed processes.
#[derive(Debug)]
pub struct InFlightMarkers {
    slot: Option<Slot>,
    process: u64,
    poison_after: u32,
    suspects: Mutex<Suspects>,
    /// Checked for each batch without locking.
    has_suspects: AtomicBool,
}

/// The files of one process.
#[derive(Debug)]
struct Slot {
    /// Locked while this process lives, so that no other process takes over its markers. A host of an earlier version knows only
    /// this lock.
    entries: File,
    dir: PrivateDir,
    suspects_file: String,
    /// Kept as long as a worker writes markers.
    _claim: Arc<StateClaim>,
    /// A failed write is logged once.
    is_failure_logged: AtomicBool,
}

impl InFlightMarkers {
    /// No markers and no suspects, for a topic whose offsets are meaningless to the next run.
    pub fn none() -> Self {
        Self {
            slot: None,
            process: 0,
            poison_after: 0,
            suspects: Mutex::default(),
            has_suspects: AtomicBool::new(false),
        }
    }

    /// Opens the markers of a claimed slot, and takes over the suspects and markers of crashed processes. On failure, logs a warning
    /// and works without markers. The first of the topics, which never changes, is in the names of the files.
    pub fn open(claim: &Arc<StateClaim>, topics: &TopicNames, poison_after: u32) -> Self {
        let first = topics.all().first().map_or("", |topic| topic);
        let (slot, suspects) = match open(claim, first) {
            Ok((slot, suspects)) => (Some(slot), suspects),
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "failed to open the in-flight markers; a record that crashes the host will not be found. Set a \
                     writable --state-dir"
                );
                (None, Suspects::default())
            }
        };
        if !suspects.is_empty() {
            tracing::warn!(
                records = suspects.describe(topics),
                "a host crashed during a call of the plugin; mapping the records of that call one by one"
            );
        }
        let has_suspects = AtomicBool::new(!suspects.is_empty());
        Self { slot, process: rand::random(), poison_after, suspects: Mutex::new(suspects), has_suspects }
    }

    fn suspects(&self) -> MutexGuard<'_, Suspects> {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self, suspects: &Suspects) {
        self.has_suspects.store(!suspects.is_empty(), Ordering::Relaxed);
        let Some(slot) = &self.slot else { return };
        slot.log_failure(write(&slot.dir, &slot.suspects_file, suspects));
    }

    /// Drops the suspects before these committed offsets.
    pub fn committed(&self, next: &Positions) {
        if self.has_suspects.load(Ordering::Relaxed) {
            let mut suspects = self.suspects();
            if suspects.drop_committed(next) {
                self.store(&suspects);
            }
        }
    }

    /// Drops the suspects of these partitions. Call this when their topic was recreated, because the offsets identify other records then.
    pub fn forget_records(&self, partitions: &Range<i32>) {
        let mut suspects = self.suspects();
        suspects.clear(partitions);
        self.store(&suspects);
    }
}

impl Slot {
    fn log_failure(&self, written: anyhow::Result<()>) {
        if let Err(error) = written
            && !self.is_failure_logged.swap(true, Ordering::Relaxed)
        {
            let error = format!("{error:#}");
            tracing::warn!(error, "failed to write an in-flight marker; further failures are not logged");
        }
    }
}

/// The in-flight marker of one worker.
#[derive(Debug)]
pub struct WorkerMarker {
    shared: Arc<InFlightMarkers>,
    /// Position of the marker in the file.
    file_offset: u64,
    buffer: Vec<u8>,
}

impl WorkerMarker {
    pub fn new(shared: Arc<InFlightMarkers>, worker: usize) -> Self {
        Self { shared, file_offset: (worker * ENTRY_BYTES) as u64, buffer: Vec::new() }
    }

    /// The number of records for the next call, and how to map them.
    pub fn next(&self, batch: &Batch, records: Range<usize>) -> (usize, Handling) {
        if !self.shared.has_suspects.load(Ordering::Relaxed) {
            return (records.len(), Handling::Together);
        }
        let suspects = self.shared.suspects();
        let taken =
            |index: usize| suspects.classify(batch.partitions[index], batch.offsets[index], self.shared.poison_after);
        match taken(records.start) {
            Handling::Together => {
                let suspect = records.clone().position(|index| taken(index) != Handling::Together);
                (suspect.unwrap_or(records.len()), Handling::Together)
            }
            taken => (1, taken),
        }
    }

    /// Writes the marker. Call this before the plugin maps these records.
    pub fn begin(&mut self, batch: &Batch, records: Range<usize>) {
        let Some(slot) = &self.shared.slot else { return };
        Entry::write(&mut self.buffer, self.shared.process, batch, records);
        slot.log_failure(slot.entries.write_all_at(&self.buffer, self.file_offset).map_err(Into::into));
    }

    /// Clears the marker. Call this when the plugin has returned.
    pub fn end(&mut self, batch: &Batch, records: Range<usize>) {
        let Some(slot) = &self.shared.slot else { return };
        slot.log_failure(slot.entries.write_all_at(&[0; 4], self.file_offset).map_err(Into::into));
        if records.len() == 1 && self.shared.has_suspects.load(Ordering::Relaxed) {
            let mut suspects = self.shared.suspects();
            if suspects.clear_record(batch.partitions[records.start], batch.offsets[records.start]) {
                self.shared.store(&suspects);
            }
        }
    }

    /// See [`InFlightMarkers::committed`].
    pub fn committed(&self, next: &Positions) {
        self.shared.committed(next);
    }
}

impl InFlightMarker for WorkerMarker {
    fn admit(&self, batch: &Batch, records: Range<usize>) -> Admission {
        match self.next(batch, records) {
            (_, Handling::Quarantined(crashes)) => Admission::Quarantined { crashes },
            (count, Handling::Together | Handling::Alone) => Admission::Mapped(count),
        }
    }

    fn mark(&mut self, batch: &Batch, records: Range<usize>) {
        self.begin(batch, records);
    }

    fn unmark(&mut self, batch: &Batch, records: Range<usize>) {
        self.end(batch, records);
    }

    fn committed(&mut self, next: &Positions) {
        self.shared.committed(next);
    }
}

fn open(claim: &Arc<StateClaim>, topic: &str) -> anyhow::Result<(Slot, Suspects)> {
    let dir = claim.dir()?;
    // Files are per group and topic, because offsets are meaningless without them.
    let prefix = claim::digest(&[claim.group(), topic]);
    let file_name = |number: usize, suffix: &str| format!("{prefix}-{number}.{suffix}");
    let suspects_file = file_name(claim.slot(), SUSPECTS);
    let entries = lock_entries(dir, &file_name(claim.slot(), ENTRIES))?;
    let mut all = read(dir, &suspects_file)?;
    all.add(&read_entries(&entries)?);
    let mut abandoned = Vec::new();
    for number in slots(dir, &prefix)? {
        if number == claim.slot() {
            continue;
        }
        let entries = dir.open_or_create(&file_name(number, ENTRIES))?;
        match entries.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let suspects_file = file_name(number, SUSPECTS);
        all.merge(read(dir, &suspects_file)?);
        all.add(&read_entries(&entries)?);
        abandoned.push((entries, suspects_file));
    }
    // Write the suspects first: they list the processes that are counted, so a crash in between counts no marker twice.
    write(dir, &suspects_file, &all)?;
    entries.set_len(0)?;
    for (entries, suspects_file) in abandoned {
        entries.set_len(0)?;
        dir.remove(&suspects_file)?;
    }
    let (dir, is_failure_logged) = (dir.clone(), AtomicBool::new(false));
    Ok((Slot { entries, dir, suspects_file, is_failure_logged, _claim: claim.clone() }, all))
}

/// Opens and locks the markers of the claimed slot.
fn lock_entries(dir: &PrivateDir, name: &str) -> anyhow::Result<File> {
    let path = || dir.path().join(name).display().to_string();
    let entries = dir.open_or_create(name).with_context(path)?;
    for _ in 0..LOCK_ATTEMPTS {
        match entries.try_lock() {
            Ok(()) => return Ok(entries),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error).with_context(path),
        }
    }
    anyhow::bail!("{}: in use by a host of an earlier version. End that host, and start this one again", path())
}

/// The slots that have a file of markers.
fn slots(dir: &PrivateDir, prefix: &str) -> anyhow::Result<Vec<usize>> {
    let number = |name: String| name.strip_prefix(prefix)?.strip_prefix('-')?.strip_suffix(".calls")?.parse().ok();
    let mut slots: Vec<usize> = dir.files()?.into_iter().filter_map(|(name, _)| number(name)).collect();
    slots.sort_unstable();
    Ok(slots)
}

/// The markers of calls that did not return.
fn read_entries(entries: &File) -> anyhow::Result<Vec<Entry>> {
    let mut bytes = vec![0; ENTRY_BYTES];
    let workers = entries.metadata()?.len().div_ceil(ENTRY_BYTES as u64);
    let mut found = Vec::new();
    for worker in 0..workers {
        let mut filled = 0;
        while filled < ENTRY_BYTES {
            let read = entries.read_at(&mut bytes[filled..], worker * ENTRY_BYTES as u64 + filled as u64)?;
            if read == 0 {
                break;
            }
            filled += read;
        }
        found.extend(Entry::read(&bytes[..filled]));
    }
    Ok(found)
}

fn read(dir: &PrivateDir, name: &str) -> anyhow::Result<Suspects> {
    let path = || dir.path().join(name);
    match dir.read(name, LIMIT) {
        Ok(text) => serde_json::from_slice(&text)
            .with_context(|| format!("malformed file of suspected records: {}. Remove the file", path().display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Suspects::default()),
        Err(error) => Err(error).with_context(|| path().display().to_string()),
    }
}

/// Replaces the file atomically.
fn write(dir: &PrivateDir, name: &str, suspects: &Suspects) -> anyhow::Result<()> {
    let text = serde_json::to_vec(suspects)?;
    dir.write(name, &text).with_context(|| dir.path().join(name).display().to_string())
}

#[cfg(test)]
mod tests;
