//! In-flight markers: the records that the mapper has are written down before it gets them, so that a
//! record that crashes the host is known at the next start.

use std::ops::Range;

use crate::record::{Batch, Positions};

/// How the next records of a batch are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The mapper gets so many records in one call.
    Mapped(usize),
    /// The mapper does not get the next record: the host crashed so many times while the record was alone in the call.
    Quarantined {
        /// The number of crashes.
        crashes: u32,
    },
}

/// Marks the records that the mapper has.
pub trait InFlightMarker {
    /// How to judge the first of these records.
    fn admit(&self, batch: &Batch, records: Range<usize>) -> Admission;

    /// The mapper is about to get these records. Returns when the marker outlives the process.
    fn mark(&mut self, batch: &Batch, records: Range<usize>);

    /// The mapper has returned from the call with these records.
    fn unmark(&mut self, batch: &Batch, records: Range<usize>);

    /// All up to these offsets is committed.
    fn committed(&mut self, next: &Positions);
}
