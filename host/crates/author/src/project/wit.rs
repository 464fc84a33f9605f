//! The contract of a build: the copy in the project, or that of this host.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// The contract of this release.
const WIT: &str = include_str!("../../../../../wit/mapper.wit");
/// One record per call.
pub(super) const RECORD_WORLD: &str = "mapper";
/// One batch per call.
pub(super) const BATCH_WORLD: &str = "mapper-batch";

/// Returns `wit` in the project, or creates it in `work`.
pub(super) fn dir(project: &Path, work: &Path) -> anyhow::Result<PathBuf> {
    let own = project.join("wit");
    if own.is_dir() {
        return Ok(own);
    }
    let dir = work.join("wit");
    std::fs::create_dir(&dir)
        .and_then(|()| std::fs::write(dir.join("mapper.wit"), WIT))
        .context("writing the contract")?;
    Ok(dir)
}
