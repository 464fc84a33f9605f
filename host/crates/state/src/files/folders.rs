//! Default directories of the host, by the XDG Base Directory Specification. All commands use the same rule.

use std::ffi::OsString;
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// Files that can be created again: compiled plugins and tools.
    Cache,
    /// Files that must survive a restart.
    State,
}

impl Folder {
    pub fn variable(self) -> &'static str {
        match self {
            Self::Cache => "XDG_CACHE_HOME",
            Self::State => "XDG_STATE_HOME",
        }
    }

    fn default_below_home(self) -> &'static str {
        match self {
            Self::Cache => ".cache",
            Self::State => ".local/state",
        }
    }

    /// The directory of the host. `variable` reads environment variables. `None` without a home directory, because a shared
    /// directory such as `/tmp` is not safe.
    pub fn find(self, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        // The specification requires to ignore relative paths.
        let path = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = path(self.variable()).or_else(|| Some(path("HOME")?.join(self.default_below_home())))?;
        Some(base.join("mapper-host"))
    }
}
