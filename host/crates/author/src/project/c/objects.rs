//! An object cache in the project, so that unchanged sources are not compiled again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

use super::INSTALL;
use crate::project::tools::{read_output, run};
use mapper_state::files::{self, Limit};

const OBJECT_LIMIT: Limit = Limit::new("a compiled source", 256 << 20);

/// Compiles sources, and caches the objects under the digest of their inputs.
pub(super) struct Objects<'a> {
    /// Files are only copied from and to the cache, so that concurrent builds don't interfere.
    cache_dir: PathBuf,
    work: &'a Path,
    compiler: &'a str,
    /// Compiler version and flags of the project.
    settings: String,
    used: Vec<String>,
}

impl<'a> Objects<'a> {
    pub(super) fn new(cache_dir: PathBuf, work: &'a Path, compiler: &'a str, settings: String) -> Self {
        Self { cache_dir, work, compiler, settings, used: Vec::new() }
    }

    /// Returns the object file of a source. `command` is the compiler with all flags, but without action and files.
    pub(super) fn compile(
        &mut self,
        command: impl Fn() -> std::process::Command,
        source: &Path,
    ) -> anyhow::Result<PathBuf> {
        let preprocessed = read_output(command().arg("-E").arg(source), self.compiler, INSTALL)?;
        let mut digest = Sha256::new();
        for part in [&self.settings, &format!("{:?}", command().get_args().collect::<Vec<_>>()), &preprocessed] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        let name = format!("{:x}.o", digest.finalize());
        // Keep the source name in the object name, for messages of the linker.
        let source_name = source.file_name().unwrap_or_default().to_string_lossy();
        let object = self.work.join(format!("{}-{source_name}.o", self.used.len()));
        let cached = files::read(&self.cache_dir.join(&name), OBJECT_LIMIT);
        if cached.and_then(|cached| fs::write(&object, cached)).is_err() {
            run(command().arg("-c").arg(source).arg("-o").arg(&object), self.compiler, INSTALL)?;
            // The cache is optional.
            let _ = self.store(&object, &name);
        }
        self.used.push(name);
        Ok(object)
    }

    fn store(&self, object: &Path, name: &str) -> anyhow::Result<()> {
        fs::create_dir_all(&self.cache_dir)?;
        let file = tempfile::NamedTempFile::new_in(&self.cache_dir)?;
        fs::copy(object, file.path())?;
        file.persist(self.cache_dir.join(name)).context("storing the object")?;
        Ok(())
    }

    /// Removes objects that this build did not use.
    pub(super) fn remove_unused(&self) {
        for entry in fs::read_dir(&self.cache_dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if !self.used.iter().any(|used| name == **used) {
                // A concurrent build may have removed it.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
