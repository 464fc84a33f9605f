//! Results of earlier runs: one file per plugin name, one line per run.

use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use mapper_state::files::{Limit, PrivateDir};

/// Runs per plugin.
const MAX_RUNS: usize = 100;
/// A run has a few hundred bytes.
const LIMIT: Limit = Limit::new("a file of measurements", 4 << 20);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    /// Time of the run, for display.
    pub(super) at: String,
    /// Version of the host.
    pub(super) host: String,
    /// Debug build of the host.
    pub(super) debug: bool,
    /// Version of the plugin.
    pub(super) version: String,
    /// Digest of the plugin.
    pub(super) digest: String,
    /// Digest of the records.
    pub(super) input: String,
    pub(super) batch_records: usize,
    pub(super) batch_p50_us: f64,
    pub(super) batch_p99_us: f64,
    pub(super) single_p50_us: f64,
    pub(super) single_p99_us: f64,
    pub(super) compile_ms: f64,
    pub(super) instance_ms: f64,
    pub(super) memory_bytes: u64,
}

/// A plugin name can contain any character, so this prevents path traversal.
fn file_name(plugin: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    plugin.chars().map(safe).collect::<String>() + ".jsonl"
}

/// # Errors
/// The directory can't be opened, or other users can write to it.
fn open(state_dir: &Path) -> anyhow::Result<PrivateDir> {
    PrivateDir::open(&state_dir.join("bench")).context("failed to store the results. Set another --state-dir")
}

fn lines(dir: &PrivateDir, plugin: &str) -> anyhow::Result<Vec<String>> {
    let name = file_name(plugin);
    match dir.read(&name, LIMIT) {
        Ok(text) => Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| dir.path().join(&name).display().to_string()),
    }
}

/// The last run of the plugin. `None` if another version of the host wrote it in an unknown format.
pub(super) fn last(state_dir: &Path, plugin: &str) -> anyhow::Result<Option<Run>> {
    Ok(lines(&open(state_dir)?, plugin)?.last().and_then(|line| serde_json::from_str(line).ok()))
}

/// Adds a run, and drops the oldest beyond the maximum.
pub(super) fn append(state_dir: &Path, plugin: &str, run: &Run) -> anyhow::Result<()> {
    let (dir, name) = (open(state_dir)?, file_name(plugin));
    let mut lines = lines(&dir, plugin)?;
    lines.push(serde_json::to_string(run)?);
    let lines = &lines[lines.len().saturating_sub(MAX_RUNS)..];
    let written = dir.write(&name, (lines.join("\n") + "\n").as_bytes());
    written.with_context(|| format!("storing the results in {}", dir.path().join(&name).display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_stored_per_plugin_and_limited() {
        let dir = tempfile::tempdir().unwrap();
        let run = |records| Run {
            at: "1970-01-01 00:00 UTC".into(),
            host: "1".into(),
            debug: false,
            version: "2".into(),
            digest: "d".into(),
            input: "i".into(),
            batch_records: records,
            batch_p50_us: 0.5,
            batch_p99_us: 1.0,
            single_p50_us: 2.0,
            single_p99_us: 3.0,
            compile_ms: 4.0,
            instance_ms: 5.0,
            memory_bytes: 6,
        };
        assert_eq!(last(dir.path(), "a").unwrap(), None);
        for records in 0..MAX_RUNS + 5 {
            append(dir.path(), "../a", &run(records)).unwrap();
        }
        append(dir.path(), "b", &run(0)).unwrap();
        assert_eq!(last(dir.path(), "../a").unwrap(), Some(run(MAX_RUNS + 4)));
        assert_eq!(lines(&open(dir.path()).unwrap(), "../a").unwrap().len(), MAX_RUNS);
        assert!(!file_name("../a").contains('/'));
        let path = dir.path().join("bench").join(file_name("b"));
        std::fs::write(&path, "{\"from\": \"the future\"}\n").unwrap();
        assert_eq!(last(dir.path(), "b").unwrap(), None);
        std::fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        assert!(format!("{:#}", last(dir.path(), "b").unwrap_err()).contains("a named pipe (FIFO)"));
    }
}
