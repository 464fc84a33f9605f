//! Compares the ledger of a pipeline with its committed offsets, its output topics and its dead-letter topic. It does no I/O.
//!
//! [`Audit`] takes the letters and the outputs first, then the ledger record by record. It keeps 16 bytes for each letter, and for
//! each output if outputs name their input; the ledger itself is not kept.

#![forbid(unsafe_code)]

mod audit;
mod coverage;
mod entries;
mod finish;
mod partition;
mod report;

#[cfg(test)]
mod tests;

pub use audit::{Audit, AuditSettings};
pub use finish::{CommittedOffsets, Extents, TopicExtent};
pub use report::{Finding, FindingKind, Findings, PartitionReport, Report, TopicReport};
