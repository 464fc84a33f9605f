//! Stores the digests of a build, to skip a build with the same inputs.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use mapper_state::files::PLUGIN_LIMIT;
use mapper_state::files::folders::Folder;
use mapper_state::files::{self, Limit, PrivateDir};

/// A plugin without a stamp is rebuilt, so old stamps can be dropped.
const MAX_STAMPS: usize = 200;
const LIMIT: Limit = Limit::new("a stamp of a build", 4 << 10);

/// The stamp of a project and a plugin path.
pub(super) struct Stamp {
    stamps: PathBuf,
    name: String,
}

/// Digests of a build.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
struct Content {
    inputs: String,
    plugin: String,
}

impl Stamp {
    /// `None` if there is no cache directory.
    pub(super) fn find(dir: &Path, output: &Path) -> Option<Self> {
        let stamps = Folder::Cache.find(|name| std::env::var_os(name))?.join("builds");
        let output = std::path::absolute(output).ok()?;
        Some(Self::in_folder(&stamps, dir, &output))
    }

    fn in_folder(stamps: &Path, dir: &Path, output: &Path) -> Self {
        let name = digest(format!("{}\0{}", dir.display(), output.display()).as_bytes());
        Self { stamps: stamps.to_owned(), name: format!("{}.json", &name[..32]) }
    }

    /// Whether the file `plugin` is the result of a build from these inputs.
    pub(super) fn is_current(&self, inputs: &str, plugin: &Path) -> bool {
        self.read().is_some_and(|stamp| stamp.inputs == inputs && Some(stamp.plugin) == digest_of_file(plugin))
    }

    fn read(&self) -> Option<Content> {
        let text = PrivateDir::open(&self.stamps).and_then(|stamps| stamps.read(&self.name, LIMIT)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Stores the stamp. On failure, the next build isn't skipped.
    pub(super) fn write(&self, inputs: String, plugin: &[u8]) {
        let content = Content { inputs, plugin: digest(plugin) };
        let written = || -> anyhow::Result<()> {
            let stamps = PrivateDir::open(&self.stamps)?;
            stamps.write(&self.name, &serde_json::to_vec(&content)?)?;
            drop_oldest(&stamps)
        };
        if let Err(error) = written() {
            tracing::debug!(%error, dir = %self.stamps.display(), "failed to write the stamp of the build");
        }
    }
}

fn drop_oldest(stamps: &PrivateDir) -> anyhow::Result<()> {
    let files = stamps.files()?.into_iter();
    let mut files: Vec<_> = files.filter_map(|(name, metadata)| Some((metadata.modified().ok()?, name))).collect();
    files.sort();
    let surplus = files.len().saturating_sub(MAX_STAMPS);
    files.iter().take(surplus).try_for_each(|(_, name)| Ok(stamps.remove(name)?))
}

fn digest_of_file(path: &Path) -> Option<String> {
    files::read(path, PLUGIN_LIMIT).ok().map(|bytes| digest(&bytes))
}

fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn stamp_matches_the_same_inputs_and_plugin_only() {
        let dir = tempfile::tempdir().unwrap();
        let (stamps, plugin) = (dir.path().join("stamps"), dir.path().join("x.wasm"));
        let stamp = Stamp::in_folder(&stamps, dir.path(), &plugin);
        assert!(!stamp.is_current("a", &plugin));
        fs::write(&plugin, "built").unwrap();
        assert!(!stamp.is_current("a", &plugin));
        stamp.write("a".to_owned(), b"built");
        assert!(stamp.is_current("a", &plugin) && !stamp.is_current("b", &plugin));
        // A replaced file with the same size and modification time, and a deleted file.
        let time = fs::metadata(&plugin).unwrap().modified().unwrap();
        fs::write(&plugin, "other").unwrap();
        fs::File::options().write(true).open(&plugin).unwrap().set_modified(time).unwrap();
        assert!(!stamp.is_current("a", &plugin));
        fs::write(&plugin, "built").unwrap();
        assert!(stamp.is_current("a", &plugin));
        fs::remove_file(&plugin).unwrap();
        assert!(!stamp.is_current("a", &plugin));
        // Another plugin path has another stamp.
        fs::write(&plugin, "built").unwrap();
        assert!(!Stamp::in_folder(&stamps, dir.path(), &dir.path().join("y.wasm")).is_current("a", &plugin));
        fs::write(stamps.join(&stamp.name), "no JSON").unwrap();
        assert!(!stamp.is_current("a", &plugin));
    }

    #[test]
    fn number_of_stamps_is_limited() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..MAX_STAMPS + 5 {
            Stamp::in_folder(dir.path(), Path::new("/p"), Path::new(&format!("/{number}"))).write("a".to_owned(), b"");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), MAX_STAMPS);
    }
}
