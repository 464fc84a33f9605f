//! Reads records for `map` and `bench`, in batches.

mod dead_letters;
mod lines;
mod topic;

use mapper_core::record::Batch;
use mapper_core::shutdown::Halt;

pub(super) use lines::{LineFormat, Lines};
pub(super) use topic::Topic;

/// Size of a batch, independent of the number of records.
const BATCH_BYTES: usize = 1 << 20;

pub(super) struct InputBatch {
    pub(super) batch: Batch,
    /// The location of each record, for messages.
    pub(super) locations: Vec<String>,
    pub(super) malformed: Vec<Malformed>,
}

/// Input that is not a record.
pub(super) struct Malformed {
    /// Number of records before it in the batch.
    pub(super) index: usize,
    pub(super) location: String,
    pub(super) reason: String,
}

impl InputBatch {
    pub(super) fn new(topic: &str) -> Self {
        Self { batch: Batch::new(topic), locations: Vec::new(), malformed: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        self.batch.clear();
        self.locations.clear();
        self.malformed.clear();
    }

    fn push_malformed(&mut self, location: String, reason: String) {
        self.malformed.push(Malformed { index: self.batch.len(), location, reason });
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    pub(super) bytes_read: u64,
    pub(super) bytes_total: u64,
}

pub(super) trait Input {
    /// Adds up to `max_records`. Waits for the first record only. Returns `false` at the end of the input.
    ///
    /// # Errors
    /// The input can't be read.
    fn fill(&mut self, input: &mut InputBatch, max_records: usize) -> Result<bool, Halt>;

    /// `None` if the size of the input is unknown.
    fn progress(&self) -> Option<Progress>;
}
