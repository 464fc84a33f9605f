//! Why a broker rejects a record.

/// What a broker has against a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionCause {
    /// The record, or the batch that it was sent in, is too large.
    TooLarge,
    /// Its timestamp is out of range.
    Timestamp,
    /// Anything else, as that it has no key.
    Other,
}
