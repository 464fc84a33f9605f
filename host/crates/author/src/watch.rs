//! `mapper-host build --watch`: at each change of a project it is built, and its cases are run.
//!
//! What tells a change is the content of the files, not the event: a build that writes into its project doesn't go on for
//! ever, and an editor that saves the same again builds nothing. Only what is written during a build makes another one in
//! any case, for the build may have read what was there in between.

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
use mapper_core::shutdown::Halt;
use mapper_runtime::Digest;
use mapper_state::files::{self, Limit};
use mapper_terminal::output;

/// Changes come in bursts: so long must it be quiet before it is built.
const QUIET: Duration = Duration::from_millis(100);
/// And so long is waited for that at most.
const LONGEST_BURST: Duration = Duration::from_secs(2);
/// Of a larger file, only its size and time are looked at.
const HASHED: Limit = Limit::new("a source file", 4 << 20);
/// What the tools of all languages write, and nobody edits.
const NOT_SOURCES: [&str; 6] = ["target", "node_modules", "__pycache__", "build", "dist", "venv"];

/// The files of a project.
type Snapshot = BTreeMap<PathBuf, Source>;

/// A file, as it is at the moment.
#[derive(Debug, Clone)]
struct Source {
    content: String,
    /// When it was written to last, where that is known.
    written: Option<SystemTime>,
}

/// Whether there are the same files with the same content.
fn is_same(before: &Snapshot, after: &Snapshot) -> bool {
    let mut pairs = before.iter().zip(after);
    before.len() == after.len()
        && pairs.all(|(before, after)| (before.0, &before.1.content) == (after.0, &after.1.content))
}

/// Whether a file was written to in between that is in both.
fn is_rewritten(before: &Snapshot, after: &Snapshot) -> bool {
    before.iter().any(|(path, source)| after.get(path).is_some_and(|now| now.written != source.written))
}

/// Watches until the process is ended.
///
/// # Errors
/// When the folder can't be watched.
pub(super) fn watch(config: &BuildConfig, watching: &WatchConfig, services: &dyn Services) -> Result<(), Halt> {
    let failed = |error: anyhow::Error| Halt::internal(&error);
    let plugin = config.output.clone().map_or_else(|| project::plugin_of(&config.dir), Ok).map_err(failed)?;
    let mut changes = Changes::new(&config.dir, cases::beside(&plugin)).map_err(failed)?;
    follow(&mut changes, || {
        if let Err(halt) = round(config, watching, services) {
            output::eprint_error(&halt.to_string());
        }
        // Nobody reads what the next build would have to say.
        if output::stdout_is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
}

/// A round at each change, until one of them breaks off.
fn follow(changes: &mut Changes, mut round: impl FnMut() -> ControlFlow<()>) -> Result<(), Halt> {
    let failed = |error: anyhow::Error| Halt::internal(&error);
    // Whether this round is one more for what was written during the one before.
    let mut is_again = false;
    loop {
        // Before the build: what is changed during it is built next.
        let built = changes.look().map_err(failed)?;
        if round().is_break() {
            return Ok(());
        }
        let mut now = changes.look().map_err(failed)?;
        // Once, or a build that writes its own sources would go on for ever.
        is_again = !is_again && is_same(&built, &now) && is_rewritten(&built, &now);
        if is_again {
            continue;
        }
        output::eprint_line(format!("waiting for changes in {}; Ctrl-C ends it", changes.dir.display()));
        while is_same(&built, &now) {
            changes.wait()?;
            now = changes.look().map_err(failed)?;
        }
    }
}

/// One build, with all that follows it.
fn round(config: &BuildConfig, watching: &WatchConfig, services: &dyn Services) -> Result<(), Halt> {
    let started = Instant::now();
    let built = project::build(&config.dir, config.output.as_deref(), config.rebuild);
    let project::Built { plugin, is_new } = built.map_err(|error| Halt::plugin(format!("{error:#}")))?;
    output::print_line(if is_new {
        format!("built {} in {:.1} s", plugin.display(), started.elapsed().as_secs_f64())
    } else {
        format!("{} is up to date", plugin.display())
    });
    let holds = run_cases(config, watching, &plugin)?;
    match &watching.swap {
        Some((url, token_file)) if holds => services.swap(url, token_file.as_deref(), &plugin),
        _ => Ok(()),
    }
}

/// Tells whether all cases hold.
fn run_cases(config: &BuildConfig, watching: &WatchConfig, plugin: &Path) -> Result<bool, Halt> {
    let paths = cases::find(plugin, Some(&config.dir));
    if paths.is_empty() {
        output::print_line("there are no cases (cases.jsonl)");
        return Ok(true);
    }
    let files =
        cases::read_all(&paths).map_err(|wrong| Halt::configuration(format!("the cases can't be read: {wrong}")))?;
    let judged = test::run(plugin, files, &watching.guest)?;
    let (passed, failed) = test::print(&judged, Shown::Failed);
    output::print_line(format!("{passed} passed, {failed} failed"));
    Ok(failed == 0)
}

/// The changes of a folder.
struct Changes {
    dir: PathBuf,
    /// Cases that lie elsewhere.
    cases: PathBuf,
    watcher: notify::RecommendedWatcher,
    /// Folders that are watched already.
    watched: Vec<PathBuf>,
    events: Receiver<()>,
}

impl Changes {
    fn new(dir: &Path, cases: PathBuf) -> anyhow::Result<Self> {
        // One event is as good as many: what changed is looked up.
        let (sender, events): (SyncSender<()>, _) = sync_channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let is_change = event.as_ref().map_or(true, |event| !matches!(event.kind, EventKind::Access(_)));
            if is_change {
                let _ = sender.try_send(());
            }
        });
        let mut watcher = watcher.context("watching for changes")?;
        let around = cases.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let watched = watcher.watch(around, RecursiveMode::NonRecursive);
        watched.with_context(|| format!("watching {}", around.display()))?;
        Ok(Self { dir: dir.to_owned(), cases, watcher, watched: Vec::new(), events })
    }

    /// The files as they are now. New folders are watched from here on.
    fn look(&mut self) -> anyhow::Result<Snapshot> {
        let mut snapshot = Snapshot::new();
        if let Ok(metadata) = std::fs::metadata(&self.cases) {
            snapshot.insert(self.cases.clone(), source(&self.cases, &metadata));
        }
        let mut dirs = vec![self.dir.clone()];
        while let Some(dir) = dirs.pop() {
            if !self.watched.contains(&dir) {
                let watched = self.watcher.watch(&dir, RecursiveMode::NonRecursive);
                watched.with_context(|| format!("watching {}", dir.display()))?;
                self.watched.push(dir.clone());
            }
            // What goes while it is looked at is gone.
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
        self.watched.retain(|dir| dir.is_dir());
        Ok(snapshot)
    }

    /// Waits for an event, and until it is quiet again.
    fn wait(&self) -> Result<(), Halt> {
        let gone = |_| Halt::internal(&anyhow::anyhow!("nobody watches for changes any more"));
        self.events.recv().map_err(gone)?;
        let started = Instant::now();
        while started.elapsed() < LONGEST_BURST {
            match self.events.recv_timeout(QUIET) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(error @ RecvTimeoutError::Disconnected) => {
                    return Err(Halt::internal(&anyhow::Error::new(error).context("watching for changes")));
                }
            }
        }
        Ok(())
    }
}

/// Neither what the tools write, nor plugins, nor what an editor keeps for itself.
fn is_source(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    !name.starts_with('.') && !name.ends_with('~') && !name.ends_with(".wasm") && !NOT_SOURCES.contains(&&*name)
}

fn source(path: &Path, metadata: &Metadata) -> Source {
    let written = metadata.modified().ok();
    // A path that is not a regular file, or a file that is too large, is compared by size and time alone.
    let bytes = files::read(path, HASHED).ok();
    let content =
        bytes.map_or_else(|| format!("{} {written:?}", metadata.len()), |bytes| Digest::hash_bytes(&bytes).to_string());
    Source { content, written }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn what_is_watched_are_sources_and_only_their_content_counts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("src/lib.rs", "1");
        let outside = tempfile::tempdir().unwrap();
        let mut changes = Changes::new(dir.path(), outside.path().join("x.cases.jsonl")).unwrap();
        let before = changes.look().unwrap();
        for name in ["target/x.rs", "x.wasm", ".git/x", "src/.lib.rs.swp", "src/lib.rs~", "node_modules/x.js"] {
            write(name, "2");
            assert!(is_same(&changes.look().unwrap(), &before), "{name}");
        }
        write("src/lib.rs", "1");
        changes.wait().unwrap();
        assert!(is_same(&changes.look().unwrap(), &before));
        for (name, text) in
            [("src/lib.rs", "2"), ("src/new/mod.rs", "3"), ("src/new/mod.rs", "4"), ("cases.jsonl", "5")]
        {
            let before = changes.look().unwrap();
            write(name, text);
            changes.wait().unwrap();
            assert!(!is_same(&changes.look().unwrap(), &before), "{name}");
        }
        let before = changes.look().unwrap();
        std::fs::write(outside.path().join("x.cases.jsonl"), "6").unwrap();
        changes.wait().unwrap();
        assert!(!is_same(&changes.look().unwrap(), &before));
        std::fs::remove_dir_all(dir.path().join("src/new")).unwrap();
        let before = changes.look().unwrap();
        write("src/new/mod.rs", "6");
        assert!(!is_same(&changes.look().unwrap(), &before));
        write("src/new/mod.rs", "7");
        changes.wait().unwrap();
    }

    #[test]
    fn what_is_written_during_a_build_is_built_again_but_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("lib.rs");
        let write = |text: &str| {
            // Later than the time that the file has, however coarse the clock of the file system is.
            let before = std::fs::metadata(&source).map(|metadata| metadata.modified().unwrap()).ok();
            while std::fs::write(&source, text).is_ok()
                && before == Some(std::fs::metadata(&source).unwrap().modified().unwrap())
            {}
        };
        write("1");
        let check = |expected: usize, during: &dyn Fn(usize)| {
            let mut changes = Changes::new(dir.path(), dir.path().join("x.cases.jsonl")).unwrap();
            let rounds = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let begun = Instant::now();
                    while rounds.load(Ordering::SeqCst) < expected && begun.elapsed() < Duration::from_secs(30) {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    // Time for one that should not come.
                    std::thread::sleep(5 * QUIET);
                    write("the end");
                });
                let round = || {
                    if std::fs::read(&source).unwrap() == b"the end" {
                        return ControlFlow::Break(());
                    }
                    during(rounds.fetch_add(1, Ordering::SeqCst) + 1);
                    ControlFlow::Continue(())
                };
                follow(&mut changes, round).unwrap();
            });
            write("1");
            assert_eq!(rounds.into_inner(), expected);
        };
        check(1, &|_| {});
        // A mistake, and its way back before the build ends: the build may have read the mistake.
        let there_and_back = |round| {
            if round == 1 {
                write("mistake");
                write("1");
            }
        };
        check(2, &there_and_back);
        // A build that writes one of its sources.
        check(2, &|_| write("1"));
    }
}
