//! File system events of one file. They wake the watch thread and show whether a writer has the file open.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::notification::Notify;

/// Watches the folders of a path and of its symbolic links.
pub(super) struct Events {
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    being_written: Arc<AtomicBool>,
}

impl Events {
    /// Events of this path notify `wakeup`.
    pub(super) fn new(path: &Path, wakeup: Arc<Notify>) -> Self {
        let being_written = Arc::new(AtomicBool::new(false));
        let (writing, name) = (being_written.clone(), path.file_name().map(ToOwned::to_owned));
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if let Ok(event) = event {
                let is_about_file = event.paths.iter().any(|path| path.file_name() == name.as_deref());
                match event.kind {
                    EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_)) if is_about_file => {
                        writing.store(true, Ordering::Release);
                    }
                    EventKind::Access(AccessKind::Close(AccessMode::Write))
                    | EventKind::Remove(_)
                    | EventKind::Modify(ModifyKind::Name(_))
                        if is_about_file =>
                    {
                        writing.store(false, Ordering::Release);
                    }
                    // The watch thread itself causes these.
                    EventKind::Access(_) => return,
                    _ => {}
                }
            }
            wakeup.notify();
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "failed to watch the file system; checking the plugin file every second");
        }
        Self { watcher: watcher.ok(), folders: BTreeSet::new(), being_written }
    }

    /// Whether a writer has the file open, as far as the events show.
    pub(super) fn is_being_written(&self) -> bool {
        self.being_written.load(Ordering::Acquire)
    }

    /// Updates the watched folders. The poll covers a folder that cannot be watched.
    pub(super) fn follow(&mut self, path: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        let folders = resolve_folders(path);
        if folders == self.folders {
            return;
        }
        for removed in self.folders.difference(&folders) {
            // An error means that the folder was deleted.
            let _ = watcher.unwatch(removed);
        }
        for new in folders.difference(&self.folders) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, folder = %new.display(), "failed to watch a folder; checking it every second");
            }
        }
        self.folders = folders;
    }
}

/// The folders of a path and of the targets of its symbolic links.
fn resolve_folders(path: &Path) -> BTreeSet<PathBuf> {
    /// The limit of Linux.
    const MAX_LINKS: usize = 40;
    let folder = |path: &Path| match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut folders = BTreeSet::from([folder(path)]);
    let mut at = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = std::fs::read_link(&at) else { break };
        at = folder(&at).join(target);
        folders.insert(folder(&at));
    }
    folders
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn folders_of_all_link_targets_are_watched() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("a")).unwrap();
        std::fs::create_dir(at("b")).unwrap();
        std::fs::write(at("b/real.wasm"), "").unwrap();
        symlink("../b/real.wasm", at("a/link.wasm")).unwrap();
        symlink("a/link.wasm", at("plugin.wasm")).unwrap();
        let expected = [at(""), at("a"), at("a/../b")].map(|path| path.components().collect::<PathBuf>());
        assert_eq!(resolve_folders(&at("plugin.wasm")), expected.into());
        assert_eq!(resolve_folders(Path::new("plugin.wasm")), [PathBuf::from(".")].into());
    }
}
