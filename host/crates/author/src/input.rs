//! Where records come from outside of the record path: a batch at a time, each with its place for a person.

mod dead_letters;
mod lines;
mod topic;

use mapper_core::record::Batch;
use mapper_core::shutdown::Halt;

pub(super) use lines::{LineFormat, Lines};
pub(super) use topic::Topic;

/// A batch is mapped once it has this many bytes, however few records that are.
const BATCH_BYTES: usize = 1 << 20;

/// Records that are mapped together.
pub(super) struct Filled {
    pub(super) batch: Batch,
    /// Where each record is from, for a person.
    pub(super) places: Vec<String>,
    /// What could not be made a record: before which of the records it was, where, and what is wrong with it.
    pub(super) bad: Vec<(usize, String, String)>,
}

impl Filled {
    pub(super) fn new(topic: &str) -> Self {
        Self { batch: Batch::new(topic), places: Vec::new(), bad: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        self.batch.clear();
        self.places.clear();
        self.bad.clear();
    }

    fn refuse(&mut self, place: String, reason: String) {
        self.bad.push((self.batch.len(), place, reason));
    }
}

/// Where records come from.
pub(super) trait Input {
    /// Adds records, `most` at most; waits for the first one only. `false`: that was the end.
    ///
    /// # Errors
    /// When it can't be read.
    fn fill(&mut self, filled: &mut Filled, most: usize) -> Result<bool, Halt>;

    /// Bytes that were read, and how many there are, if that is known.
    fn progress(&self) -> Option<(u64, u64)>;
}
