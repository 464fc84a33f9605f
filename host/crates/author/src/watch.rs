//! `mapper-host build --watch`: builds the project and runs its cases after each change.
//!
//! The watcher compares the content of files. So a build that writes into its project doesn't trigger itself, and saving an
//! unchanged file triggers no build. A file that is written during a build always triggers another build, because the build may
//! have read the intermediate content.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use notify::{EventKind, RecursiveMode, Watcher};

use super::cases;
use super::test::{self, Shown};
use crate::config::{BuildConfig, WatchConfig};
use crate::project;
use crate::services::Services;
use mapper_core::identity::Digest;
use mapper_core::shutdown::{Cause, Halt};
use mapper_state::files::{self, Limit};
use mapper_terminal::output;

/// Changes come in bursts. A build starts after this time without an event.
const QUIET_PERIOD: Duration = Duration::from_millis(100);
/// Limit for waiting for the quiet period.
const MAX_BURST: Duration = Duration::from_secs(2);
/// Larger files are compared by size and modification time only.
const HASH_LIMIT: Limit = Limit::new("a source file", 4 << 20);
/// Output directories of the tools of all languages.
const IGNORED_NAMES: [&str; 6] = ["target", "node_modules", "__pycache__", "build", "dist", "venv"];

type Snapshot = BTreeMap<PathBuf, Source>;

#[derive(Debug, Clone)]
struct Source {
    content: String,
    modified: Option<SystemTime>,
}

/// Compares file names and contents.
fn is_same(before: &Snapshot, after: &Snapshot) -> bool {
    let mut pairs = before.iter().zip(after);
    before.len() == after.len()
        && pairs.all(|(before, after)| (before.0, &before.1.content) == (after.0, &after.1.content))
}

/// Whether a file of both snapshots has another modification time.
fn is_rewritten(before: &Snapshot, after: &Snapshot) -> bool {
    before.iter().any(|(path, source)| after.get(path).is_some_and(|now| now.modified != source.modified))
}

/// Watches until the process ends.
///
/// # Errors
/// The directory can't be watched.
pub(super) fn watch(config: &BuildConfig, watch_config: &WatchConfig, services: &dyn Services) -> Result<(), Halt> {
    let failed = |error: anyhow::Error| Halt::internal(error);
    let plugin = config.output.clone().map_or_else(|| project::plugin_path(&config.dir), Ok).map_err(failed)?;
    let mut changes = Changes::new(&config.dir, cases::sibling_path(&plugin)).map_err(failed)?;
    build_on_change(&mut changes, Changes::wait, || {
        if let Err(halt) = build_and_test(config, watch_config, services) {
            output::eprint_error(&halt.to_string());
        }
        // Nobody can read the output of another build.
        if output::stdout_is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
}

/// Calls `round` after each change until it breaks. `wait` returns after an event, which need not be a change.
fn build_on_change(
    changes: &mut Changes,
    mut wait: impl FnMut(&Changes) -> Result<(), Halt>,
    mut round: impl FnMut() -> ControlFlow<()>,
) -> Result<(), Halt> {
    let failed = |error: anyhow::Error| Halt::internal(error);
    // Whether this round repeats the previous one because of a write during it.
    let mut is_repeat = false;
    loop {
        // Take the snapshot before the build, so that a change during the build triggers the next one.
        let built = changes.snapshot().map_err(failed)?;
        if round().is_break() {
            return Ok(());
        }
        let mut now = changes.snapshot().map_err(failed)?;
        // Repeat once only; otherwise a build that writes its own sources would repeat for ever.
        is_repeat = !is_repeat && is_same(&built, &now) && is_rewritten(&built, &now);
        if is_repeat {
            continue;
        }
        output::eprint_line(format!("waiting for changes in {} (Ctrl-C to stop)", changes.dir.display()));
        while is_same(&built, &now) {
            wait(changes)?;
            now = changes.snapshot().map_err(failed)?;
        }
    }
}

/// Builds the project, runs its cases, and swaps the plugin if requested.
fn build_and_test(config: &BuildConfig, watch_config: &WatchConfig, services: &dyn Services) -> Result<(), Halt> {
    let started = Instant::now();
    let built = project::build(&config.dir, config.output.as_deref(), config.rebuild);
    let project::Built { plugin, is_new } = built.map_err(|error| Halt::new(Cause::Plugin, error))?;
    output::print_line(if is_new {
        format!("built {} in {:.1} s", plugin.display(), started.elapsed().as_secs_f64())
    } else {
        format!("{} is up to date", plugin.display())
    });
    let passed = run_cases(config, watch_config, &plugin)?;
    match &watch_config.swap {
        Some((url, token_file)) if passed => services.swap(url, token_file.as_deref(), &plugin),
        _ => Ok(()),
    }
}

/// Returns whether all cases passed.
fn run_cases(config: &BuildConfig, watch_config: &WatchConfig, plugin: &Path) -> Result<bool, Halt> {
    let paths = cases::find_paths(plugin, Some(&config.dir));
    if paths.is_empty() {
        output::print_line("no cases found (cases.jsonl)");
        return Ok(true);
    }
    let files = cases::read_all(&paths).map_err(|error| {
        Halt::new(Cause::Configuration, anyhow::Error::new(error).context("failed to read the cases"))
    })?;
    let results = test::run(plugin, files, &watch_config.guest)?;
    let counts = test::print(&results, Shown::Failed);
    output::print_line(format!("{} passed, {} failed", counts.passed, counts.failed));
    Ok(counts.failed == 0)
}

/// Watches the files of a project.
struct Changes {
    dir: PathBuf,
    /// Cases beside the plugin, which may be outside of `dir`.
    cases: PathBuf,
    watcher: notify::RecommendedWatcher,
    watched_dirs: Vec<PathBuf>,
    events: Receiver<()>,
}

impl Changes {
    fn new(dir: &Path, cases: PathBuf) -> anyhow::Result<Self> {
        // One pending event suffices, because the snapshots show the changes.
        let (sender, events): (SyncSender<()>, _) = sync_channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let is_change = event.as_ref().map_or(true, |event| !matches!(event.kind, EventKind::Access(_)));
            if is_change {
                let _ = sender.try_send(());
            }
        });
        let mut watcher = watcher.context("watching for changes")?;
        let cases_dir = cases.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let watched = watcher.watch(cases_dir, RecursiveMode::NonRecursive);
        watched.with_context(|| format!("watching {}", cases_dir.display()))?;
        Ok(Self { dir: dir.to_owned(), cases, watcher, watched_dirs: Vec::new(), events })
    }

    /// Reads the current files, and starts to watch new directories.
    fn snapshot(&mut self) -> anyhow::Result<Snapshot> {
        let mut snapshot = Snapshot::new();
        if let Ok(metadata) = std::fs::metadata(&self.cases) {
            snapshot.insert(self.cases.clone(), source(&self.cases, &metadata));
        }
        let mut dirs = vec![self.dir.clone()];
        while let Some(dir) = dirs.pop() {
            if !self.watched_dirs.contains(&dir) {
                let watched = self.watcher.watch(&dir, RecursiveMode::NonRecursive);
                watched.with_context(|| format!("watching {}", dir.display()))?;
                self.watched_dirs.push(dir.clone());
            }
            // The directory may have been removed since.
            let Ok(entries) = std::fs::read_dir(&dir) else { continue };
            for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_source(path)) {
                match std::fs::metadata(&path) {
                    Ok(metadata) if metadata.is_dir() => dirs.push(path),
                    Ok(metadata) => {
                        snapshot.insert(path.clone(), source(&path, &metadata));
                    }
                    Err(_) => {}
                }
            }
        }
        self.watched_dirs.retain(|dir| dir.is_dir());
        Ok(snapshot)
    }

    /// Waits for an event, and then for the quiet period.
    fn wait(&self) -> Result<(), Halt> {
        let stopped = |_| Halt::internal(anyhow::anyhow!("the file watcher has stopped"));
        self.events.recv().map_err(stopped)?;
        let started = Instant::now();
        while started.elapsed() < MAX_BURST {
            match self.events.recv_timeout(QUIET_PERIOD) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(error @ RecvTimeoutError::Disconnected) => {
                    return Err(Halt::internal(anyhow::Error::new(error).context("watching for changes")));
                }
            }
        }
        Ok(())
    }
}

/// Excludes tool output, plugins and temporary files of editors.
fn is_source(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    !name.starts_with('.') && !name.ends_with('~') && !name.ends_with(".wasm") && !IGNORED_NAMES.contains(&&*name)
}

fn source(path: &Path, metadata: &Metadata) -> Source {
    let modified = metadata.modified().ok();
    // Special files and large files are compared by size and modification time.
    let bytes = files::read(path, HASH_LIMIT).ok();
    let content = bytes
        .map_or_else(|| format!("{} {modified:?}", metadata.len()), |bytes| Digest::hash_bytes(&bytes).to_string());
    Source { content, modified }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn only_changed_content_of_sources_counts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("src/lib.rs", "1");
        let outside = tempfile::tempdir().unwrap();
        let mut changes = Changes::new(dir.path(), outside.path().join("x.cases.jsonl")).unwrap();
        let before = changes.snapshot().unwrap();
        for name in ["target/x.rs", "x.wasm", ".git/x", "src/.lib.rs.swp", "src/lib.rs~", "node_modules/x.js"] {
            write(name, "2");
            assert!(is_same(&changes.snapshot().unwrap(), &before), "{name}");
        }
        write("src/lib.rs", "1");
        changes.wait().unwrap();
        assert!(is_same(&changes.snapshot().unwrap(), &before));
        for (name, text) in
            [("src/lib.rs", "2"), ("src/new/mod.rs", "3"), ("src/new/mod.rs", "4"), ("cases.jsonl", "5")]
        {
            let before = changes.snapshot().unwrap();
            write(name, text);
            changes.wait().unwrap();
            assert!(!is_same(&changes.snapshot().unwrap(), &before), "{name}");
        }
        let before = changes.snapshot().unwrap();
        std::fs::write(outside.path().join("x.cases.jsonl"), "6").unwrap();
        changes.wait().unwrap();
        assert!(!is_same(&changes.snapshot().unwrap(), &before));
        std::fs::remove_dir_all(dir.path().join("src/new")).unwrap();
        let before = changes.snapshot().unwrap();
        write("src/new/mod.rs", "6");
        assert!(!is_same(&changes.snapshot().unwrap(), &before));
        write("src/new/mod.rs", "7");
        changes.wait().unwrap();
    }

    #[test]
    fn write_during_a_build_triggers_one_more_build() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("lib.rs");
        let write = |text: &str| {
            // Repeat until the modification time changes, because the clock of the file system may be coarse.
            let before = std::fs::metadata(&source).map(|metadata| metadata.modified().unwrap()).ok();
            while std::fs::write(&source, text).is_ok()
                && before == Some(std::fs::metadata(&source).unwrap().modified().unwrap())
            {}
        };
        let steps_with = |during: &dyn Fn(usize)| {
            write("1");
            let mut changes = Changes::new(dir.path(), dir.path().join("x.cases.jsonl")).unwrap();
            let steps = RefCell::new(Vec::new());
            let add = |step: &'static str| {
                steps.borrow_mut().push(step);
                steps.borrow().iter().filter(|added| **added == step).count()
            };
            // Unchanged content causes an event only; another content ends the test.
            let wait = |changes: &Changes| {
                write(if add("wait") == 1 { "1" } else { "the end" });
                changes.wait()
            };
            let round = || {
                if std::fs::read(&source).unwrap() == b"the end" || steps.borrow().len() == 10 {
                    return ControlFlow::Break(());
                }
                during(add("build"));
                ControlFlow::Continue(())
            };
            build_on_change(&mut changes, wait, round).unwrap();
            steps.into_inner()
        };
        assert_eq!(steps_with(&|_| {}), ["build", "wait", "wait"]);
        // A change that is reverted during the build: the build may have read the intermediate content.
        let change_and_revert = |round| {
            if round == 1 {
                write("mistake");
                write("1");
            }
        };
        assert_eq!(steps_with(&change_and_revert), ["build", "build", "wait", "wait"]);
        // A build that writes its own sources.
        assert_eq!(steps_with(&|_| write("1")), ["build", "build", "wait", "wait"]);
    }
}
