//! Counts of processed records.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::verdict::FailureKind;

const KINDS: usize = FailureKind::ALL.len();

/// Counts of processed records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub records_in: u64,
    pub records_out: u64,
    /// Input records without an output.
    pub skipped: u64,
    by_kind: [u64; KINDS],
}

impl Counts {
    pub fn add(&mut self, counts: &Self) {
        self.records_in += counts.records_in;
        self.records_out += counts.records_out;
        self.skipped += counts.skipped;
        for (sum, count) in self.by_kind.iter_mut().zip(counts.by_kind) {
            *sum += count;
        }
    }

    pub fn dead_letter(&mut self, kind: FailureKind) {
        self.by_kind[kind as usize] += 1;
    }

    /// The number of dead letters.
    pub fn dead_letters(&self) -> u64 {
        self.by_kind.iter().sum()
    }

    /// The number of dead letters of every kind.
    pub fn of_each_kind(&self) -> impl Iterator<Item = (FailureKind, u64)> {
        FailureKind::ALL.into_iter().zip(self.by_kind)
    }

    /// The number of dead letters of the kinds that occurred.
    pub fn by_kind(&self) -> impl Iterator<Item = (FailureKind, u64)> {
        self.of_each_kind().filter(|(_, count)| *count > 0)
    }
}

/// The results of the records of a term.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Input records.
    pub records_in: u64,
    /// Outputs.
    pub records_out: u64,
    /// Input records without an output.
    pub skipped: u64,
    /// Dead letters by kind of failure.
    pub dead_letters: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds what a transaction committed.
    pub fn add(&mut self, counts: &Counts) {
        self.records_in += counts.records_in;
        self.records_out += counts.records_out;
        self.skipped += counts.skipped;
        for (kind, count) in counts.by_kind() {
            *self.dead_letters.entry(kind.name().to_owned()).or_default() += count;
        }
    }
}
