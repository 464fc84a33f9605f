//! The receiver of topic events.

use mapper_core::topics::{TopicId, TopicIdentity};

/// Reports topic events, and stores the identities of topics.
pub trait TopicEvents: Send + Sync {
    /// The identity of a topic in the last run.
    fn known(&self, topic: &str) -> Option<TopicIdentity>;

    /// Stores the identity of a topic.
    fn keep(&self, topic: &str, identity: &TopicIdentity);

    /// A topic was deleted and recreated. `consequence` is the reaction of the host.
    fn recreated(&self, topic: &str, old: Option<&TopicId>, new: Option<&TopicId>, consequence: &str);

    /// A partition ends before the next offset. The source continues at `to`.
    fn shortened(&self, topic: &str, partition: i32, offset: i64, to: i64);

    /// Records were deleted with their topic before the host read them: the offsets from `from` up to, but without, `to`.
    fn deleted_unread(&self, topic: &str, partition: i32, from: i64, to: i64);

    /// Records were removed before the host read them: the offsets from `from` up to, but without, `to`.
    fn missed(&self, topic: &str, partition: i32, from: i64, to: i64);
}
