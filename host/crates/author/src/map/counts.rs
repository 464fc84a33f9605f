//! What `mapper-host map` counts.

use std::time::Duration;

use mapper_core::verdict::{FailureKind, Verdict};

/// Counts of records, by what became of them.
#[derive(Default)]
pub(super) struct Counts {
    records: u64,
    outputs: u64,
    skipped: u64,
    failed: [u64; FailureKind::ALL.len()],
    /// Lines that are no record.
    pub(super) bad: u64,
    /// Time in the plugin.
    pub(super) mapping: Duration,
}

impl Counts {
    pub(super) fn count(&mut self, verdict: &Verdict<'_>) {
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

    /// Whether something was not mapped.
    pub(super) fn failed(&self) -> bool {
        self.bad > 0 || self.failed.iter().any(|count| *count > 0)
    }

    /// For a person.
    pub(super) fn text(&self, took: Duration) -> String {
        let kinds: Vec<_> = FailureKind::ALL
            .iter()
            .zip(self.failed)
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let failed: u64 = self.failed.iter().sum();
        let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
        let bad = if self.bad == 0 { String::new() } else { format!(", {} lines that are no record", self.bad) };
        let each_us = self.mapping.as_secs_f64() * 1e6 / self.records.max(1) as f64;
        format!(
            "{} records in {:.2} s: {} outputs, {failed} failed{kinds}, {} skipped{bad}\nmapping took {each_us:.1} µs a record",
            self.records,
            took.as_secs_f64(),
            self.outputs,
            self.skipped
        )
    }
}
