//! A transactional id that is stable over restarts and unique among running processes.
//!
//! After a crash, the same id at the next start aborts the open transaction at once, not after its timeout. A second host with the
//! same id would fence the first. So the processes that share a state folder claim slots: each locks the lowest free lock file, and
//! the kernel releases the lock when the process ends. The lock file has a random number, which distinguishes state folders:
//! several folders can belong to one machine, or to containers with the same host name.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use anyhow::Context;
use sha2::{Digest, Sha256};

use crate::files::PrivateDir;

/// Hosts per group and state folder with a stable id.
const MAX_SLOTS: usize = 1000;

/// Hexadecimal digits of the number in a lock file.
const DIGITS: usize = 16;

/// Holds the lock of its id until drop.
#[derive(Debug)]
pub struct TransactionalId {
    /// Workers append their number.
    pub id: String,
    _lock: Option<File>,
}

impl TransactionalId {
    /// An id from the settings, without a lock.
    pub fn chosen(id: String) -> Self {
        Self { id, _lock: None }
    }

    /// Claims the id for a group. If no lock file can be created, logs a warning and uses a random id. That is safe, but after a
    /// crash consumers wait for the transaction timeout.
    pub fn claim(dir: &Path, group: &str) -> Self {
        let host = hostname::get().map_or_else(|_| "unknown".to_owned(), |name| name.to_string_lossy().into_owned());
        let claimed =
            claim_slot(dir, &group_digest(group)).and_then(|(_, file)| Ok((read_or_create_number(&file)?, file)));
        match claimed {
            Ok((number, file)) => {
                Self { id: format!("mapper-host-{group}-{host}-{number:0DIGITS$x}"), _lock: Some(file) }
            }
            Err(error) => {
                tracing::warn!(
                    dir = %dir.display(),
                    error = format!("{error:#}"),
                    "no lock file, so the transactional id is a new one; after a crash, consumers of the output wait for the \
                     transaction timeout. Set a writable --state-dir"
                );
                Self::chosen(format!("mapper-host-{group}-{host}-{:016x}", rand::random::<u64>()))
            }
        }
    }
}

/// The number in a locked file. A new or damaged file gets a new number.
fn read_or_create_number(mut file: &File) -> anyhow::Result<u64> {
    let mut text = String::new();
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

/// A group id as a part of a file name.
pub fn group_digest(group: &str) -> String {
    Sha256::digest(group).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Claims the lowest free slot. The open file holds the lock.
///
/// # Errors
/// A lock file can't be created, other users can change it, or all slots are in use.
pub fn claim_slot(dir: &Path, name: &str) -> anyhow::Result<(usize, File)> {
    let dir = PrivateDir::open(dir)?;
    for slot in 0..MAX_SLOTS {
        let name = format!("{name}-{slot}.lock");
        let file = dir.open_or_create(&name).with_context(|| dir.path().join(&name).display().to_string())?;
        match file.try_lock() {
            Ok(()) => return Ok((slot, file)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    anyhow::bail!("all {MAX_SLOTS} slots of this group are in use by running hosts");
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn id_is_unique_while_held_and_reused_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let first = TransactionalId::claim(dir.path(), "visits_reader");
        let second = TransactionalId::claim(dir.path(), "visits_reader");
        let other = TransactionalId::claim(dir.path(), "other");
        assert!(first.id != second.id && first.id != other.id && second.id != other.id);
        assert!(first.id.starts_with("mapper-host-visits_reader-"), "{}", first.id);
        let id = first.id.clone();
        drop(first);
        assert_eq!(TransactionalId::claim(dir.path(), "visits_reader").id, id);
    }

    #[test]
    fn ids_of_two_state_folders_differ() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let ids = dirs.each_ref().map(|dir| TransactionalId::claim(dir.path(), "g").id);
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn damaged_lock_file_gets_a_new_number() {
        let dir = tempfile::tempdir().unwrap();
        let first = TransactionalId::claim(dir.path(), "g").id;
        let file = dir.path().join(format!("{}-0.lock", group_digest("g")));
        for damaged in [&b""[..], b"0123", b"0123456789abcdeg", &[0xff; 100]] {
            fs::write(&file, damaged).unwrap();
            let next = TransactionalId::claim(dir.path(), "g").id;
            assert_ne!(next, first);
            assert_eq!(TransactionalId::claim(dir.path(), "g").id, next);
        }
    }

    #[test]
    fn id_without_a_lock_file_is_random() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let ids = [TransactionalId::claim(&file, "g"), TransactionalId::claim(&file, "g")];
        assert_ne!(ids[0].id, ids[1].id);
    }
}
