//! Counters of `mapper-host map`.

use std::time::Duration;

use mapper_core::verdict::{FailureKind, Verdict};

#[derive(Default)]
pub(super) struct Counts {
    records: u64,
    outputs: u64,
    skipped: u64,
    failed: [u64; FailureKind::ALL.len()],
    /// Input that is not a record.
    pub(super) malformed: u64,
    /// Time in the plugin.
    pub(super) mapping: Duration,
}

impl Counts {
    pub(super) fn add(&mut self, verdict: &Verdict<'_>) {
        self.records += 1;
        match verdict {
            Verdict::Mapped(outputs) => {
                let outputs = outputs.clone().count() as u64;
                self.outputs += outputs;
                self.skipped += u64::from(outputs == 0);
            }
            Verdict::Failed(failure) => {
                let kind = FailureKind::ALL.iter().position(|kind| *kind == failure.kind);
                self.failed[kind.expect("ALL has every kind")] += 1;
            }
        }
    }

    pub(super) fn has_failures(&self) -> bool {
        self.malformed > 0 || self.failed.iter().any(|count| *count > 0)
    }

    pub(super) fn summary(&self, elapsed: Duration) -> String {
        let kinds: Vec<_> = FailureKind::ALL
            .iter()
            .zip(self.failed)
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let failed: u64 = self.failed.iter().sum();
        let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
        let malformed =
            if self.malformed == 0 { String::new() } else { format!(", {} malformed lines", self.malformed) };
        let record_us = self.mapping.as_secs_f64() * 1e6 / self.records.max(1) as f64;
        format!(
            "{} records in {:.2} s: {} outputs, {failed} failed{kinds}, {} skipped{malformed}\nmapping took {record_us:.1} µs per record",
            self.records,
            elapsed.as_secs_f64(),
            self.outputs,
            self.skipped
        )
    }
}
