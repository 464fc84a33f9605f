//! The settings of the heading "Failures".

pub use mapper_core::dead_letter::HeaderSet;
pub use mapper_pipeline::{BreakerRecords, BreakerSettings, FailurePolicy};

/// The settings of the heading "Failures".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Failures {
    /// The policy for failed records.
    pub policy: FailurePolicy,
    /// The number of crashes of the host with one record alone in the plugin after which the record becomes a dead letter; 0 is never.
    pub poison_after: u32,
    /// The headers of dead letters.
    pub dead_letter_headers: HeaderSet,
}
