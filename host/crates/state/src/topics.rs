//! The input topics of a group by index, in a file that all hosts of a state folder share.
//!
//! In the history of versions and in the in-flight markers a partition is a number, which has the index of its topic. So the index of a
//! topic never changes, whatever the order in which later runs list or discover their topics.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::claim::{StateClaim, digest};
use crate::files::{Limit, PrivateDir};
use mapper_core::topic_table::TopicStore;

const LIMIT: Limit = Limit::new("a file of input topics", 16 << 20);
/// Another host holds the lock only while it writes the file.
const LOCK_LIMIT: Duration = Duration::from_secs(10);
const LOCK_POLL: Duration = Duration::from_millis(5);

/// The file with the input topics of a group.
#[derive(Debug)]
pub struct TopicFile {
    dir: PrivateDir,
    name: String,
}

impl TopicFile {
    /// Opens the file of a group, and adds these topics. Returns all topics by index.
    ///
    /// # Errors
    /// If the file can't be read or written.
    pub fn open(claim: &StateClaim, topics: &[&str]) -> anyhow::Result<(Self, Vec<String>)> {
        let file = Self { dir: claim.dir()?.clone(), name: file_name(claim.group()) };
        let all = file.add(topics)?;
        Ok((file, all))
    }

    /// The topics of a group by index, without a claim. Empty if no host has kept any.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn read_all(dir: &Path, group: &str) -> anyhow::Result<Vec<String>> {
        let file = Self { dir: PrivateDir::open(dir)?, name: file_name(group) };
        Ok(file.read()?.unwrap_or_default())
    }

    fn read(&self) -> anyhow::Result<Option<Vec<String>>> {
        let path = || self.dir.path().join(&self.name);
        match self.dir.read(&self.name, LIMIT) {
            Ok(text) => serde_json::from_slice(&text).map(Some).with_context(|| {
                format!(
                    "malformed file of input topics: {}. Remove it and the other files of this group",
                    path().display()
                )
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| path().display().to_string()),
        }
    }

    /// Adds the topics that are missing. Returns all.
    fn add(&self, topics: &[&str]) -> anyhow::Result<Vec<String>> {
        let _lock = self.lock()?;
        let known = self.read()?;
        let mut all = known.clone().unwrap_or_default();
        for topic in topics {
            if all.iter().all(|known| known != topic) {
                all.push((*topic).to_owned());
            }
        }
        if known.as_ref() != Some(&all) {
            // A later line of the history refers to it, and that is synced, too.
            let mut new = self.dir.new_file()?;
            new.file.write_all(&serde_json::to_vec(&all)?)?;
            new.file.sync_all()?;
            new.persist(&self.name)?;
        }
        Ok(all)
    }

    fn lock(&self) -> anyhow::Result<File> {
        let name = format!("{}.lock", self.name);
        let file = self.dir.open_or_create(&name)?;
        let deadline = Instant::now() + LOCK_LIMIT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_POLL),
                Err(TryLockError::WouldBlock) => anyhow::bail!("another host holds the lock of {name}"),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
    }
}

fn file_name(group: &str) -> String {
    format!("{}-topics.json", digest(&[group]))
}

impl TopicStore for TopicFile {
    fn register(&self, topic: &str) -> Result<Vec<String>, String> {
        let failed = |error| format!("failed to keep the input topic '{topic}' in {}: {error:#}", self.name);
        self.add(&[topic]).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path, group: &str, topics: &[&str]) -> (TopicFile, Vec<String>) {
        TopicFile::open(&StateClaim::open(dir, group).unwrap(), topics).unwrap()
    }

    #[test]
    fn index_of_a_topic_is_the_same_in_every_run_and_for_every_host() {
        let dir = tempfile::tempdir().unwrap();
        let (first, topics) = open(dir.path(), "readers", &["visits", "orders"]);
        assert_eq!(topics, ["visits", "orders"]);
        // A later run lists a topic in front of them, and a host that is still running discovers another.
        let (_, topics) = open(dir.path(), "readers", &["added", "visits", "orders"]);
        assert_eq!(topics, ["visits", "orders", "added"]);
        assert_eq!(first.register("discovered").unwrap(), ["visits", "orders", "added", "discovered"]);
        assert_eq!(first.register("orders").unwrap().len(), 4);
        let (_, topics) = open(dir.path(), "readers", &[]);
        assert_eq!(topics, ["visits", "orders", "added", "discovered"]);
        assert_eq!(open(dir.path(), "others", &["orders"]).1, ["orders"], "each group has its own");
    }

    #[test]
    fn malformed_file_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let (file, _) = open(dir.path(), "readers", &["visits"]);
        std::fs::write(dir.path().join(&file.name), "[\"vis").unwrap();
        let claim = StateClaim::open(dir.path(), "readers").unwrap();
        let error = format!("{:#}", TopicFile::open(&claim, &["visits"]).unwrap_err());
        assert!(error.contains(&file.name), "{error}");
    }
}
