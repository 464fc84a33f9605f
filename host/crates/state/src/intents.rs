//! What the plugin is about to be given is written down first, so that a record that takes the whole host down is known at
//! the next start.
//!
//! A page cache outlives a process, however that ends; so nothing is flushed, and writing an entry costs a few
//! microseconds. Only a machine that goes down loses entries, and then no record is at fault.

mod entry;
mod suspects;

use std::fs::{File, TryLockError};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use sha2::{Digest, Sha256};

use crate::files::{Limit, PrivateDir};
use entry::{ENTRY_BYTES, Entry};
use mapper_core::record::{Batch, Positions};
use suspects::Suspects;
pub use suspects::Taken;

/// The most hosts of one group and user on a machine that write down what they do.
const MAX_SLOTS: usize = 1000;
const ENTRIES: &str = "calls";
const SUSPECTS: &str = "suspects.json";
/// What is suspected is bounded: a larger file is none of the host's.
const LIMIT: Limit = Limit::new("a file of suspected records", 64 << 20);

/// The calls of this process, and the records that processes before it died with.
#[derive(Debug)]
pub struct Intents {
    place: Option<Place>,
    process: u64,
    poison_after: u32,
    suspects: Mutex<Suspects>,
    /// Whether there is any suspect: asked for each batch.
    any: AtomicBool,
}

/// Where it is written down. Nobody else does so there as long as the file is open.
#[derive(Debug)]
struct Place {
    entries: File,
    dir: PrivateDir,
    /// The name of the file of suspects.
    suspects: String,
    /// A write that failed is reported once.
    failed: AtomicBool,
}

impl Intents {
    /// Nothing is written down, and nothing is known: for offsets that mean nothing to the next run.
    pub fn none() -> Self {
        Self { place: None, process: 0, poison_after: 0, suspects: Mutex::default(), any: AtomicBool::new(false) }
    }

    /// Takes a place of its own in this folder, and takes over what processes have left that are gone. If that is not
    /// possible it says so, and nothing is written down.
    pub fn open(dir: &Path, (group, topic): (&str, &str), poison_after: u32) -> Self {
        let opened = open(dir, &name(group, topic));
        let (place, suspects) = match opened {
            Ok((place, suspects)) => (Some(place), suspects),
            Err(error) => {
                tracing::warn!(
                    dir = %dir.display(),
                    error = format!("{error:#}"),
                    "it can't be written down which records the plugin is given, so one that takes the host down is not \
                     found. Give a --state-dir that can be written to"
                );
                (None, Suspects::default())
            }
        };
        if !suspects.is_empty() {
            tracing::warn!(
                records = suspects.words(),
                "a host died while the plugin was at work; the records that it had are taken alone"
            );
        }
        let any = AtomicBool::new(!suspects.is_empty());
        Self { place, process: rand::random(), poison_after, suspects: Mutex::new(suspects), any }
    }

    fn suspects(&self) -> MutexGuard<'_, Suspects> {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self, suspects: &Suspects) {
        self.any.store(!suspects.is_empty(), Ordering::Relaxed);
        let Some(place) = &self.place else { return };
        place.report(write(&place.dir, &place.suspects, suspects));
    }

    /// Up to these offsets all is done.
    pub fn committed(&self, next: &Positions) {
        if self.any.load(Ordering::Relaxed) {
            let mut suspects = self.suspects();
            if suspects.committed(next) {
                self.changed(&suspects);
            }
        }
    }

    /// The topic was created again, and offsets stand for other records: no record is suspected any more.
    pub fn forget_records(&self) {
        let mut suspects = self.suspects();
        suspects.clear();
        self.changed(&suspects);
    }
}

impl Place {
    fn report(&self, written: anyhow::Result<()>) {
        if let Err(error) = written
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            let error = format!("{error:#}");
            tracing::warn!(error, "it could not be written down which records the plugin is given; this is said once");
        }
    }
}

/// What one worker writes down.
#[derive(Debug)]
pub struct Intent {
    all: Arc<Intents>,
    at: u64,
    bytes: Vec<u8>,
}

impl Intent {
    /// That of a worker, by its number.
    pub fn of(all: Arc<Intents>, worker: usize) -> Self {
        Self { all, at: (worker * ENTRY_BYTES) as u64, bytes: Vec::new() }
    }

    /// How the next records of a batch are taken: so many, in this way.
    pub fn next(&self, batch: &Batch, records: Range<usize>) -> (usize, Taken) {
        if !self.all.any.load(Ordering::Relaxed) {
            return (records.len(), Taken::Together);
        }
        let suspects = self.all.suspects();
        let taken = |index: usize| suspects.taken(batch.partitions[index], batch.offsets[index], self.all.poison_after);
        match taken(records.start) {
            Taken::Together => {
                let suspect = records.clone().position(|index| taken(index) != Taken::Together);
                (suspect.unwrap_or(records.len()), Taken::Together)
            }
            taken => (1, taken),
        }
    }

    /// The plugin is about to be given these records.
    pub fn begin(&mut self, batch: &Batch, records: Range<usize>) {
        let Some(place) = &self.all.place else { return };
        Entry::write(&mut self.bytes, self.all.process, batch, records);
        place.report(place.entries.write_all_at(&self.bytes, self.at).map_err(Into::into));
    }

    /// The plugin came back.
    pub fn end(&mut self, batch: &Batch, records: Range<usize>) {
        let Some(place) = &self.all.place else { return };
        place.report(place.entries.write_all_at(&[0; 4], self.at).map_err(Into::into));
        if records.len() == 1 && self.all.any.load(Ordering::Relaxed) {
            let mut suspects = self.all.suspects();
            if suspects.passed(batch.partitions[records.start], batch.offsets[records.start]) {
                self.all.changed(&suspects);
            }
        }
    }

    /// Up to these offsets all is done.
    pub fn committed(&self, next: &Positions) {
        self.all.committed(next);
    }
}

/// Groups and topics have places of their own: an offset means nothing without them.
fn name(group: &str, topic: &str) -> String {
    let digest = Sha256::new().chain_update(group).chain_update([0]).chain_update(topic).finalize();
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn open(dir: &Path, name: &str) -> anyhow::Result<(Place, Suspects)> {
    let dir = PrivateDir::open(dir)?;
    let file_name = |slot: usize, what: &str| format!("{name}-{slot}.{what}");
    let mut mine = None;
    let mut all = Suspects::default();
    let mut left = Vec::new();
    for slot in 0..MAX_SLOTS {
        let file = file_name(slot, ENTRIES);
        if mine.is_some() && !dir.has(&file) {
            break;
        }
        let entries = dir.open_or_create(&file).with_context(|| dir.path().join(&file).display().to_string())?;
        match entries.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let suspects = file_name(slot, SUSPECTS);
        all.merge(read(&dir, &suspects)?);
        all.add(&calls(&entries)?);
        if mine.is_none() {
            mine = Some(Place { entries, dir: dir.clone(), suspects, failed: AtomicBool::new(false) });
        } else {
            left.push((entries, suspects));
        }
    }
    let Some(place) = mine else { anyhow::bail!("{MAX_SLOTS} hosts of this group are running already") };
    // In this order: what is in the file of suspects is not counted again if the process ends in between.
    write(&place.dir, &place.suspects, &all)?;
    place.entries.set_len(0)?;
    for (entries, suspects) in left {
        entries.set_len(0)?;
        dir.remove(&suspects)?;
    }
    Ok((place, all))
}

/// The calls that had not come back.
fn calls(entries: &File) -> anyhow::Result<Vec<Entry>> {
    let mut bytes = vec![0; ENTRY_BYTES];
    let workers = entries.metadata()?.len().div_ceil(ENTRY_BYTES as u64);
    let mut calls = Vec::new();
    for worker in 0..workers {
        let mut filled = 0;
        while filled < ENTRY_BYTES {
            let read = entries.read_at(&mut bytes[filled..], worker * ENTRY_BYTES as u64 + filled as u64)?;
            if read == 0 {
                break;
            }
            filled += read;
        }
        calls.extend(Entry::read(&bytes[..filled]));
    }
    Ok(calls)
}

fn read(dir: &PrivateDir, name: &str) -> anyhow::Result<Suspects> {
    let path = || dir.path().join(name);
    match dir.read(name, LIMIT) {
        Ok(text) => serde_json::from_slice(&text)
            .with_context(|| format!("{} can't be understood; remove it if nobody needs it", path().display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Suspects::default()),
        Err(error) => Err(error).with_context(|| path().display().to_string()),
    }
}

/// Whole or not at all.
fn write(dir: &PrivateDir, name: &str, suspects: &Suspects) -> anyhow::Result<()> {
    let text = serde_json::to_vec(suspects)?;
    dir.write(name, &text).with_context(|| dir.path().join(name).display().to_string())
}

#[cfg(test)]
mod tests;
