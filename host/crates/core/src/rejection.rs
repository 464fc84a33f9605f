//! The causes of a rejection by the broker.

/// The cause of a rejected record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionCause {
    /// The record or its batch is too large.
    TooLarge,
    /// The timestamp is out of range.
    Timestamp,
    /// Another cause, for example a missing key.
    Other,
}
