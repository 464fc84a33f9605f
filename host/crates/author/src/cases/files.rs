//! Where cases are: files, or folders of files, beside the plugin and in its project.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Case, parse};
use mapper_state::files::{self, Limit};

const EXTENSION: &str = "jsonl";
/// A file of cases larger than this is none: it is held in memory as a whole.
pub(crate) const LIMIT: Limit = Limit::new("a file of cases", 64 << 20);

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

/// Where the cases of a plugin are, all that exist of: `NAME.cases.jsonl` beside it; `cases.jsonl` and `cases/` in the project
/// that makes it; `cases.jsonl` and `cases/` beside it. `mapper-host test`, `mapper-host build --watch` and the try-out of a swap run the same.
pub fn find(plugin: &Path, project: Option<&Path>) -> Vec<PathBuf> {
    let folders = project.into_iter().chain(plugin.parent());
    let general = folders.flat_map(|folder| [folder.join(format!("cases.{EXTENSION}")), folder.join("cases")]);
    let mut seen = BTreeSet::new();
    let mut found: Vec<PathBuf> = [beside(plugin)].into_iter().chain(general).filter(|path| path.exists()).collect();
    // The plugin often is in the folder of its project.
    found.retain(|path| path.canonicalize().map_or(true, |path| seen.insert(path)));
    found
}

/// The file beside a plugin that has its name: `NAME.cases.jsonl`.
pub fn beside(plugin: &Path) -> PathBuf {
    plugin.with_extension(format!("cases.{EXTENSION}"))
}

/// Reads the cases of several files or folders, one after the other.
///
/// # Errors
/// When there are none in one of them, or one is wrong.
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<CaseFile>, CasesWrong> {
    let files: Vec<Vec<CaseFile>> = paths.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    Ok(files.into_iter().flatten().collect())
}

/// Reads a file of cases, or all `.jsonl` files of a folder in the order of their names.
///
/// # Errors
/// When there are none, or one of them is wrong.
fn read(path: &Path) -> Result<Vec<CaseFile>, CasesWrong> {
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
    let text = files::read_text(path, LIMIT).map_err(|error| wrong(None, error.to_string()))?;
    let cases = parse(&text).map_err(|(line, reason)| wrong(Some(line), reason))?;
    Ok(CaseFile { path: path.to_owned(), cases })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_beside_the_plugin_and_in_its_project_are_all_found_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let found = |plugin: &str, project: Option<&str>| -> Vec<String> {
            let found = find(&at(plugin), project.map(at).as_deref());
            let name = |path: &PathBuf| path.strip_prefix(dir.path()).unwrap().display().to_string();
            found.iter().map(name).collect()
        };
        assert!(found("pick.wasm", Some("pick")).is_empty());
        std::fs::create_dir_all(at("pick/cases")).unwrap();
        for name in ["pick.cases.jsonl", "cases.jsonl", "pick/cases.jsonl", "pick/cases/a.jsonl", "other.cases.jsonl"] {
            std::fs::write(at(name), "").unwrap();
        }
        assert_eq!(found("pick.wasm", None), ["pick.cases.jsonl", "cases.jsonl"]);
        let all = ["pick.cases.jsonl", "pick/cases.jsonl", "pick/cases", "cases.jsonl"];
        assert_eq!(found("pick.wasm", Some("pick")), all);
        assert_eq!(found("pick/pick.wasm", Some("pick")), ["pick/cases.jsonl", "pick/cases"]);
        assert_eq!(found("pick/pick.wasm", Some("pick/../pick")).len(), 2);
    }

    #[test]
    fn a_mistake_in_one_of_several_files_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let [good, wrong] = ["good.jsonl", "wrong.jsonl"].map(|name| dir.path().join(name));
        std::fs::write(&good, r#"{"input": {"value": 1}, "skipped": true}"#).unwrap();
        std::fs::write(&wrong, "nonsense").unwrap();
        assert_eq!(read_all(std::slice::from_ref(&good)).unwrap()[0].cases.len(), 1);
        assert_eq!(read_all(&[good, wrong.clone()]).unwrap_err().path, wrong);
    }
}
