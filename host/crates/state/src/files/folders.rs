//! Where the host keeps its files when nobody says so: one rule for all commands, that of the XDG Base Directory Specification.

use std::ffi::OsString;
use std::path::PathBuf;

/// A directory of this user for one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// What can be made again: compiled plugins and tools.
    Cache,
    /// What must survive a restart.
    State,
}

impl Folder {
    /// The variable that names the directory for all programs.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Cache => "XDG_CACHE_HOME",
            Self::State => "XDG_STATE_HOME",
        }
    }

    fn below_home(self) -> &'static str {
        match self {
            Self::Cache => ".cache",
            Self::State => ".local/state",
        }
    }

    /// The host's own directory there, with the values of variables as `variable` gives them. `None` if there is no home: what
    /// several users share, as `/tmp` is, is not a place for it.
    pub fn find(self, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        // Relative ones must be ignored, as the specification says.
        let path = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = path(self.variable()).or_else(|| Some(path("HOME")?.join(self.below_home())))?;
        Some(base.join("mapper-host"))
    }
}
