//! A digest over all inputs of a build: sources, SDK, tools and their settings. It covers contents, not modification times, because a
//! checkout, a copy or a clock change can set any time.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use mapper_state::files::{self, Limit};

/// A larger project is always rebuilt.
const MAX_BYTES: u64 = 512 << 20;
const LIMIT: Limit = Limit::new("a source", MAX_BYTES);
/// Collects the inputs of a build.
pub(super) struct Inputs {
    digest: Sha256,
    bytes: u64,
    /// Real paths of the collected directories and files.
    seen: BTreeSet<PathBuf>,
}

impl Inputs {
    /// Starts with this host, which contains the contract, scripts and adapters of every language.
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut inputs = Self { digest: Sha256::new(), bytes: 0, seen: BTreeSet::new() };
        let program = fs::metadata(std::env::current_exe()?)?;
        inputs.text("host", &format!("{} {} {:?}", env!("CARGO_PKG_VERSION"), program.len(), program.modified()?));
        Ok(inputs)
    }

    /// Adds a text, such as the version of a tool or a setting.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        for part in [name, text] {
            self.digest.update(part.len().to_le_bytes());
            self.digest.update(part);
        }
    }

    /// Adds the environment variables with these prefixes.
    pub(super) fn environment(&mut self, prefixes: &[&str]) {
        let mut variables: Vec<_> = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix)))
            .collect();
        variables.sort();
        variables.iter().for_each(|(name, value)| self.text(name, value));
    }

    /// Adds a file, or its absence.
    pub(super) fn file(&mut self, path: &Path) -> anyhow::Result<()> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => return self.content(path, &metadata),
            Ok(_) => self.text("other", ""),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.text("absent", ""),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
        Ok(())
    }

    /// Adds all files of a project, except for cases, plugins and tool output. Follows symbolic links.
    pub(super) fn project(&mut self, dir: &Path) -> anyhow::Result<()> {
        self.folder(dir, true)
    }

    /// Whether a file was added. `file` is its real path.
    pub(super) fn has(&self, file: &Path) -> bool {
        self.seen.contains(file)
    }

    pub(super) fn finish(&self) -> String {
        format!("{:x}", self.digest.clone().finalize())
    }

    fn folder(&mut self, dir: &Path, is_root: bool) -> anyhow::Result<()> {
        let named = || dir.display().to_string();
        if !self.seen.insert(dir.canonicalize().with_context(named)?) {
            self.text("seen", "");
            return Ok(());
        }
        let entries = fs::read_dir(dir).with_context(named)?;
        let mut names =
            entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>().with_context(named)?;
        names.sort();
        for name in names {
            let (path, name) = (dir.join(&name), name.to_string_lossy().into_owned());
            let is_cases = is_root && (name == "cases.jsonl" || name == "cases" && has_only_cases(&path));
            let is_tool_output = name == "__pycache__" || path.join("pyvenv.cfg").is_file();
            let is_skipped = is_tool_output || name.starts_with('.') || name.ends_with(".wasm");
            if is_cases || is_skipped || name.ends_with(".cases.jsonl") {
                continue;
            }
            self.text("entry", &name);
            // A broken link counts as absent.
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => self.folder(&path, false)?,
                _ => self.file(&path)?,
            }
        }
        self.text("end", "");
        Ok(())
    }

    fn content(&mut self, path: &Path, metadata: &fs::Metadata) -> anyhow::Result<()> {
        self.bytes += metadata.len();
        if self.bytes > MAX_BYTES {
            bail!("sources too large: more than {MAX_BYTES} bytes");
        }
        let named = || path.display().to_string();
        self.seen.insert(path.canonicalize().with_context(named)?);
        let content = Sha256::digest(files::read(path, LIMIT).with_context(named)?);
        self.digest.update(content);
        Ok(())
    }
}

/// A source package can have the name `cases`, too.
fn has_only_cases(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|entries| {
        entries.flatten().all(|entry| entry.path().extension().is_some_and(|extension| extension == "jsonl"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(dir: &Path) -> String {
        let mut inputs = Inputs::new().unwrap();
        inputs.project(dir).unwrap();
        inputs.finish()
    }

    #[test]
    fn digest_covers_contents_of_sources_only() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let write = |name: &str, text: &str| {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("main.py", "1");
        write("package/__init__.py", "2");
        let before = digest(dir);
        for name in [
            "cases.jsonl",
            "cases/a.jsonl",
            "x.cases.jsonl",
            "x.wasm",
            ".git/HEAD",
            "__pycache__/main.pyc",
            "venv/pyvenv.cfg",
        ] {
            write(name, "x");
            assert_eq!(digest(dir), before, "{name}");
        }
        write("main.py", "1");
        assert_eq!(digest(dir), before);
        // Same modification time and size.
        let time = fs::metadata(dir.join("main.py")).unwrap().modified().unwrap();
        write("main.py", "3");
        fs::File::options().write(true).open(dir.join("main.py")).unwrap().set_modified(time).unwrap();
        let mut seen = BTreeSet::from([before, digest(dir)]);
        let mut is_new = |change: &str| assert!(seen.insert(digest(dir)), "{change}");
        write("added.py", "");
        is_new("a file was added");
        fs::rename(dir.join("added.py"), dir.join("renamed.py")).unwrap();
        is_new("a file was renamed");
        fs::rename(dir.join("renamed.py"), dir.join("package/renamed.py")).unwrap();
        is_new("a file was moved");
        fs::remove_file(dir.join("package/__init__.py")).unwrap();
        is_new("a file was deleted");
        write("package/cases.jsonl", "");
        is_new("cases.jsonl in a subdirectory is a source");
        write("cases/__init__.py", "");
        is_new("a package with the name cases");
    }

    #[test]
    fn links_are_followed_and_loops_terminate() {
        let (dir, sdk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(sdk.path().join("sdk.js"), "1").unwrap();
        std::os::unix::fs::symlink(sdk.path(), dir.path().join("sdk")).unwrap();
        std::os::unix::fs::symlink(dir.path(), sdk.path().join("back")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("broken")).unwrap();
        let before = digest(dir.path());
        fs::write(sdk.path().join("sdk.js"), "2").unwrap();
        assert_ne!(digest(dir.path()), before);
        let mut inputs = Inputs::new().unwrap();
        inputs.project(dir.path()).unwrap();
        assert!(inputs.has(&sdk.path().join("sdk.js").canonicalize().unwrap()));
        assert!(!inputs.has(&sdk.path().join("other.js")));
    }

    #[test]
    fn adjacent_texts_are_not_ambiguous() {
        let digest = |texts: &[(&str, &str)]| {
            let mut inputs = Inputs::new().unwrap();
            texts.iter().for_each(|(name, text)| inputs.text(name, text));
            inputs.finish()
        };
        assert_ne!(digest(&[("node", "v20")]), digest(&[("node", "v22")]));
        assert_ne!(digest(&[("a", "bc")]), digest(&[("ab", "c")]));
        assert_ne!(digest(&[("a", ""), ("b", "")]), digest(&[("a", "b")]));
    }
}
