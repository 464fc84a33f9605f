//! Detects and reports topics that were deleted and created again.

mod events;
mod watch;

pub use events::TopicReporter;
pub use watch::TopicWatch;
