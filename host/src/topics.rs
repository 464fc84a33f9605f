//! Watches topics that are deleted and created again, and reports it.

mod events;
mod watch;

pub use events::TopicReporter;
pub use watch::TopicWatch;
