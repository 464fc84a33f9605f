//! What the ledger says of one input partition.

use crate::coverage::Coverage;
use crate::report::AddFindings;
use mapper_api::audit::{AuditedPartition, FindingKind, Findings};
use mapper_core::ledger::{LedgerRange, RangeStart};

/// The ranges of an input partition so far.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    pub(crate) topic: String,
    pub(crate) number: i32,
    topic_id: Option<String>,
    /// Whether the topic was recreated, so that an offset is that of several records.
    pub(crate) is_recreated: bool,
    pub(crate) coverage: Coverage,
    /// Whether the ledger begins with the first record that the group has read.
    pub(crate) is_complete: bool,
    /// Whether `--since` has left out a range.
    pub(crate) has_older: bool,
    ranges: u64,
    records: u64,
    outputs: u64,
    dead_letters: u64,
    skipped: u64,
    without_record: u64,
    missed: u64,
}

impl Partition {
    pub(crate) fn new(topic: &str, number: i32) -> Self {
        Self { topic: topic.to_owned(), number, ..Self::default() }
    }

    /// The name of the partition in findings.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.topic, self.number)
    }

    /// A position or a span of positions of the partition; the end is excluded.
    pub(crate) fn at(&self, start: i64, end: i64) -> String {
        if end - start <= 1 {
            format!("{}@{start}", self.name())
        } else {
            format!("{}@{start}..{}", self.name(), end - 1)
        }
    }

    pub(crate) fn add(&mut self, range: &LedgerRange<'_>, findings: &mut Findings) {
        let end = range.last + 1;
        if self.ranges == 0 {
            self.is_complete = range.start == RangeStart::FirstRecord && !self.has_older;
        }
        let id = range.topic_id.as_deref();
        if self.ranges > 0 && id.is_some() && id != self.topic_id.as_deref() {
            self.is_recreated = true;
            self.coverage = Coverage::default();
        }
        self.topic_id = id.map(str::to_owned);
        if range.start == RangeStart::Truncation {
            self.coverage.truncate(range.first);
        }
        for (start, end) in self.coverage.add(range.first, end) {
            let count = (end - start).unsigned_abs();
            let reason =
                format!("{count} offsets are in more than one range of the ledger: their records were mapped again");
            findings.add(FindingKind::Duplicated, self.at(start, end), count, reason);
        }
        let explained = range.records + range.without_record + range.missed;
        let offsets = u64::try_from(end - range.first).unwrap_or(0);
        if explained != offsets {
            let reason = format!("the ledger explains {explained} of the {offsets} offsets of a range");
            findings.add(FindingKind::Unexplained, self.at(range.first, end), offsets.abs_diff(explained), reason);
        }
        self.ranges += 1;
        self.records += range.records;
        self.outputs += range.counts.outputs.values().sum::<u64>();
        self.dead_letters += range.counts.dead_letters.values().sum::<u64>();
        self.skipped += range.counts.skipped;
        self.without_record += range.without_record;
        self.missed += range.missed;
    }

    /// Compares the ranges with the committed offsets before and after the ledger was read.
    pub(crate) fn check_committed(&self, before: Option<i64>, after: Option<i64>, findings: &mut Findings) {
        for (start, end) in self.coverage.gaps() {
            let count = (end - start).unsigned_abs();
            let reason = format!("{count} offsets are committed without a range in the ledger: no host has read them");
            findings.add(FindingKind::Missing, self.at(start, end), count, reason);
        }
        let Some(end) = self.coverage.end() else { return };
        if let Some(committed) = before.filter(|committed| *committed > end) {
            let count = (committed - end).unsigned_abs();
            let reason = format!("{count} offsets are committed without a range in the ledger: no host has read them");
            findings.add(FindingKind::Missing, self.at(end, committed), count, reason);
        }
        let Some(start) = self.coverage.start() else { return };
        let committed = after.unwrap_or(start);
        if committed < end {
            let count = (end - committed).unsigned_abs();
            let reason = match after {
                Some(_) => {
                    format!("{count} offsets are in the ledger and not committed: their records will be mapped again")
                }
                None => format!(
                    "{count} offsets are in the ledger, and the group has committed none: their records will be mapped again"
                ),
            };
            findings.add(FindingKind::Unexplained, self.at(committed.max(start), end), count, reason);
        }
    }

    pub(crate) fn report(&self, committed: Option<i64>) -> AuditedPartition {
        AuditedPartition {
            topic: self.topic.clone(),
            partition: self.number,
            first: self.coverage.start(),
            last: self.coverage.end().map(|end| end - 1),
            committed,
            ranges: self.ranges,
            records: self.records,
            outputs: self.outputs,
            dead_letters: self.dead_letters,
            skipped: self.skipped,
            without_record: self.without_record,
            missed: self.missed,
        }
    }
}
