//! Plugin files of earlier versions, by digest. A rollback works also after a restart, or if the plugin file was deleted.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mapper_core::identity::Digest;
use mapper_state::files::PLUGIN_LIMIT;
use mapper_state::files::PrivateDir;

/// Beyond this number, the least recently used file is deleted.
pub const MAX_FILES: usize = 8;
const EXTENSION: &str = ".wasm";

/// A folder of plugin files.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// The first [`Store::put`] creates the folder.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The plugins of a history, in a subfolder of its own folder.
    pub fn of_history(dir: &PrivateDir) -> Self {
        Self::new(dir.path().join("plugins"))
    }

    /// The path of a plugin, if the store has it.
    pub fn path(&self, digest: &str) -> PathBuf {
        self.dir.join(name(digest))
    }

    /// Stores a plugin. Files whose digests are in `needed` are not deleted.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn put(&self, digest: &str, bytes: &[u8], needed: &BTreeSet<&str>) -> io::Result<()> {
        let dir = PrivateDir::open(&self.dir)?;
        match dir.open_file(&name(digest)) {
            Ok(file) => file.set_modified(SystemTime::now())?,
            Err(_) => {
                let mut new = dir.new_file()?;
                new.file.write_all(bytes)?;
                new.persist(&name(digest))?;
            }
        }
        evict(&dir, digest, needed)
    }

    /// Reads a plugin.
    ///
    /// # Errors
    /// If the file is missing or damaged.
    pub fn read(&self, digest: &str) -> io::Result<Vec<u8>> {
        let bytes = PrivateDir::open(&self.dir)?.read(&name(digest), PLUGIN_LIMIT)?;
        if Digest::hash_bytes(&bytes).to_string() == digest {
            return Ok(bytes);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the file is damaged: its digest differs from its name"))
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

fn name(digest: &str) -> String {
    format!("{digest}{EXTENSION}")
}

fn evict(dir: &PrivateDir, newest: &str, needed: &BTreeSet<&str>) -> io::Result<()> {
    let mut files: Vec<(SystemTime, String)> = Vec::new();
    for (name, file) in dir.files()? {
        let digest = name.strip_suffix(EXTENSION);
        if digest.is_some_and(|digest| digest != newest && !needed.contains(digest)) {
            files.push((file.modified()?, name));
        }
    }
    files.sort();
    let most = MAX_FILES.saturating_sub(1 + needed.iter().filter(|digest| **digest != newest).count());
    let surplus = files.len().saturating_sub(most);
    files.drain(..surplus).try_for_each(|(_, name)| dir.remove(&name))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[test]
    fn number_of_files_is_bounded_and_needed_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("plugins"));
        let plugins: Vec<(String, Vec<u8>)> =
            (0..MAX_FILES as u8 + 4).map(|n| (Digest::hash_bytes(&[n]).to_string(), vec![n])).collect();
        for (index, (digest, bytes)) in plugins.iter().enumerate() {
            store.put(digest, bytes, &[plugins[0].0.as_str()].into()).unwrap();
            // The file system clock can be too coarse for the order.
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(index as u64);
            fs::File::options().append(true).open(store.path(digest)).unwrap().set_modified(time).unwrap();
        }
        let stored: Vec<usize> =
            plugins.iter().enumerate().filter(|(_, (digest, _))| store.read(digest).is_ok()).map(|(i, _)| i).collect();
        assert_eq!(stored, [&[0][..], &(5..MAX_FILES + 4).collect::<Vec<_>>()].concat());
    }

    #[test]
    fn damaged_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().to_owned());
        let digest = Digest::hash_bytes(b"plugin").to_string();
        store.put(&digest, b"plugin", &BTreeSet::new()).unwrap();
        assert_eq!(store.read(&digest).unwrap(), b"plugin");
        fs::write(store.path(&digest), "plugim").unwrap();
        assert_eq!(store.read(&digest).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(store.read("unknown").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
