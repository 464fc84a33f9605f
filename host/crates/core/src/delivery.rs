//! What delivery guarantees.

use std::fmt;

/// How sure it is that each record is handled exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Outputs, dead letters and offsets in one transaction.
    ExactlyOnce,
    /// Offsets are committed once the outputs are acknowledged; after a crash, some come again.
    AtLeastOnce,
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExactlyOnce => "exactly-once",
            Self::AtLeastOnce => "at-least-once",
        })
    }
}
