//! Events of the file system about one file: they wake the one who looks, and tell whether it is being written.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::notification::Notify;

/// Watches the folders through which a path leads.
pub(super) struct Events {
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    being_written: Arc<AtomicBool>,
}

impl Events {
    /// Events about this path ring the wakeup.
    pub(super) fn new(path: &Path, wakeup: Arc<Notify>) -> Self {
        let being_written = Arc::new(AtomicBool::new(false));
        let (writing, name) = (being_written.clone(), path.file_name().map(ToOwned::to_owned));
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if let Ok(event) = event {
                let about_it = event.paths.iter().any(|path| path.file_name() == name.as_deref());
                match event.kind {
                    EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_)) if about_it => {
                        writing.store(true, Ordering::Release);
                    }
                    EventKind::Access(AccessKind::Close(AccessMode::Write))
                    | EventKind::Remove(_)
                    | EventKind::Modify(ModifyKind::Name(_))
                        if about_it =>
                    {
                        writing.store(false, Ordering::Release);
                    }
                    // Looking at the file makes these.
                    EventKind::Access(_) => return,
                    _ => {}
                }
            }
            wakeup.notify();
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "the file system tells nothing of changes; the plugin file is looked at every second");
        }
        Self { watcher: watcher.ok(), folders: BTreeSet::new(), being_written }
    }

    /// Whether somebody has begun to write the file and not closed it yet.
    pub(super) fn is_being_written(&self) -> bool {
        self.being_written.load(Ordering::Acquire)
    }

    /// Watches the folders through which the path leads now. A folder that can't be watched is looked at, like all others.
    pub(super) fn follow(&mut self, path: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        let folders = folders(path);
        if folders == self.folders {
            return;
        }
        for gone in self.folders.difference(&folders) {
            // It may be gone altogether.
            let _ = watcher.unwatch(gone);
        }
        for new in folders.difference(&self.folders) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, folder = %new.display(), "a folder can't be watched; it is looked at every second");
            }
        }
        self.folders = folders;
    }
}

/// The folder of a path, and those of what it leads to by symbolic links.
fn folders(path: &Path) -> BTreeSet<PathBuf> {
    /// As many as Linux follows.
    const MOST_LINKS: usize = 40;
    let folder = |path: &Path| match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut folders = BTreeSet::from([folder(path)]);
    let mut at = path.to_owned();
    for _ in 0..MOST_LINKS {
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
    fn all_folders_that_a_link_leads_through_are_watched() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("a")).unwrap();
        std::fs::create_dir(at("b")).unwrap();
        std::fs::write(at("b/real.wasm"), "").unwrap();
        symlink("../b/real.wasm", at("a/link.wasm")).unwrap();
        symlink("a/link.wasm", at("plugin.wasm")).unwrap();
        let expected = [at(""), at("a"), at("a/../b")].map(|path| path.components().collect::<PathBuf>());
        assert_eq!(folders(&at("plugin.wasm")), expected.into());
        assert_eq!(folders(Path::new("plugin.wasm")), [PathBuf::from(".")].into());
    }
}
