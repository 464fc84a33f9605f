//! Plugin files that have spoken, kept by digest, so that there is a way back after a restart and when the file is gone.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mapper_core::identity::Digest;
use mapper_state::files::PLUGIN_LIMIT;
use mapper_state::files::PrivateDir;

/// How many are kept; the one that was used longest ago goes first.
pub const KEPT: usize = 8;
const EXTENSION: &str = ".wasm";

/// A folder of plugin files.
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// A store in this folder, which is made with the first file.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Where the plugin of this digest is, if it is kept.
    pub fn path(&self, digest: &str) -> PathBuf {
        self.dir.join(name(digest))
    }

    /// Keeps a plugin. `needed`: digests that must stay whatever comes.
    ///
    /// # Errors
    /// When it can't be written.
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

    /// The plugin of this digest.
    ///
    /// # Errors
    /// When it is not there, or is not what it was.
    pub fn get(&self, digest: &str) -> io::Result<Vec<u8>> {
        let bytes = PrivateDir::open(&self.dir)?.read(&name(digest), PLUGIN_LIMIT)?;
        if Digest::hash_bytes(&bytes).to_string() == digest {
            return Ok(bytes);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "it is damaged: its digest is another one"))
    }

    /// Where they are.
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
    let most = KEPT.saturating_sub(1 + needed.iter().filter(|digest| **digest != newest).count());
    let surplus = files.len().saturating_sub(most);
    files.drain(..surplus).try_for_each(|(_, name)| dir.remove(&name))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_needed_stays_and_the_number_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("plugins"));
        let plugins: Vec<(String, Vec<u8>)> =
            (0..KEPT as u8 + 4).map(|n| (Digest::hash_bytes(&[n]).to_string(), vec![n])).collect();
        for (index, (digest, bytes)) in plugins.iter().enumerate() {
            store.put(digest, bytes, &[plugins[0].0.as_str()].into()).unwrap();
            // The order must not depend on the clock of the file system.
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(index as u64);
            fs::File::options().append(true).open(store.path(digest)).unwrap().set_modified(time).unwrap();
        }
        let there: Vec<usize> =
            plugins.iter().enumerate().filter(|(_, (digest, _))| store.get(digest).is_ok()).map(|(i, _)| i).collect();
        assert_eq!(there, [&[0][..], &(5..KEPT + 4).collect::<Vec<_>>()].concat());
    }

    #[test]
    fn a_damaged_file_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().to_owned());
        let digest = Digest::hash_bytes(b"plugin").to_string();
        store.put(&digest, b"plugin", &BTreeSet::new()).unwrap();
        assert_eq!(store.get(&digest).unwrap(), b"plugin");
        fs::write(store.path(&digest), "plugim").unwrap();
        assert_eq!(store.get(&digest).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(store.get("unknown").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
