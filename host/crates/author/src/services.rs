//! Services that the host provides to the commands: read a topic, and swap a plugin into a running host.

use std::path::Path;
use std::time::Duration;

use mapper_core::record::Batch;
use mapper_core::shutdown::Halt;

use crate::config::TopicInput;

/// Reads a topic from its beginning to its end at the time of opening.
pub trait TopicRecords {
    /// Adds up to `max_records` and about `max_bytes`. Waits for the first record only. Returns `false` at the end.
    ///
    /// # Errors
    /// A fetch from Kafka failed.
    fn fetch(&mut self, batch: &mut Batch, max_records: usize, max_bytes: usize, wait: Duration) -> Result<bool, Halt>;
}

pub trait Services {
    /// # Errors
    /// Kafka is unreachable, or the topic doesn't exist.
    fn open_topic(&self, input: &TopicInput) -> Result<Box<dyn TopicRecords>, Halt>;

    /// Swaps a plugin into a running host through its admin server, and prints the report.
    ///
    /// # Errors
    /// The host is unreachable, or rejects the plugin.
    fn swap(&self, url: &str, token_file: Option<&Path>, plugin: &Path) -> Result<(), Halt>;
}
