//! Compiled sources, kept in the project: what has not changed since is not compiled again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

use super::INSTALL;
use crate::project::tools::{output_of, run};
use mapper_state::files::{self, Limit};

const OBJECT_LIMIT: Limit = Limit::new("a compiled source", 256 << 20);

/// Compiles sources and keeps what comes of it, under a name that says what went in.
pub(super) struct Objects<'a> {
    /// Where they are kept. A build only copies from there and to there, so that others may build at the same time.
    kept: PathBuf,
    work: &'a Path,
    compiler: &'a str,
    /// What the compiler is, and what it is told beside its arguments.
    setting: String,
    used: Vec<String>,
}

impl<'a> Objects<'a> {
    pub(super) fn new(kept: PathBuf, work: &'a Path, compiler: &'a str, setting: String) -> Self {
        Self { kept, work, compiler, setting, used: Vec::new() }
    }

    /// The object of a source, compiled by `command`, which has all arguments but what to do.
    pub(super) fn object(
        &mut self,
        command: impl Fn() -> std::process::Command,
        source: &Path,
    ) -> anyhow::Result<PathBuf> {
        let text = output_of(command().arg("-E").arg(source), self.compiler, INSTALL)?;
        let mut digest = Sha256::new();
        for part in [&self.setting, &format!("{:?}", command().get_args().collect::<Vec<_>>()), &text] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        let name = format!("{:x}.o", digest.finalize());
        // What the linker has to say of it is understood then.
        let source_name = source.file_name().unwrap_or_default().to_string_lossy();
        let object = self.work.join(format!("{}-{source_name}.o", self.used.len()));
        let kept = files::read(&self.kept.join(&name), OBJECT_LIMIT);
        if kept.and_then(|kept| fs::write(&object, kept)).is_err() {
            run(command().arg("-c").arg(source).arg("-o").arg(&object), self.compiler, INSTALL)?;
            // Where nothing can be kept, all is compiled each time.
            let _ = self.keep(&object, &name);
        }
        self.used.push(name);
        Ok(object)
    }

    fn keep(&self, object: &Path, name: &str) -> anyhow::Result<()> {
        fs::create_dir_all(&self.kept)?;
        let file = tempfile::NamedTempFile::new_in(&self.kept)?;
        fs::copy(object, file.path())?;
        file.persist(self.kept.join(name)).context("what was compiled")?;
        Ok(())
    }

    /// Drops what was kept and is not part of this build.
    pub(super) fn tidy(&self) {
        for entry in fs::read_dir(&self.kept).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if !self.used.iter().any(|used| name == **used) {
                // Another build may have been faster.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
