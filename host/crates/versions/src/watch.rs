//! The plugin file: when it changed and is whole, its content is asked to be swapped in; SIGHUP asks at once.
//!
//! Events of the file system wake it, and it looks by itself now and then, as not every file system tells. What it looks at is
//! what the path leads to: a file that is written to, replaced by a rename, or reached by symbolic links of which one is switched
//! (as Kubernetes does with a ConfigMap) all show.

mod events;
mod look;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use events::Events;
use look::{Look, Signature};

use super::history::By;
use super::notification::Notify;
use super::report::Ended;
use super::swapper::{Busy, Reply, Request, RequestQueue};
use super::whole::{Wholeness, wholeness};
use mapper_core::identity::Digest;
use mapper_core::shutdown::Shutdown;
use mapper_state::files;
use mapper_state::files::PLUGIN_LIMIT;

/// How often the file is looked at when no event comes.
const LOOK: Duration = Duration::from_secs(1);
/// A file that has not changed for so long is taken for written.
const SETTLED: Duration = Duration::from_millis(300);
/// A file that somebody has begun to write and not closed is waited for this long after its last change.
const UNCLOSED: Duration = Duration::from_secs(10);

/// A wish to read the plugin file again, made by SIGHUP. Cheap to clone.
#[derive(Clone, Default)]
pub struct Reload {
    wanted: Arc<AtomicBool>,
    wakeup: Arc<Notify>,
}

impl Reload {
    /// Wishes it.
    pub fn request(&self) {
        self.wanted.store(true, Ordering::Release);
        self.wakeup.notify();
    }

    /// Wakes the one who waits for a wish.
    pub fn wake(&self) {
        self.wakeup.notify();
    }
}

/// Watches one plugin file.
pub struct Watch {
    path: PathBuf,
    requests: Arc<RequestQueue>,
    reload: Reload,
    /// Whether changes of the file count, or only SIGHUP.
    changes: bool,
    /// What was last seen whole, swapped in or not.
    seen: Digest,
    look: Look,
}

impl Watch {
    /// Watches this file, of which the content of this digest runs.
    pub fn new(path: &Path, seen: Digest, requests: Arc<RequestQueue>, reload: Reload, changes: bool) -> Self {
        let look = Look::new(Signature::of(path), SETTLED, UNCLOSED);
        Self { path: path.to_owned(), requests, reload, changes, seen, look }
    }

    /// Watches until the shutdown.
    pub fn run(mut self, shutdown: &Shutdown) {
        if !self.changes {
            tracing::info!(path = %self.path.display(), "the plugin file is not watched (--watch off); mapper-host swap FILE or SIGHUP deploys");
        }
        let mut events = self.changes.then(|| Events::new(&self.path, self.reload.wakeup.clone()));
        while !shutdown.requested() {
            let generation = self.reload.wakeup.generation();
            if self.reload.wanted.swap(false, Ordering::AcqRel) {
                self.offer(By::Signal, shutdown);
            }
            let mut wait = LOOK;
            if let Some(events) = &mut events {
                events.follow(&self.path);
                match self.look.at(Signature::of(&self.path), events.is_being_written(), Instant::now()) {
                    look::Next::Nothing => {}
                    look::Next::Wait(for_so_long) => wait = for_so_long.min(LOOK),
                    look::Next::Read => self.offer(By::File, shutdown),
                    look::Next::Gone => {
                        tracing::warn!(path = %self.path.display(), "the plugin file is gone; the version that speaks goes on");
                    }
                }
            }
            self.reload.wakeup.wait(generation, wait);
        }
    }

    /// Reads the file, and asks for a swap if there is something new in it.
    fn offer(&mut self, by: By, shutdown: &Shutdown) {
        let before = Signature::of(&self.path);
        let bytes = match files::read(&self.path, PLUGIN_LIMIT) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "the plugin file can't be read; the version that speaks goes on");
                return;
            }
        };
        let digest = Digest::hash_bytes(&bytes);
        if by == By::File {
            // It is read again when it has changed.
            if Signature::of(&self.path) != before {
                return;
            }
            if wholeness(&bytes) == Wholeness::Cut {
                return tracing::info!(bytes = bytes.len(), "the plugin file is not whole; waiting for the rest");
            }
            if digest == self.seen {
                return tracing::debug!("the plugin file was touched; its content is the same");
            }
        }
        if self.ask(bytes, by, shutdown) {
            self.seen = digest;
        }
    }

    /// Asks until it is this file's turn. Tells whether it was.
    fn ask(&self, bytes: Vec<u8>, by: By, shutdown: &Shutdown) -> bool {
        loop {
            let generation = self.reload.wakeup.generation();
            let request = Request::Swap { bytes: bytes.clone(), by, force: false, dry_run: false };
            match self.requests.ask(request) {
                Ok(answer) => {
                    let reply = answer.blocking_recv();
                    return match reply {
                        Ok(Reply::Report(report)) => report.outcome != Ended::Switching || !shutdown.requested(),
                        Ok(Reply::Shadow(_)) | Err(_) => false,
                    };
                }
                Err(Busy::Ending) => return false,
                Err(Busy::Swapping(_)) => self.reload.wakeup.wait(generation, LOOK),
            }
            // A newer content is asked for instead, by whoever looks next.
            if shutdown.requested()
                || by == By::File && files::read(&self.path, PLUGIN_LIMIT).is_ok_and(|now| now != bytes)
            {
                return false;
            }
        }
    }
}
