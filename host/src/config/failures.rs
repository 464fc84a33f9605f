//! What is done when a plugin fails: about one record too many, about record after record, about the whole process.

pub use mapper_pipeline::{BreakerRecords, BreakerSettings, FailurePolicy};

/// The settings of the heading "Failures".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Failures {
    /// What a worker does about records that fail.
    pub policy: FailurePolicy,
    /// After how many deaths of the host with the same record alone in the call that is a dead letter; 0: it never is.
    pub poison_after: u32,
}
