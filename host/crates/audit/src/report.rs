//! Adds findings to a report.

use mapper_api::audit::{Finding, FindingKind, Findings};

/// The most findings that are listed; all are counted.
const MAX_LISTED: usize = 1000;

/// Counts and lists findings.
pub(crate) trait AddFindings {
    fn add(&mut self, kind: FindingKind, at: String, count: u64, reason: impl Into<String>);

    fn append(&mut self, others: Self);
}

impl AddFindings for Findings {
    fn add(&mut self, kind: FindingKind, at: String, count: u64, reason: impl Into<String>) {
        self.total += 1;
        if self.listed.len() < MAX_LISTED {
            self.listed.push(Finding { kind, at, count, reason: reason.into() });
        }
    }

    fn append(&mut self, others: Self) {
        self.total += others.total;
        self.listed.extend(others.listed);
        self.listed.truncate(MAX_LISTED);
    }
}
