//! What the commands of an author need of the rest of the host: a topic to read, and a running host to swap into.

use std::path::Path;
use std::time::Duration;

use mapper_core::record::Batch;
use mapper_core::shutdown::Halt;

use crate::config::TopicInput;

/// Reads a topic from its beginning to where it ended when it was opened.
pub trait TopicRecords {
    /// Adds records, `max_records` and about `max_bytes` at most; waits for the first one only. `false`: that was the end.
    ///
    /// # Errors
    /// When Kafka can't be read.
    fn fetch(&mut self, batch: &mut Batch, max_records: usize, max_bytes: usize, wait: Duration) -> Result<bool, Halt>;
}

/// The host around the commands.
pub trait Services {
    /// Opens a topic.
    ///
    /// # Errors
    /// When Kafka can't be reached, or there is no such topic.
    fn open_topic(&self, input: &TopicInput) -> Result<Box<dyn TopicRecords>, Halt>;

    /// Swaps a plugin into the running host whose admin server is at this URL, and prints what comes of it.
    ///
    /// # Errors
    /// When the host can't be asked, or refuses the plugin.
    fn swap(&self, url: &str, token_file: Option<&Path>, plugin: &Path) -> Result<(), Halt>;
}
