//! Watches the plugin file and requests a swap when the file has changed and is complete. SIGHUP requests a swap at once.
//!
//! File system events wake the thread. It also polls, because some file systems send no events.
//! It checks the target of the path. So it detects a write, a rename, and a changed symbolic link (a Kubernetes ConfigMap).

mod change;
mod events;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use change::{ChangeDetector, Signature};
use events::Events;

use super::completeness::{Completeness, check_completeness};
use super::history::Trigger;
use super::notification::Notify;
use super::swapper::{Busy, Reply, Request, RequestQueue};
use mapper_api::versions::SwapOutcome;
use mapper_core::identity::Digest;
use mapper_core::shutdown::Shutdown;
use mapper_state::files;
use mapper_state::files::PLUGIN_LIMIT;

/// The poll interval.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// A file is complete if it has not changed for this time.
const SETTLED: Duration = Duration::from_millis(300);
/// The same for a file that a writer still has open.
const UNCLOSED: Duration = Duration::from_secs(10);

/// A request of SIGHUP to read the plugin file again. Clones share the request.
#[derive(Clone, Default)]
pub struct Reload {
    is_requested: Arc<AtomicBool>,
    wakeup: Arc<Notify>,
}

impl Reload {
    pub fn request(&self) {
        self.is_requested.store(true, Ordering::Release);
        self.wakeup.notify();
    }

    /// Whether it was requested since the last call.
    pub fn take(&self) -> bool {
        self.is_requested.swap(false, Ordering::AcqRel)
    }

    /// Wakes the thread that waits for a request.
    pub fn wake(&self) {
        self.wakeup.notify();
    }
}

pub struct Watch {
    path: PathBuf,
    requests: Arc<RequestQueue>,
    reload: Reload,
    /// Whether a change of the file requests a swap, or only SIGHUP does.
    detects_changes: bool,
    /// The digest of the last complete content, swapped or refused.
    last_content: Digest,
    detector: ChangeDetector,
}

impl Watch {
    /// `active` is the digest of the active version.
    pub fn new(
        path: &Path,
        active: Digest,
        requests: Arc<RequestQueue>,
        reload: Reload,
        detects_changes: bool,
    ) -> Self {
        let detector = ChangeDetector::new(Signature::read(path), SETTLED, UNCLOSED);
        Self { path: path.to_owned(), requests, reload, detects_changes, last_content: active, detector }
    }

    pub fn run(mut self, shutdown: &Shutdown) {
        if !self.detects_changes {
            tracing::info!(path = %self.path.display(), "the plugin file is not watched (--watch off); mapper-host swap FILE or SIGHUP deploys");
        }
        let mut events = self.detects_changes.then(|| Events::new(&self.path, self.reload.wakeup.clone()));
        while !shutdown.requested() {
            let generation = self.reload.wakeup.generation();
            if self.reload.take() {
                self.request_swap(Trigger::Signal, shutdown);
            }
            let mut wait = POLL_INTERVAL;
            if let Some(events) = &mut events {
                events.follow(&self.path);
                match self.detector.check(Signature::read(&self.path), events.is_being_written(), Instant::now()) {
                    change::Next::Nothing => {}
                    change::Next::Wait(at_most) => wait = at_most.min(POLL_INTERVAL),
                    change::Next::Read => self.request_swap(Trigger::File, shutdown),
                    change::Next::Deleted => {
                        tracing::warn!(path = %self.path.display(), "the plugin file was deleted; the active version stays");
                    }
                }
            }
            self.reload.wakeup.wait(generation, wait);
        }
    }

    /// Reads the file, and requests a swap if its content is new.
    fn request_swap(&mut self, by: Trigger, shutdown: &Shutdown) {
        let before = Signature::read(&self.path);
        let bytes = match files::read(&self.path, PLUGIN_LIMIT) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "failed to read the plugin file; the active version stays");
                return;
            }
        };
        let digest = Digest::hash_bytes(&bytes);
        if by == Trigger::File {
            // It changed during the read. The next check reads it again.
            if Signature::read(&self.path) != before {
                return;
            }
            if check_completeness(&bytes) == Completeness::Truncated {
                return tracing::info!(bytes = bytes.len(), "the plugin file is incomplete; waiting for the rest");
            }
            if digest == self.last_content {
                return tracing::debug!("the plugin file has the same content as before");
            }
        }
        if self.submit(bytes, by, shutdown) {
            self.last_content = digest;
        }
    }

    /// Repeats the request while another swap is in progress. Returns whether the content was handled.
    fn submit(&self, bytes: Vec<u8>, by: Trigger, shutdown: &Shutdown) -> bool {
        loop {
            let generation = self.reload.wakeup.generation();
            let request = Request::Swap { bytes: bytes.clone(), by, force: false, dry_run: false };
            match self.requests.submit(request) {
                Ok(answer) => {
                    let reply = answer.blocking_recv();
                    return match reply {
                        Ok(Reply::Report(report)) => report.outcome != SwapOutcome::Switching || !shutdown.requested(),
                        Ok(Reply::Shadow(_) | Reply::Panicked) | Err(_) => false,
                    };
                }
                Err(Busy::Ending | Busy::Panicked) => return false,
                Err(Busy::Swapping(_)) => self.reload.wakeup.wait(generation, POLL_INTERVAL),
            }
            // The next check requests a swap to the newer content.
            if shutdown.requested()
                || by == Trigger::File && files::read(&self.path, PLUGIN_LIMIT).is_ok_and(|now| now != bytes)
            {
                return false;
            }
        }
    }
}
