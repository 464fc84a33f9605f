//! Where a shadow listens in on what the workers judge.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Mutex, PoisonError};

use mapper_core::record::Batch;
use mapper_core::verdict::Verdicts;

/// How many batches may wait for a shadow. What comes beyond that goes by unseen.
pub(super) const WAITING_BATCHES: usize = 2;

/// A batch with what was said of it, for a shadow.
pub struct Judgement {
    /// The records.
    pub batch: Batch,
    /// The verdicts on them.
    pub verdicts: Verdicts,
}

/// Where a shadow listens in, if there is one.
#[derive(Default)]
pub struct Tap {
    open: AtomicBool,
    sender: Mutex<Option<SyncSender<Judgement>>>,
    /// Batches on their way.
    waiting: AtomicUsize,
    unseen: AtomicU64,
}

impl Tap {
    /// From now on batches go there, as long as there is room.
    pub fn open(&self, sender: SyncSender<Judgement>) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        self.unseen.store(0, Ordering::Relaxed);
        self.waiting.store(0, Ordering::Relaxed);
        self.open.store(true, Ordering::Release);
    }

    /// No longer.
    pub fn close(&self) {
        self.open.store(false, Ordering::Release);
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Records that went by because there was no room.
    pub fn unseen(&self) -> u64 {
        self.unseen.load(Ordering::Relaxed)
    }

    /// A batch was taken from the other end.
    pub fn received(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether it is worth while to copy so many records for it.
    pub(super) fn has_room(&self, records: usize) -> bool {
        if !self.open.load(Ordering::Acquire) || records == 0 {
            return false;
        }
        let room = self.waiting.load(Ordering::Relaxed) < WAITING_BATCHES;
        if !room {
            self.unseen.fetch_add(records as u64, Ordering::Relaxed);
        }
        room
    }

    pub(super) fn pass(&self, judgement: Judgement) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = &*sender else { return };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(TrySendError::Full(judgement) | TrySendError::Disconnected(judgement)) = sender.try_send(judgement) {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.unseen.fetch_add(judgement.batch.len() as u64, Ordering::Relaxed);
        }
    }
}
