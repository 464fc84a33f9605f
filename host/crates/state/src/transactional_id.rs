//! A transactional id that stays the same from run to run, and is no other process's at the same time.
//!
//! The same id at the next start is what ends the transaction that a killed host left open at once, instead of after
//! its timeout; a second host with the same id would fence the first. So the processes that share a state folder take numbers:
//! the lowest whose lock file is free, and the kernel frees it whatever way a process ends. In that file is a random number,
//! which no other folder has: hosts of one machine, or of containers with one name, may have folders of their own.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use anyhow::Context;
use sha2::{Digest, Sha256};

use crate::files::PrivateDir;

/// The most hosts of one group and state folder that get an id of their own that lasts.
const MAX_SLOTS: usize = 1000;

/// Of a number in a lock file, in hexadecimal.
const DIGITS: usize = 16;

/// An id, held as long as this lives.
#[derive(Debug)]
pub struct TransactionalId {
    /// The id; workers add their number.
    pub id: String,
    _lock: Option<File>,
}

impl TransactionalId {
    /// An id that the user chose.
    pub fn chosen(id: String) -> Self {
        Self { id, _lock: None }
    }

    /// The id for this group. If no lock file can be made, it is a random one, with a warning: that is safe, but after a
    /// kill readers wait for the transaction timeout.
    pub fn claim(dir: &Path, group: &str) -> Self {
        let host = hostname::get().map_or_else(|_| "unknown".to_owned(), |name| name.to_string_lossy().into_owned());
        let claimed = claim_slot(dir, &group_digest(group)).and_then(|(_, file)| Ok((own_number(&file)?, file)));
        match claimed {
            Ok((number, file)) => {
                Self { id: format!("mapper-host-{group}-{host}-{number:0DIGITS$x}"), _lock: Some(file) }
            }
            Err(error) => {
                tracing::warn!(
                    dir = %dir.display(),
                    error = format!("{error:#}"),
                    "no lock file, so the transactional id is a new one; after a kill, readers of the output wait for the \
                     transaction timeout. Give a --state-dir that can be written to"
                );
                Self::chosen(format!("mapper-host-{group}-{host}-{:016x}", rand::random::<u64>()))
            }
        }
    }
}

/// The number in a lock file that is held. What is no number, as in a new file, is replaced by one.
fn own_number(mut file: &File) -> anyhow::Result<u64> {
    let mut text = String::new();
    let is_whole = file.take(64).read_to_string(&mut text).is_ok() && text.trim_end().len() == DIGITS;
    if let Some(number) = is_whole.then(|| u64::from_str_radix(text.trim_end(), 16).ok()).flatten() {
        return Ok(number);
    }
    let number = rand::random();
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{number:0DIGITS$x}")?;
    file.sync_all()?;
    Ok(number)
}

/// A group as a part of a file's name.
pub fn group_digest(group: &str) -> String {
    Sha256::digest(group).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The lowest number that no other process has under this name, held as long as the file is open.
///
/// # Errors
/// When no lock file can be made, other users could change it, or there are too many.
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
    anyhow::bail!("{MAX_SLOTS} hosts of this group are running already");
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_id_is_held_by_one_and_then_the_next() {
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
    fn folders_of_one_machine_have_ids_of_their_own() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let ids = dirs.each_ref().map(|dir| TransactionalId::claim(dir.path(), "g").id);
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn a_file_that_was_left_half_written_gets_a_new_number() {
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
    fn without_a_lock_the_id_is_random() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let ids = [TransactionalId::claim(&file, "g"), TransactionalId::claim(&file, "g")];
        assert_ne!(ids[0].id, ids[1].id);
    }
}
