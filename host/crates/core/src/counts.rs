//! Counts of processed records.

use std::collections::BTreeMap;
use std::time::Duration;

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
    /// The time of the calls of the plugin.
    pub mapping: Duration,
    by_kind: [u64; KINDS],
}

impl Counts {
    pub fn add(&mut self, counts: &Self) {
        self.records_in += counts.records_in;
        self.records_out += counts.records_out;
        self.skipped += counts.skipped;
        self.mapping += counts.mapping;
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
    /// The time of the calls of the plugin, in microseconds; 0 if it was not measured.
    #[serde(default)]
    pub mapping_us: u64,
    /// Dead letters by kind of failure.
    pub dead_letters: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds what a transaction committed.
    pub fn add(&mut self, counts: &Counts) {
        self.records_in += counts.records_in;
        self.records_out += counts.records_out;
        self.skipped += counts.skipped;
        self.mapping_us += u64::try_from(counts.mapping.as_micros()).unwrap_or(u64::MAX);
        for (kind, count) in counts.by_kind() {
            *self.dead_letters.entry(kind.name().to_owned()).or_default() += count;
        }
    }

    /// The mean time of the plugin for a record, in microseconds; `None` without records, or if the time is not known.
    pub fn mapping_us_per_record(&self) -> Option<f64> {
        (self.records_in > 0 && self.mapping_us > 0).then(|| self.mapping_us as f64 / self.records_in as f64)
    }
}
