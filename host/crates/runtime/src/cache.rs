//! Compiled plugins on disk, so that one that was seen before starts at once.
//!
//! Compiled code is run as it is, so nobody but this user may be able to change the directory, and each file carries the digest
//! of its own content: a file that was cut short or damaged is compiled again, not run. Without such a directory there is no
//! cache: it only saves time.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use super::Digest;
use mapper_state::files::{Limit, PrivateDir};

const CHECKSUM_BYTES: usize = 32;
const EXTENSION: &str = ".cwasm";
/// How many compiled plugins are kept; the oldest goes first.
const KEPT_FILES: usize = 32;
/// Compiled code has a few times the size of a plugin, which is limited.
const LIMIT: Limit = Limit::new("a compiled plugin", 1 << 30);

/// A directory of compiled plugins.
pub struct Cache {
    dir: PrivateDir,
    /// Tells apart code for other versions and settings of the compiler.
    compatibility: String,
}

impl Cache {
    /// Opens the directory, and makes it if need be. If other users could change what is in it, or it can't be written to, there
    /// is no cache, and the log says why.
    pub fn open(dir: &Path, engine: &wasmtime::Engine) -> Option<Self> {
        match PrivateDir::open(dir) {
            Ok(dir) => Some(Self::of(dir, engine)),
            Err(error) => {
                tracing::warn!(
                    %error,
                    "compiled plugins are not cached: what is in the directory is run as code, so only this user may be able \
                     to change it. Give another directory with --cache-dir"
                );
                None
            }
        }
    }

    fn of(dir: PrivateDir, engine: &wasmtime::Engine) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { dir, compatibility: format!("{:016x}", hasher.finish()) }
    }

    fn name(&self, plugin: &Digest) -> String {
        format!("{plugin}-{}{EXTENSION}", self.compatibility)
    }

    /// The compiled plugin, if it is there and whole.
    pub(super) fn get(&self, engine: &wasmtime::Engine, plugin: &Digest) -> Option<Component> {
        let name = self.name(plugin);
        let failed = |reason: &str| {
            let path = self.dir.path().join(&name);
            tracing::warn!(path = %path.display(), reason, "a compiled plugin in the cache can't be used; compiling it again");
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
            failed("it is damaged");
            return None;
        }
        // SAFETY: the code was written by `put` from what this engine's compiler made (its compatibility is in the
        // file's name), the checksum shows that it is unchanged, and only this user can change the directory.
        unsafe { Component::deserialize(engine, code) }.ok()
    }

    /// Keeps a compiled plugin: a serialized component. A failure is only a warning: it costs the next start some time.
    pub(super) fn put(&self, plugin: &Digest, code: &[u8]) {
        if let Err(error) = self.write(&self.name(plugin), code) {
            tracing::warn!(%error, "could not keep the compiled plugin");
        }
    }

    fn write(&self, name: &str, code: &[u8]) -> io::Result<()> {
        let mut new = self.dir.new_file()?;
        new.file.write_all(&Sha256::digest(code))?;
        new.file.write_all(code)?;
        // Its digest shows whether it is whole: nothing need be durable.
        new.rename(name)?;
        self.evict()
    }

    fn evict(&self) -> io::Result<()> {
        let files = self.dir.files()?.into_iter().filter(|(name, _)| name.ends_with(EXTENSION));
        let mut files = files.map(|(name, file)| Ok((file.modified()?, name))).collect::<io::Result<Vec<_>>>()?;
        files.sort();
        let surplus = files.len().saturating_sub(KEPT_FILES);
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
    fn what_is_damaged_is_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let engine = wasmtime::Engine::default();
        let cache = Cache::open(&dir.path().join("cache"), &engine).unwrap();
        let plugin = Digest::hash_bytes(COMPONENT);
        assert!(cache.get(&engine, &plugin).is_none());
        cache.put(&plugin, &engine.precompile_component(COMPONENT).unwrap());
        assert!(cache.get(&engine, &plugin).is_some());
        let path = cache.dir.path().join(cache.name(&plugin));
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
    fn entry_that_is_no_file_of_the_cache_is_compiled_again_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let engine = wasmtime::Engine::default();
        let cache = Cache::open(&dir.path().join("cache"), &engine).unwrap();
        let (plugin, code) = (Digest::hash_bytes(COMPONENT), engine.precompile_component(COMPONENT).unwrap());
        let path = cache.dir.path().join(cache.name(&plugin));
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
    fn directory_that_others_can_change_is_no_cache() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        for path in [dir.path().to_owned(), dir.path().join("below")] {
            assert!(Cache::open(&path, &wasmtime::Engine::default()).is_none(), "{}", path.display());
        }
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache"), &wasmtime::Engine::default()).unwrap();
        let name = |number: usize| cache.name(&Digest::hash_bytes(&number.to_le_bytes()));
        for number in 0..KEPT_FILES + 3 {
            cache.write(&name(number), b"code").unwrap();
        }
        assert_eq!(cache.dir.files().unwrap().len(), KEPT_FILES);
        assert!(cache.dir.has(&name(KEPT_FILES + 2)));
    }
}
