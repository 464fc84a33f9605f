//! The settings file with the tables of the pipelines. The host reads it again when it changes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::config::{RunConfig, RunSettings};
use mapper_state::files::{self, Limit};

/// The interval in which the host checks the file for a change. Two checks must agree, because a program may still write the file.
const LOOK: Duration = Duration::from_secs(1);
/// A larger file is an error.
const LIMIT: Limit = Limit::new("a settings file", 1 << 20);

/// Reads and checks the file as at the start, with the same flags and variables. The error is for an operator.
pub type Reread<'a> = &'a dyn Fn() -> Result<RunConfig, String>;

/// The content of the file, or the error of reading it.
type Content = Result<Vec<u8>, String>;

/// A file that the host checks for changes.
pub(super) struct ConfigFile<'a> {
    path: PathBuf,
    reread: Reread<'a>,
    /// The settings of the process at its start, without pipelines.
    process: RunConfig,
    /// The state at the last read.
    read: Content,
    /// The state at the last check.
    seen: Content,
    next_look: Instant,
}

impl<'a> ConfigFile<'a> {
    /// The file of this configuration, if there is one.
    pub(super) fn of(config: &RunConfig, reread: Reread<'a>) -> Option<Self> {
        let path = config.file.clone()?;
        let content = content(&path);
        let process = of_process(config);
        Some(Self { path, reread, process, read: content.clone(), seen: content, next_look: Instant::now() + LOOK })
    }

    /// Whether the file has changed since the last read and not since the last check.
    pub(super) fn has_changed(&mut self, now: Instant) -> bool {
        if now < self.next_look {
            return false;
        }
        self.next_look = now + LOOK;
        let content = content(&self.path);
        let is_settled = content == self.seen;
        self.seen = content;
        is_settled && self.seen != self.read
    }

    /// Reads the file.
    ///
    /// # Errors
    /// The mistakes in the file.
    pub(super) fn read(&mut self) -> Result<RunConfig, String> {
        self.read = content(&self.path);
        self.seen = self.read.clone();
        let path = self.path.display();
        let config = (self.reread)()?;
        if config.file.is_none() {
            return Err(format!("no [[pipeline]] table any more: {path}. Add one, or end the host"));
        }
        if of_process(&config) != self.process {
            tracing::warn!(%path, "changed settings of the process take effect at the next start");
        }
        Ok(config)
    }
}

/// What does not change until the process ends.
fn of_process(config: &RunConfig) -> RunConfig {
    RunConfig { pipelines: Vec::new(), settings: RunSettings::default(), ..config.clone() }
}

fn content(path: &std::path::Path) -> Content {
    files::read(path, LIMIT).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(path: Option<PathBuf>) -> RunConfig {
        let log = crate::config::LogConfig { format: crate::config::LogFormat::Text, filter: "info".into() };
        RunConfig {
            pipelines: Vec::new(),
            settings: RunSettings::default(),
            file: path,
            fail_fast: false,
            cache_dir: None,
            state_dir: None,
            admin: None,
            admin_base_path: String::new(),
            admin_payloads: Default::default(),
            tracing: None,
            alert_webhook: None,
            admin_token_file: None,
            log,
        }
    }

    #[test]
    fn change_is_reported_once_after_two_equal_checks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host.toml");
        std::fs::write(&path, "a").unwrap();
        let reread = || Ok(config(Some(dir.path().join("host.toml"))));
        let mut file = ConfigFile::of(&config(Some(path.clone())), &reread).unwrap();
        let start = Instant::now();
        let mut looks = (1..).map(|number| start + LOOK * number * 2);
        let mut look = |file: &mut ConfigFile<'_>| file.has_changed(looks.next().unwrap());
        assert!(!look(&mut file));
        std::fs::write(&path, "b").unwrap();
        assert!(!file.has_changed(start), "the interval has not passed");
        assert_eq!([look(&mut file), look(&mut file)], [false, true]);
        file.read().unwrap();
        assert_eq!([look(&mut file), look(&mut file)], [false, false]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!([look(&mut file), look(&mut file)], [false, true]);
    }

    #[test]
    fn file_without_tables_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host.toml");
        std::fs::write(&path, "a").unwrap();
        let reread = || Ok(config(None));
        let error = ConfigFile::of(&config(Some(path)), &reread).unwrap().read().unwrap_err();
        assert!(error.contains("host.toml") && error.contains("no [[pipeline]] table"), "{error}");
        assert!(ConfigFile::of(&config(None), &reread).is_none());
    }
}
