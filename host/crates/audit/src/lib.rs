//! Compares the ledger of a pipeline with its committed offsets, its output topics, its dead-letter topic and the resolutions of redrives.
//! It does no I/O.
//!
//! [`Audit`] takes the letters, the outputs and the resolutions first, then the ledger record by record. It keeps 16 bytes for each letter,
//! and for each output if outputs name their input, and about 30 bytes for each resolution; the ledger itself is not kept.

#![forbid(unsafe_code)]

mod audit;
mod coverage;
mod entries;
mod finish;
mod partition;
mod redrives;
mod report;
mod resolutions;

#[cfg(test)]
mod tests;

pub use audit::{Audit, AuditSettings};
pub use finish::{CommittedOffsets, Extents, TopicExtent};
pub use resolutions::ResolutionOutcome;
