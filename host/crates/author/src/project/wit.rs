//! The contract that a project is built against: its own copy, or this host's.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// The contract of this release.
const WIT: &str = include_str!("../../../../../wit/mapper.wit");
/// The world of one record a call.
pub(super) const RECORD_WORLD: &str = "mapper";
/// The world of a batch a call.
pub(super) const BATCH_WORLD: &str = "mapper-batch";

/// The folder of the contract: `wit` of the project, or one made in `work` when the project has none.
pub(super) fn folder(project: &Path, work: &Path) -> anyhow::Result<PathBuf> {
    let own = project.join("wit");
    if own.is_dir() {
        return Ok(own);
    }
    let dir = work.join("wit");
    std::fs::create_dir(&dir).and_then(|()| std::fs::write(dir.join("mapper.wit"), WIT)).context("the contract")?;
    Ok(dir)
}
