//! The claim of a process on the state folder: one lock and one slot number for a group.
//!
//! A pipeline opens one claim, and everything that it keeps there is named by the slot:
//!
//! | file | content |
//! |---|---|
//! | `GROUP-SLOT.lock` | the lock, and the number of the transactional ids |
//! | `GROUP_AND_TOPIC-SLOT.calls`, `….suspects.json` | in-flight markers, and the suspects of crashed processes |
//! | `history-GROUP-SLOT/` | the history of versions, and the plugins of earlier ones |
//!
//! Hosts that share a folder lock the lowest free slot. The kernel releases the lock when a process ends, so the next host takes over
//! the slot of a crashed one: the same transactional ids abort its open transactions at once, and its markers and history continue.
//! The number in the lock file distinguishes state folders: several can belong to one machine, or to containers of one host name.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use crate::files::PrivateDir;

/// Hosts per group and state folder.
const MAX_SLOTS: usize = 1000;
/// Attempts to lock a file that is removed meanwhile.
const MAX_ATTEMPTS: usize = 10;
/// Hexadecimal digits of the number in a lock file.
const DIGITS: usize = 16;

/// A slot of the state folder. It belongs to this process until drop.
#[derive(Debug)]
pub struct StateClaim {
    dir: PrivateDir,
    group: String,
    slot: usize,
    lock: File,
    /// The lock of the history folder by a host of an earlier version. It keeps such a host out of the folder.
    _earlier_lock: Option<File>,
}

impl StateClaim {
    /// Claims the lowest free slot of a group.
    ///
    /// # Errors
    /// The folder or a lock file can't be written, other users can change it, or all slots are in use. The error names the folder.
    pub fn open(dir: &Path, group: &str) -> anyhow::Result<Self> {
        Self::claim(dir, group).with_context(|| {
            format!("failed to claim a slot of the state folder: {}. Set another --state-dir", dir.display())
        })
    }

    fn claim(dir: &Path, group: &str) -> anyhow::Result<Self> {
        let dir = PrivateDir::open(dir)?;
        for slot in 0..MAX_SLOTS {
            let Some(lock) = try_lock(&dir, &lock_name(group, slot))? else { continue };
            let earlier = earlier_lock_name(group, slot);
            let earlier_lock = match dir.has(&earlier) {
                false => None,
                true => match try_lock(&dir, &earlier)? {
                    // A host of an earlier version uses the history of this slot.
                    None => continue,
                    locked => locked,
                },
            };
            return Ok(Self { dir, group: group.to_owned(), slot, lock, _earlier_lock: earlier_lock });
        }
        bail!("all {MAX_SLOTS} slots of the group '{group}' are in use by running hosts")
    }

    pub fn slot(&self) -> usize {
        self.slot
    }

    /// The prefix of the transactional ids. A later process with this slot gets the same one.
    ///
    /// # Errors
    /// The lock file can't be read or written, or was removed.
    pub fn transactional_id(&self) -> anyhow::Result<String> {
        self.check_lock()?;
        let number = read_or_create_number(&self.lock).with_context(|| self.lock_path().display().to_string())?;
        Ok(format_transactional_id(&self.group, number))
    }

    /// The folder of the history of versions.
    ///
    /// # Errors
    /// The folder can't be created or written, or the lock file was removed.
    pub fn history_dir(&self) -> anyhow::Result<PrivateDir> {
        self.check_lock()?;
        Ok(self.dir.dir(&history_name(&self.group, self.slot))?)
    }

    /// The state folder, for files whose names contain the slot.
    ///
    /// # Errors
    /// The lock file was removed.
    pub(crate) fn dir(&self) -> anyhow::Result<&PrivateDir> {
        self.check_lock()?;
        Ok(&self.dir)
    }

    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    fn lock_path(&self) -> PathBuf {
        self.dir.path().join(lock_name(&self.group, self.slot))
    }

    /// Without its file, the lock keeps no other host out of the slot.
    fn check_lock(&self) -> anyhow::Result<()> {
        if self.dir.is_current(&lock_name(&self.group, self.slot), &self.lock)? {
            return Ok(());
        }
        bail!(
            "the lock file of the state folder was removed: {}: another host can take the same slot. Start the host again, and \
             remove no file of the folder while a host runs",
            self.lock_path().display()
        )
    }
}

/// The folders with the histories of a group, one for each slot that has one. No claim is needed to read them.
///
/// # Errors
/// The state folder or a folder in it can't be opened, or other users can change it.
pub fn history_dirs(dir: &Path, group: &str) -> anyhow::Result<Vec<PrivateDir>> {
    // Opening would create it.
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let dir = PrivateDir::open(dir)?;
    let names = (0..MAX_SLOTS).map(|slot| history_name(group, slot)).filter(|name| dir.has(name));
    names.map(|name| Ok(dir.dir(&name)?)).collect()
}

/// A prefix of transactional ids that no later process has. It is safe, but after a crash consumers wait for the transaction timeout.
pub fn random_transactional_id(group: &str) -> String {
    format_transactional_id(group, rand::random())
}

/// The name of this machine.
pub fn host_name() -> String {
    hostname::get().map_or_else(|_| "unknown".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn format_transactional_id(group: &str, number: u64) -> String {
    let host = host_name();
    format!("mapper-host-{group}-{host}-{number:0DIGITS$x}")
}

fn lock_name(group: &str, slot: usize) -> String {
    format!("{}-{slot}.lock", digest(&[group]))
}

fn history_name(group: &str, slot: usize) -> String {
    format!("history-{}-{slot}", digest(&[group]))
}

fn earlier_lock_name(group: &str, slot: usize) -> String {
    format!("{}.lock", history_name(group, slot))
}

/// Names as a part of a file name.
pub(crate) fn digest(names: &[&str]) -> String {
    Sha256::digest(names.join("\0")).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Locks a file. `None` if another process has the lock.
fn try_lock(dir: &PrivateDir, name: &str) -> anyhow::Result<Option<File>> {
    let named = || dir.path().join(name).display().to_string();
    for _ in 0..MAX_ATTEMPTS {
        let file = dir.open_or_create(name).with_context(named)?;
        match file.try_lock() {
            Ok(()) if dir.is_current(name, &file).with_context(named)? => return Ok(Some(file)),
            // Removed since it was opened.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error).with_context(named),
        }
    }
    bail!("{}: another program removes the lock file", named())
}

/// The number in a locked file. A new or damaged file gets a new number.
fn read_or_create_number(mut file: &File) -> anyhow::Result<u64> {
    let mut text = String::new();
    file.rewind()?;
    let is_valid_length = file.take(64).read_to_string(&mut text).is_ok() && text.trim_end().len() == DIGITS;
    if let Some(number) = is_valid_length.then(|| u64::from_str_radix(text.trim_end(), 16).ok()).flatten() {
        return Ok(number);
    }
    let number = rand::random();
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{number:0DIGITS$x}")?;
    file.sync_all()?;
    Ok(number)
}

#[cfg(test)]
mod tests;
