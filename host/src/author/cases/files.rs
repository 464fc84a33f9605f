//! Where cases lie: a file, or a folder of files, beside the plugin or in its project.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Case, parse};

const EXTENSION: &str = "jsonl";
/// A file of cases larger than this is none: it is held in memory as a whole.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// The cases of one file.
#[derive(Debug, Clone)]
pub struct CaseFile {
    /// The file, as it was found.
    pub path: PathBuf,
    /// Its cases, in order.
    pub cases: Vec<Case>,
}

/// Cases that can't be read: it names the file, the line and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CasesWrong {
    /// The file or folder.
    pub path: PathBuf,
    /// The line in it, from 1, if it is one.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for CasesWrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}: {}", self.path.display(), self.reason),
            None => write!(f, "{}: {}", self.path.display(), self.reason),
        }
    }
}

/// The cases of a plugin: `NAME.cases.jsonl` beside it; or, of the project that makes it, `cases.jsonl` or `cases/`.
pub fn find(plugin: &Path, project: Option<&Path>) -> Option<PathBuf> {
    let within = project.into_iter().flat_map(|dir| [dir.join("cases.jsonl"), dir.join("cases")]);
    [beside(plugin)].into_iter().chain(within).find(|path| path.exists())
}

/// Where cases lie beside a plugin: `NAME.cases.jsonl`.
pub fn beside(plugin: &Path) -> PathBuf {
    plugin.with_extension(format!("cases.{EXTENSION}"))
}

/// Reads a file of cases, or all `.jsonl` files of a folder in the order of their names.
///
/// # Errors
/// When there are none, or one of them is wrong.
pub fn read(path: &Path) -> Result<Vec<CaseFile>, CasesWrong> {
    let wrong = |path: &Path, reason: String| CasesWrong { path: path.to_owned(), line: None, reason };
    if !path.is_dir() {
        return read_file(path).map(|file| vec![file]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| wrong(path, error.to_string()))?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(path, error.to_string()))?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == EXTENSION));
    files.sort();
    if files.is_empty() {
        return Err(wrong(path, format!("there is no .{EXTENSION} file in it")));
    }
    files.iter().map(|file| read_file(file)).collect()
}

fn read_file(path: &Path) -> Result<CaseFile, CasesWrong> {
    let wrong = |line, reason| CasesWrong { path: path.to_owned(), line, reason };
    let size = std::fs::metadata(path).map_err(|error| wrong(None, error.to_string()))?.len();
    if size > MAX_FILE_BYTES {
        return Err(wrong(None, format!("it has {size} bytes; the most that is taken is {MAX_FILE_BYTES}")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(None, error.to_string()))?;
    let cases = parse(&text).map_err(|(line, reason)| wrong(Some(line), reason))?;
    Ok(CaseFile { path: path.to_owned(), cases })
}
