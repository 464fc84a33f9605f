//! Finds and reads files of cases, beside the plugin and in its project.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Case, parse};
use mapper_state::files::{self, Limit};

const EXTENSION: &str = "jsonl";
/// The complete file is in memory.
pub(crate) const LIMIT: Limit = Limit::new("a file of cases", 64 << 20);

#[derive(Debug, Clone)]
pub struct CaseFile {
    pub path: PathBuf,
    pub cases: Vec<Case>,
}

/// Invalid or unreadable cases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CasesError {
    /// The file or directory.
    pub path: PathBuf,
    /// From 1.
    pub line: Option<usize>,
    pub reason: String,
}

impl fmt::Display for CasesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}: {}", self.path.display(), self.reason),
            None => write!(f, "{}: {}", self.path.display(), self.reason),
        }
    }
}

/// The existing paths of: `NAME.cases.jsonl` beside the plugin, `cases.jsonl` and `cases/` in its project, `cases.jsonl` and
/// `cases/` beside the plugin. `mapper-host test`, `mapper-host build --watch` and the try-out of a swap run the same cases.
pub fn find_paths(plugin: &Path, project: Option<&Path>) -> Vec<PathBuf> {
    let dirs = project.into_iter().chain(plugin.parent());
    let general = dirs.flat_map(|dir| [dir.join(format!("cases.{EXTENSION}")), dir.join("cases")]);
    let mut seen = BTreeSet::new();
    let mut found: Vec<PathBuf> =
        [sibling_path(plugin)].into_iter().chain(general).filter(|path| path.exists()).collect();
    // The plugin is often in the directory of its project.
    found.retain(|path| path.canonicalize().map_or(true, |path| seen.insert(path)));
    found
}

/// `NAME.cases.jsonl` beside the plugin.
pub fn sibling_path(plugin: &Path) -> PathBuf {
    plugin.with_extension(format!("cases.{EXTENSION}"))
}

/// # Errors
/// A path has no cases, or invalid ones.
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<CaseFile>, CasesError> {
    let files: Vec<Vec<CaseFile>> = paths.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    Ok(files.into_iter().flatten().collect())
}

/// Reads a file of cases, or all `.jsonl` files of a directory in the order of their names.
fn read(path: &Path) -> Result<Vec<CaseFile>, CasesError> {
    let error = |path: &Path, reason: String| CasesError { path: path.to_owned(), line: None, reason };
    if !path.is_dir() {
        return read_file(path).map(|file| vec![file]);
    }
    let entries = std::fs::read_dir(path).map_err(|cause| error(path, cause.to_string()))?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(|cause| error(path, cause.to_string()))?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == EXTENSION));
    files.sort();
    if files.is_empty() {
        return Err(error(path, format!("the directory has no .{EXTENSION} file")));
    }
    files.iter().map(|file| read_file(file)).collect()
}

fn read_file(path: &Path) -> Result<CaseFile, CasesError> {
    let error = |line, reason| CasesError { path: path.to_owned(), line, reason };
    let text = files::read_text(path, LIMIT).map_err(|cause| error(None, cause.to_string()))?;
    let cases = parse(&text).map_err(|invalid| error(Some(invalid.line), invalid.reason))?;
    Ok(CaseFile { path: path.to_owned(), cases })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_beside_the_plugin_and_in_its_project_are_found_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let found = |plugin: &str, project: Option<&str>| -> Vec<String> {
            let found = find_paths(&at(plugin), project.map(at).as_deref());
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
    fn error_names_the_invalid_file() {
        let dir = tempfile::tempdir().unwrap();
        let [valid, invalid] = ["valid.jsonl", "invalid.jsonl"].map(|name| dir.path().join(name));
        std::fs::write(&valid, r#"{"input": {"value": 1}, "skipped": true}"#).unwrap();
        std::fs::write(&invalid, "nonsense").unwrap();
        assert_eq!(read_all(std::slice::from_ref(&valid)).unwrap()[0].cases.len(), 1);
        assert_eq!(read_all(&[valid, invalid.clone()]).unwrap_err().path, invalid);
    }
}
