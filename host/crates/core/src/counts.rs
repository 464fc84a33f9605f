//! What became of records.

use crate::verdict::FailureKind;

const KINDS: usize = FailureKind::ALL.len();

/// What became of records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Input records.
    pub records_in: u64,
    /// Outputs.
    pub records_out: u64,
    /// Input records without any output.
    pub skipped: u64,
    by_kind: [u64; KINDS],
}

impl Counts {
    /// Adds these.
    pub fn add(&mut self, counts: &Self) {
        self.records_in += counts.records_in;
        self.records_out += counts.records_out;
        self.skipped += counts.skipped;
        for (sum, count) in self.by_kind.iter_mut().zip(counts.by_kind) {
            *sum += count;
        }
    }

    /// Counts a dead letter.
    pub fn dead_letter(&mut self, kind: FailureKind) {
        self.by_kind[kind as usize] += 1;
    }

    /// Dead letters of all kinds.
    pub fn dead_letters(&self) -> u64 {
        self.by_kind.iter().sum()
    }

    /// Dead letters of each kind.
    pub fn of_each_kind(&self) -> impl Iterator<Item = (FailureKind, u64)> {
        FailureKind::ALL.into_iter().zip(self.by_kind)
    }

    /// Dead letters by kind, those that there are.
    pub fn by_kind(&self) -> impl Iterator<Item = (FailureKind, u64)> {
        self.of_each_kind().filter(|(_, count)| *count > 0)
    }
}
