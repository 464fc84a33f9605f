//! A directory of compiled plugins, so that a known plugin starts without compiling.
//!
//! The host executes cached code without validation. So only this user may be able to write to the directory, and each file
//! contains the digest of its content. A truncated or damaged file is compiled again. The cache is optional: it only saves time.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use mapper_core::identity::Digest;
use mapper_state::files::{Limit, PrivateDir};

const CHECKSUM_BYTES: usize = 32;
const EXTENSION: &str = ".cwasm";
/// The cache evicts the oldest files beyond this number.
const MAX_FILES: usize = 32;
/// Compiled code is a few times larger than a plugin, whose size is limited.
const LIMIT: Limit = Limit::new("a compiled plugin", 1 << 30);

pub struct Cache {
    dir: PrivateDir,
    /// Hash of the compiler's version and settings.
    compatibility: String,
}

impl Cache {
    /// Opens or creates the directory. Logs a warning and returns `None` if other users can write to it or this user can't.
    pub fn open(dir: &Path, engine: &wasmtime::Engine) -> Option<Self> {
        match PrivateDir::open(dir) {
            Ok(dir) => Some(Self::new(dir, engine)),
            Err(error) => {
                tracing::warn!(
                    %error,
                    "compiled plugins are not cached: the host executes code from the cache directory, so only this user \
                     may be able to write to it. Set another directory with --cache-dir"
                );
                None
            }
        }
    }

    fn new(dir: PrivateDir, engine: &wasmtime::Engine) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { dir, compatibility: format!("{:016x}", hasher.finish()) }
    }

    fn file_name(&self, plugin: &Digest) -> String {
        format!("{plugin}-{}{EXTENSION}", self.compatibility)
    }

    /// The compiled plugin, if the cache has an intact file.
    pub(super) fn get(&self, engine: &wasmtime::Engine, plugin: &Digest) -> Option<Component> {
        let name = self.file_name(plugin);
        let failed = |reason: &str| {
            let path = self.dir.path().join(&name);
            tracing::warn!(path = %path.display(), reason, "ignored an unusable file in the compilation cache; compiling the plugin again");
        };
        let file = match self.dir.read(&name, LIMIT) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                failed(&error.to_string());
                return None;
            }
        };
        let (checksum, code) = file.split_at_checked(CHECKSUM_BYTES).unwrap_or_default();
        if checksum != Sha256::digest(code).as_slice() {
            failed("the checksum does not match");
            return None;
        }
        // SAFETY: `put` wrote this code from the output of a compatible compiler: the file name contains the compatibility
        // hash. The checksum proves that it is unchanged, and only this user can write to the directory.
        unsafe { Component::deserialize(engine, code) }.ok()
    }

    /// Stores a serialized component. A failure is only a warning, because it merely slows down the next start.
    pub(super) fn put(&self, plugin: &Digest, code: &[u8]) {
        if let Err(error) = self.write(&self.file_name(plugin), code) {
            tracing::warn!(%error, "failed to cache the compiled plugin");
        }
    }

    fn write(&self, name: &str, code: &[u8]) -> io::Result<()> {
        let mut new = self.dir.new_file()?;
        new.file.write_all(&Sha256::digest(code))?;
        new.file.write_all(code)?;
        // The checksum detects an incomplete file, so no fsync is needed.
        new.rename(name)?;
        self.evict()
    }

    fn evict(&self) -> io::Result<()> {
        let files = self.dir.files()?.into_iter().filter(|(name, _)| name.ends_with(EXTENSION));
        let mut files = files.map(|(name, file)| Ok((file.modified()?, name))).collect::<io::Result<Vec<_>>>()?;
        files.sort();
        let surplus = files.len().saturating_sub(MAX_FILES);
        files.drain(..surplus).try_for_each(|(_, name)| self.dir.remove(&name))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn damaged_file_is_not_executed() {
        let dir = tempfile::tempdir().unwrap();
        let engine = wasmtime::Engine::default();
        let cache = Cache::open(&dir.path().join("cache"), &engine).unwrap();
        let plugin = Digest::hash_bytes(COMPONENT);
        assert!(cache.get(&engine, &plugin).is_none());
        cache.put(&plugin, &engine.precompile_component(COMPONENT).unwrap());
        assert!(cache.get(&engine, &plugin).is_some());
        let path = cache.dir.path().join(cache.file_name(&plugin));
        let intact = fs::read(&path).unwrap();
        let mut changed = intact.clone();
        *changed.last_mut().unwrap() ^= 1;
        for damaged in [&changed[..], &intact[..intact.len() - 1], &intact[..CHECKSUM_BYTES - 1], b""] {
            fs::write(&path, damaged).unwrap();
            assert!(cache.get(&engine, &plugin).is_none(), "{} bytes", damaged.len());
        }
        fs::write(&path, intact).unwrap();
        assert!(cache.get(&engine, &plugin).is_some());
    }

    #[test]
    fn symlink_or_fifo_in_the_cache_is_ignored_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let engine = wasmtime::Engine::default();
        let cache = Cache::open(&dir.path().join("cache"), &engine).unwrap();
        let (plugin, code) = (Digest::hash_bytes(COMPONENT), engine.precompile_component(COMPONENT).unwrap());
        let path = cache.dir.path().join(cache.file_name(&plugin));
        cache.put(&plugin, &code);
        let elsewhere = dir.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        for target in [elsewhere.as_path(), Path::new("/dev/zero")] {
            symlink(target, &path).unwrap();
            assert!(cache.get(&engine, &plugin).is_none(), "{}", target.display());
            cache.put(&plugin, &code);
            assert!(cache.get(&engine, &plugin).is_some() && path.symlink_metadata().unwrap().is_file());
            fs::remove_file(&path).unwrap();
        }
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        assert!(cache.get(&engine, &plugin).is_none());
        cache.put(&plugin, &code);
        assert!(cache.get(&engine, &plugin).is_some());
    }

    #[test]
    fn directory_writable_by_others_disables_the_cache() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        for path in [dir.path().to_owned(), dir.path().join("below")] {
            assert!(Cache::open(&path, &wasmtime::Engine::default()).is_none(), "{}", path.display());
        }
    }

    #[test]
    fn oldest_file_is_evicted_beyond_the_maximum() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache"), &wasmtime::Engine::default()).unwrap();
        let name = |number: usize| cache.file_name(&Digest::hash_bytes(&number.to_le_bytes()));
        for number in 0..MAX_FILES + 3 {
            cache.write(&name(number), b"code").unwrap();
        }
        assert_eq!(cache.dir.files().unwrap().len(), MAX_FILES);
        assert!(cache.dir.has(&name(MAX_FILES + 2)));
    }
}
