//! Watches topics that are deleted and created again, and reports it.

mod events;
mod watch;

pub use mapper_core::topics::{Recreation, TopicId, TopicIdentity};

pub use events::TopicReporter;
pub use watch::TopicWatch;
