//! The histories and plugins that the hosts of a group have kept on this machine. They are read without a claim, also while hosts run.

use std::path::{Path, PathBuf};

use crate::history::{History, Term, Version};
use crate::journal;
use crate::store::Store;
use mapper_state::claim::history_dirs;

/// The history and the plugins of one slot of the state folder.
struct Slot {
    history: History,
    store: Store,
}

/// The histories of a group. A host has one, and hosts that share a state folder have one each.
#[derive(Default)]
pub struct Archive {
    slots: Vec<Slot>,
}

/// No version, or several versions, are what is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unclear {
    None,
    Several(Vec<Version>),
}

impl Archive {
    /// Reads all histories of a group. Without any, the archive is empty.
    ///
    /// # Errors
    /// If a history can't be read or is damaged.
    pub fn open(state_dir: &Path, group: &str) -> anyhow::Result<Self> {
        let mut slots = Vec::new();
        for dir in history_dirs(state_dir, group)? {
            if let Some(history) = journal::read_unchanged(&dir)?.filter(|history| history.last().is_some()) {
                slots.push(Slot { history, store: Store::of_history(&dir) });
            }
        }
        Ok(Self { slots })
    }

    pub fn histories(&self) -> impl Iterator<Item = &History> {
        self.slots.iter().map(|slot| &slot.history)
    }

    fn terms(&self) -> impl Iterator<Item = &Term> {
        self.histories().flat_map(History::terms)
    }

    /// The version that is active in all histories.
    ///
    /// # Errors
    /// If there is no history, or the histories differ.
    pub fn active(&self) -> Result<Version, Unclear> {
        only(self.histories().filter_map(History::last))
    }

    /// The version with this digest, or with these first digits of it.
    ///
    /// # Errors
    /// If no version begins so, or several do.
    pub fn find(&self, digest: &str) -> Result<Version, Unclear> {
        only(self.terms().filter(|term| term.version.digest.starts_with(digest)))
    }

    /// All versions, each once.
    pub fn versions(&self) -> Vec<Version> {
        distinct(self.terms())
    }

    /// The stored file of a version; `None` if no host has it any more.
    pub fn file(&self, digest: &str) -> Option<PathBuf> {
        self.slots.iter().map(|slot| slot.store.path(digest)).find(|path| path.is_file())
    }
}

fn distinct<'h>(terms: impl Iterator<Item = &'h Term>) -> Vec<Version> {
    let mut versions: Vec<Version> = Vec::new();
    for Term { version, .. } in terms {
        if versions.iter().all(|known| known.digest != version.digest) {
            versions.push(version.clone());
        }
    }
    versions
}

fn only<'h>(terms: impl Iterator<Item = &'h Term>) -> Result<Version, Unclear> {
    let mut versions = distinct(terms);
    match versions.len() {
        0 => Err(Unclear::None),
        1 => Ok(versions.remove(0)),
        _ => Err(Unclear::Several(versions)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::history::Trigger;
    use crate::journal::Journal;
    use mapper_state::StateClaim;

    fn version(digest: &str) -> Version {
        Version { name: "m".into(), version: "1".into(), digest: digest.into() }
    }

    /// A host that has these versions one after the other. The claim keeps its slot.
    fn host(dir: &Path, versions: &[&str]) -> StateClaim {
        let claim = StateClaim::open(dir, "readers").unwrap();
        let history = claim.history_dir().unwrap();
        let store = Store::of_history(&history);
        let journal = Journal::open(history).unwrap();
        for digest in versions {
            journal.begin(version(digest), Trigger::Http, false);
            store.put(digest, digest.as_bytes(), &BTreeSet::new()).unwrap();
        }
        claim
    }

    #[test]
    fn versions_of_running_hosts_are_found_by_their_first_digits() {
        let dir = tempfile::tempdir().unwrap();
        let _first = host(dir.path(), &["aaaa1", "bbbb1"]);
        let archive = Archive::open(dir.path(), "readers").unwrap();
        assert_eq!(archive.active(), Ok(version("bbbb1")));
        let _second = host(dir.path(), &["aaaa2", "bbbb1"]);
        let archive = Archive::open(dir.path(), "readers").unwrap();
        assert_eq!(archive.active(), Ok(version("bbbb1")));
        assert_eq!(archive.find("bbbb"), Ok(version("bbbb1")));
        assert_eq!(archive.find("aaaa2"), Ok(version("aaaa2")));
        assert_eq!(archive.find("aaaa"), Err(Unclear::Several(vec![version("aaaa1"), version("aaaa2")])));
        assert_eq!(archive.find("cccc"), Err(Unclear::None));
        let path = archive.file("aaaa2").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"aaaa2");
        std::fs::remove_file(path).unwrap();
        assert_eq!((archive.file("aaaa2"), archive.versions().len()), (None, 3));
    }

    #[test]
    fn hosts_with_different_versions_have_no_common_active_version() {
        let dir = tempfile::tempdir().unwrap();
        let _hosts = [host(dir.path(), &["a"]), host(dir.path(), &["b"])];
        let archive = Archive::open(dir.path(), "readers").unwrap();
        assert_eq!(archive.active(), Err(Unclear::Several(vec![version("a"), version("b")])));
    }

    #[test]
    fn reading_creates_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        assert_eq!(Archive::open(&missing, "readers").unwrap().active(), Err(Unclear::None));
        assert!(!missing.exists());
        assert_eq!(Archive::open(dir.path(), "readers").unwrap().active(), Err(Unclear::None));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let claim = host(dir.path(), &["a"]);
        let path = claim.history_dir().unwrap().path().join("history.jsonl");
        let damaged = [b"nonsense\n", std::fs::read(&path).unwrap().as_slice()].concat();
        std::fs::write(&path, &damaged).unwrap();
        let error = Archive::open(dir.path(), "readers").err().unwrap().to_string();
        assert!(error.contains("history.jsonl: line 1 is damaged"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), damaged);
        assert!(!path.with_file_name("history.damaged").exists());
    }
}
