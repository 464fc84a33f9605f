//! The queue of groups of failures for the alert webhook. Workers never wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};

use chrono::{DateTime, Utc};

use mapper_core::identity::Version;

use super::failures::{Example, Group};

/// The capacity of the queue. Further groups are dropped.
const MOST_WAITING: usize = 256;

/// Why a group of failures is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertReason {
    /// The process has not seen it before.
    New,
    /// It was resolved and fails again.
    Regressed,
}

/// A group of failures that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupAlert {
    pub reason: AlertReason,
    pub origin: AlertOrigin,
    /// The fingerprint of the group.
    pub fingerprint: String,
    /// The kind of the failures.
    pub kind: String,
    /// The number of failures so far: those in the transaction that had the first, or those since the group was resolved.
    pub count: u64,
    /// When the first one was processed.
    pub first_seen: DateTime<Utc>,
    /// When the last one was processed.
    pub last_seen: DateTime<Utc>,
    /// One of them.
    pub example: Example,
}

/// The topic and the plugin of a pipeline with an alert.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertOrigin {
    /// The pipeline.
    pub pipeline: String,
    /// The topic of its dead letters.
    pub dead_letter_topic: String,
    /// The active plugin.
    pub plugin: Option<Version>,
}

impl GroupAlert {
    /// An alert of a group that the process has not seen before.
    pub fn new(origin: &AlertOrigin, fingerprint: &str, group: &Group) -> Self {
        let Group { kind, count, first_seen, last_seen, example } = group.clone();
        Self {
            reason: AlertReason::New,
            origin: origin.clone(),
            fingerprint: fingerprint.to_owned(),
            kind: kind.name().to_owned(),
            count,
            first_seen,
            last_seen,
            example,
        }
    }
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

    /// So many groups are dropped before they reach the queue.
    pub(super) fn count_dropped(&self, groups: usize) {
        self.counts.count_dropped(groups);
    }

    /// Adds a group, or drops it if the queue is full or has no receiver.
    pub fn push(&self, alert: GroupAlert) {
        if self.sender.try_send(alert).is_err() {
            self.counts.count_dropped(1);
        }
    }
}
