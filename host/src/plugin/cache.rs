//! Compiled plugins on disk, so that one that was seen before starts at once.
//!
//! Compiled code is run as it is, so the folder must belong to this user alone, and each file carries the digest
//! of its own content: a file that was cut short or damaged is compiled again, not run.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use super::Digest;

const CHECKSUM_BYTES: usize = 32;
/// How many compiled plugins are kept; the oldest goes first.
const KEPT_FILES: usize = 32;

/// A folder of compiled plugins.
pub struct Cache {
    dir: PathBuf,
    /// Tells apart code for other versions and settings of the compiler.
    compatibility: String,
}

impl Cache {
    /// Opens the folder, and makes it if need be.
    ///
    /// # Errors
    /// When it can't be made, or others than this user could write to it.
    pub fn open(dir: PathBuf, engine: &wasmtime::Engine) -> anyhow::Result<Self> {
        let named = || format!("the cache of compiled plugins, {}", dir.display());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).with_context(named)?;
        let metadata = fs::metadata(&dir).with_context(named)?;
        let own = fs::metadata("/proc/self").map_or(metadata.uid(), |process| process.uid());
        if metadata.uid() != own || metadata.mode() & 0o022 != 0 {
            bail!(
                "{}: others can write there, and what lies there is run as code; give another one with --cache-dir, \
                 or take their right to write away",
                named()
            );
        }
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self { dir, compatibility: format!("{:016x}", hasher.finish()) })
    }

    fn path(&self, plugin: &Digest) -> PathBuf {
        self.dir.join(format!("{plugin}-{}.cwasm", self.compatibility))
    }

    /// The compiled plugin, if it is there and whole.
    pub(super) fn get(&self, engine: &wasmtime::Engine, plugin: &Digest) -> Option<Component> {
        let path = self.path(plugin);
        let file = fs::read(&path).ok()?;
        let (checksum, code) = file.split_at_checked(CHECKSUM_BYTES)?;
        if checksum != Sha256::digest(code).as_slice() {
            tracing::warn!(path = %path.display(), "a compiled plugin in the cache is damaged; compiling it again");
            return None;
        }
        // SAFETY: the code was written by `put` from what this engine's compiler made (its compatibility is in the
        // file's name), the checksum shows that it is unchanged, and only this user can write to the folder.
        unsafe { Component::deserialize(engine, code) }.ok()
    }

    /// Keeps a compiled plugin. A failure is only a warning: it costs the next start some time.
    pub(super) fn put(&self, plugin: &Digest, component: &Component) {
        let kept = component.serialize().map_err(|error| anyhow::anyhow!("{error:#}"));
        if let Err(error) = kept.and_then(|code| self.write(&self.path(plugin), &code)) {
            tracing::warn!(error = format!("{error:#}"), "could not keep the compiled plugin");
        }
    }

    fn write(&self, path: &Path, code: &[u8]) -> anyhow::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(&Sha256::digest(code))?;
        file.write_all(code)?;
        file.persist(path)?;
        self.evict()
    }

    fn evict(&self) -> anyhow::Result<()> {
        let mut files: Vec<_> = fs::read_dir(&self.dir)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "cwasm"))
            .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
            .collect();
        files.sort();
        let surplus = files.len().saturating_sub(KEPT_FILES);
        for (_, path) in files.drain(..surplus) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn what_is_damaged_is_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let engine = wasmtime::Engine::default();
        let cache = Cache::open(dir.path().join("cache"), &engine).unwrap();
        let plugin = Digest::of(COMPONENT);
        assert!(cache.get(&engine, &plugin).is_none());
        cache.put(&plugin, &Component::from_binary(&engine, COMPONENT).unwrap());
        assert!(cache.get(&engine, &plugin).is_some());
        let path = cache.path(&plugin);
        let whole = fs::read(&path).unwrap();
        let mut changed = whole.clone();
        *changed.last_mut().unwrap() ^= 1;
        for damaged in [&changed[..], &whole[..whole.len() - 1], &whole[..CHECKSUM_BYTES - 1], b""] {
            fs::write(&path, damaged).unwrap();
            assert!(cache.get(&engine, &plugin).is_none(), "{} bytes", damaged.len());
        }
        fs::write(&path, whole).unwrap();
        assert!(cache.get(&engine, &plugin).is_some());
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let refused = Cache::open(dir.path().to_owned(), &wasmtime::Engine::default()).err().unwrap();
        assert!(refused.to_string().contains("others can write there"), "{refused}");
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().join("cache"), &wasmtime::Engine::default()).unwrap();
        for number in 0..KEPT_FILES + 3 {
            cache.write(&cache.path(&Digest::of(&number.to_le_bytes())), b"code").unwrap();
        }
        let exists = |number: usize| cache.path(&Digest::of(&number.to_le_bytes())).exists();
        assert_eq!(fs::read_dir(&cache.dir).unwrap().count(), KEPT_FILES);
        assert!(exists(KEPT_FILES + 2));
    }
}
