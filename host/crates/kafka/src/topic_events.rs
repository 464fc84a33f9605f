//! Gets what happens to topics.

use mapper_core::topics::{TopicId, TopicIdentity};

/// Reports what happened to topics, and keeps which topic a name stood for.
pub trait TopicEvents: Send + Sync {
    /// What the last run of this host knew of a topic.
    fn known(&self, topic: &str) -> Option<TopicIdentity>;

    /// From now on the name stands for this topic.
    fn keep(&self, topic: &str, identity: &TopicIdentity);

    /// A topic was deleted and created again. `consequence` is what the host does about it.
    fn recreated(&self, topic: &str, old: Option<&TopicId>, new: Option<&TopicId>, consequence: &str);

    /// A partition ends before the offset that was to be read next; it is read from `to` on.
    fn shortened(&self, topic: &str, partition: i32, offset: i64, to: i64);

    /// Records were deleted with their topic before the host read them: the offsets from `from` up to, but without, `to`.
    fn deleted_unread(&self, topic: &str, partition: i32, from: i64, to: i64);

    /// Records were removed before the host read them: the offsets from `from` up to, but without, `to`.
    fn missed(&self, topic: &str, partition: i32, from: i64, to: i64);
}
