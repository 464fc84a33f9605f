//! Delivery guarantees.

use std::fmt;

/// A delivery guarantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Outputs, dead letters and offsets in one transaction.
    ExactlyOnce,
    /// Offsets are committed after the outputs are acknowledged. A crash can repeat outputs.
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
