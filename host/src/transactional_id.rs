//! A transactional id that stays the same from run to run, and is no other process's at the same time.
//!
//! The same id at the next start is what ends the transaction that a killed host left open at once, instead of after
//! its timeout; a second host with the same id would fence the first. So the processes of a machine take numbers: the lowest
//! whose lock file is free, and the kernel frees it whatever way a process ends.

use std::fs::{self, File};
use std::path::Path;

use sha2::{Digest, Sha256};

/// The most hosts of one group, user and machine that get an id of their own that lasts.
const MAX_SLOTS: usize = 1000;

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
        match claim_slot(dir, &group_digest(group)) {
            Ok((slot, file)) => {
                Self { id: format!("mapper-host-{group}-{host}-{}-{slot}", user(dir)), _lock: Some(file) }
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

/// Other users of the machine have locks of their own, so their ids must differ.
fn user(dir: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(dir).map_or(0, |metadata| metadata.uid())
}

/// A group as a part of a file's name.
pub(crate) fn group_digest(group: &str) -> String {
    Sha256::digest(group).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The lowest number that no other process has under this name, held as long as the file is open.
///
/// # Errors
/// When no lock file can be made, or there are too many.
pub(crate) fn claim_slot(dir: &Path, name: &str) -> anyhow::Result<(usize, File)> {
    fs::create_dir_all(dir)?;
    for slot in 0..MAX_SLOTS {
        let file =
            File::options().create(true).truncate(false).write(true).open(dir.join(format!("{name}-{slot}.lock")))?;
        match file.try_lock() {
            Ok(()) => return Ok((slot, file)),
            Err(fs::TryLockError::WouldBlock) => {}
            Err(fs::TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    anyhow::bail!("{MAX_SLOTS} hosts of this group are running already");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_held_by_one_and_then_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let first = TransactionalId::claim(dir.path(), "visits_reader");
        let second = TransactionalId::claim(dir.path(), "visits_reader");
        let other = TransactionalId::claim(dir.path(), "other");
        assert_ne!(first.id, second.id);
        assert!(first.id.ends_with("-0") && second.id.ends_with("-1") && other.id.ends_with("-0"));
        let id = first.id.clone();
        drop(first);
        assert_eq!(TransactionalId::claim(dir.path(), "visits_reader").id, id);
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
