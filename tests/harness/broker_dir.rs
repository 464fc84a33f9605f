//! The jars of Kafka, and a directory for each broker of the tests.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::kafka::run;

/// The broker's jars, pinned. Its text is also the marker of a complete download: a changed pin downloads again.
const POM: &str = include_str!("../kafka/pom.xml");

/// The folder of that pom and of the broker's other settings.
pub(crate) const KAFKA_DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kafka");

/// The jars, downloaded if needed, and a directory for one broker with the file that locks it.
pub(crate) fn claim_dir() -> Result<(PathBuf, TempDir, File)> {
    let home = target_dir()?.join("kafka");
    let runs = home.join("run");
    fs::create_dir_all(&runs).with_context(|| format!("cannot create {}", runs.display()))?;
    // Held to the end of this function: test processes run in parallel.
    let lock = File::create(home.join("lock"))?;
    lock.lock()?;
    let (jars, marker) = (home.join("jars"), home.join("complete"));
    if fs::read_to_string(&marker).ok().as_deref() != Some(POM) {
        if jars.exists() {
            fs::remove_dir_all(&jars)?;
        }
        let mut output = OsString::from("-DoutputDirectory=");
        output.push(&jars);
        let mut mvn = Command::new("mvn");
        mvn.args(["-q", "-B", "-f"]).arg(Path::new(KAFKA_DIR).join("pom.xml"));
        mvn.arg("dependency:copy-dependencies").arg(output);
        run(mvn)?;
        fs::write(&marker, POM)?;
    }
    sweep(&runs)?;
    let dir = tempfile::Builder::new().prefix("broker-").tempdir_in(&runs)?;
    let claim = File::create(dir.path().join("claim"))?;
    claim.lock()?;
    Ok((jars, dir, claim))
}

/// Removes the directories of ended test processes: nothing drops a shared broker.
fn sweep(runs: &Path) -> Result<()> {
    for entry in fs::read_dir(runs)? {
        let path = entry?.path();
        if File::open(path.join("claim")).map_or(true, |claim| claim.try_lock().is_ok()) {
            // Another process may be dropping it at this moment.
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

/// The directory cargo builds into; it marks it with a CACHEDIR.TAG.
pub fn target_dir() -> Result<PathBuf> {
    let binary = std::env::current_exe()?;
    let marked = binary.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file());
    Ok(marked.with_context(|| format!("{} is not in a cargo target directory", binary.display()))?.to_owned())
}
