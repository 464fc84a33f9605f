//! The queue from the workers to a shadow.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Mutex, PoisonError};

use mapper_core::record::Batch;
use mapper_core::verdict::Verdicts;

/// The capacity of the queue. The shadow misses the batches that do not fit.
pub(super) const MAX_QUEUED_BATCHES: usize = 2;

/// A batch with the verdicts of the active version.
pub struct Judgement {
    pub batch: Batch,
    pub verdicts: Verdicts,
}

/// The sender's end of the queue; it is closed if there is no shadow.
#[derive(Default)]
pub struct Tap {
    open: AtomicBool,
    sender: Mutex<Option<SyncSender<Judgement>>>,
    queued_batches: AtomicUsize,
    missed_records: AtomicU64,
}

impl Tap {
    pub fn open(&self, sender: SyncSender<Judgement>) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        self.missed_records.store(0, Ordering::Relaxed);
        self.queued_batches.store(0, Ordering::Relaxed);
        self.open.store(true, Ordering::Release);
    }

    pub fn close(&self) {
        self.open.store(false, Ordering::Release);
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The number of records that did not fit into the queue.
    pub fn missed_records(&self) -> u64 {
        self.missed_records.load(Ordering::Relaxed)
    }

    /// The shadow calls it after it has received a batch.
    pub fn record_received(&self) {
        self.queued_batches.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether a batch of this many records fits; counts them as missed otherwise. It saves the copy of the batch.
    pub(super) fn reserve(&self, records: usize) -> bool {
        if !self.open.load(Ordering::Acquire) || records == 0 {
            return false;
        }
        let has_room = self.queued_batches.load(Ordering::Relaxed) < MAX_QUEUED_BATCHES;
        if !has_room {
            self.missed_records.fetch_add(records as u64, Ordering::Relaxed);
        }
        has_room
    }

    pub(super) fn send(&self, judgement: Judgement) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = &*sender else { return };
        self.queued_batches.fetch_add(1, Ordering::Relaxed);
        if let Err(TrySendError::Full(judgement) | TrySendError::Disconnected(judgement)) = sender.try_send(judgement) {
            self.queued_batches.fetch_sub(1, Ordering::Relaxed);
            self.missed_records.fetch_add(judgement.batch.len() as u64, Ordering::Relaxed);
        }
    }
}
