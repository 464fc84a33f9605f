//! promtool, which checks alert rules.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::broker_dir::target_dir;
use crate::kafka::run;

/// The Debian package that has it.
const PACKAGE: &str = "prometheus";

/// The path of promtool: that of this machine, or one from the Debian package in the target directory, which needs no installation.
///
/// # Panics
/// If this machine has none and is no Debian.
pub fn promtool() -> PathBuf {
    if Command::new("promtool").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return "promtool".into();
    }
    unpacked().unwrap_or_else(|error| {
        panic!(
            "promtool is not on the PATH, and it can not be downloaded: {error:#}. Install it: apt-get install {PACKAGE} (Debian), or \
             brew install {PACKAGE} (macOS)"
        )
    })
}

fn unpacked() -> Result<PathBuf> {
    let home = target_dir()?.join("promtool");
    fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    // Held to the end of this function: tests run in parallel.
    let lock = File::create(home.join("lock"))?;
    lock.lock()?;
    let promtool = home.join("root/usr/bin/promtool");
    if !promtool.exists() {
        download(&home)?;
        let packages = fs::read_dir(&home)?.filter_map(|entry| Some(entry.ok()?.path()));
        let package = packages.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "deb"));
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("--extract").arg(package.context("apt-get has downloaded no package")?).arg(home.join("part"));
        run(unpack)?;
        // Only a complete one has the final name.
        fs::rename(home.join("part"), home.join("root"))?;
    }
    Ok(promtool)
}

/// Downloads the package with lists of its own, as only root can update those of the machine.
fn download(home: &Path) -> Result<()> {
    for dir in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(home.join(dir))?;
    }
    for command in [&["update"][..], &["download", PACKAGE]] {
        let mut apt = Command::new("apt-get");
        apt.current_dir(home).args(["-qq", "-o", "APT::Sandbox::User=root"]);
        apt.arg("-o").arg(format!("Dir::State::Lists={}", home.join("lists").display()));
        apt.arg("-o").arg(format!("Dir::Cache={}", home.join("cache").display()));
        apt.args(command);
        run(apt)?;
    }
    Ok(())
}
