//! The queue of new groups of failures for the alert webhook. Workers never wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};

use mapper_core::identity::Version;

use super::failures::Group;

/// The capacity of the queue. Further groups are dropped.
const MOST_WAITING: usize = 256;

/// A group of failures that the process has not seen before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupAlert {
    /// The pipeline.
    pub pipeline: String,
    /// The topic of its dead letters.
    pub dead_letter_topic: String,
    /// The active plugin.
    pub plugin: Option<Version>,
    /// The fingerprint of the group.
    pub fingerprint: String,
    /// The failures of the group in the transaction that had the first.
    pub group: Group,
}

/// The counts of alerts of a process.
#[derive(Debug, Default)]
pub struct AlertCounts {
    posts: AtomicU64,
    failed_posts: AtomicU64,
    dropped: AtomicU64,
}

impl AlertCounts {
    /// Posts that the receiver accepted.
    pub fn posts(&self) -> u64 {
        self.posts.load(Ordering::Relaxed)
    }

    /// Posts that failed. Those that can succeed later are repeated.
    pub fn failed_posts(&self) -> u64 {
        self.failed_posts.load(Ordering::Relaxed)
    }

    /// Groups that are in no accepted post.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The receiver accepted a post.
    pub fn count_post(&self) {
        self.posts.fetch_add(1, Ordering::Relaxed);
    }

    /// A post failed.
    pub fn count_failed_post(&self) {
        self.failed_posts.fetch_add(1, Ordering::Relaxed);
    }

    /// So many groups are dropped.
    pub fn count_dropped(&self, groups: usize) {
        self.dropped.fetch_add(groups as u64, Ordering::Relaxed);
    }
}

/// The sending end of the queue.
#[derive(Debug, Clone)]
pub struct AlertQueue {
    sender: SyncSender<GroupAlert>,
    counts: Arc<AlertCounts>,
}

impl AlertQueue {
    /// A queue that counts what it drops, and its receiving end.
    pub fn new(counts: Arc<AlertCounts>) -> (Self, Receiver<GroupAlert>) {
        let (sender, receiver) = mpsc::sync_channel(MOST_WAITING);
        (Self { sender, counts }, receiver)
    }

    /// Adds a group, or drops it if the queue is full or has no receiver.
    pub fn push(&self, alert: GroupAlert) {
        if self.sender.try_send(alert).is_err() {
            self.counts.count_dropped(1);
        }
    }
}
