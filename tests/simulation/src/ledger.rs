//! What the ledger records of the hosts must say of each transaction.

use std::collections::BTreeMap;

use mapper_core::ledger::{LedgerRange, LedgerRecord, RangeStart};
use mapper_core::record::{Position, Positions};
use mapper_pipeline::simulation::StoredRecord;

use crate::checker::LETTERS;
use crate::guest::TOPICS;
use crate::scenario::Kind;

/// The route of the ledger topic.
pub(crate) const LEDGER: usize = LETTERS + 1;

/// Follows the ledger topic.
pub(crate) struct LedgerChecker {
    is_exactly_once: bool,
    /// Per partition, the end of the ranges without a gap.
    ends: Positions,
}

impl LedgerChecker {
    pub(crate) fn new(is_exactly_once: bool) -> Self {
        Self { is_exactly_once, ends: Positions::new() }
    }

    /// A transaction has one range for each partition that it advances, with the counts of what is in it.
    pub(crate) fn check_transaction(
        &mut self,
        ledger: &[StoredRecord],
        records: &[(usize, StoredRecord)],
        offsets: &Positions,
        inputs: &BTreeMap<Position, Kind>,
    ) -> Result<(), String> {
        if ledger.len() != offsets.len() {
            return Err(format!("{} ledger records of a transaction with offsets {offsets:?}", ledger.len()));
        }
        for record in ledger {
            let range = parse(record)?;
            if offsets.get(&range.partition) != Some(&(range.last + 1)) {
                return Err(format!("a transaction with offsets {offsets:?} has the ledger record {range:?}"));
            }
            let of_range = records.iter().filter(|(_, record)| {
                record.input.is_some_and(|(partition, offset)| {
                    partition == range.partition && (range.first..=range.last).contains(&offset)
                })
            });
            let mut counts = [0; LETTERS + 1];
            let mut handled: Vec<Position> = Vec::new();
            for (route, record) in of_range {
                counts[*route] += 1;
                handled.extend(record.input);
            }
            handled.sort_unstable();
            handled.dedup();
            let outputs = |topic: usize| range.counts.outputs.get(TOPICS[topic]).copied().unwrap_or(0);
            let letters: u64 = range.counts.dead_letters.values().sum();
            let is_counted = (0..TOPICS.len()).all(|topic| outputs(topic) == counts[topic])
                && letters == counts[LETTERS]
                && range.counts.skipped + handled.len() as u64 == range.records;
            if !is_counted {
                return Err(format!("the ledger record {range:?} is wrong: by route there are {counts:?}"));
            }
            self.add_range(&range, inputs)?;
        }
        Ok(())
    }

    /// A ledger record outside of a transaction.
    pub(crate) fn add_record(
        &mut self,
        record: &StoredRecord,
        inputs: &BTreeMap<Position, Kind>,
    ) -> Result<(), String> {
        self.add_range(&parse(record)?, inputs)
    }

    fn add_range(&mut self, range: &LedgerRange<'_>, inputs: &BTreeMap<Position, Kind>) -> Result<(), String> {
        let LedgerRange { partition, first, last, start, records, without_record, missed, .. } = *range;
        let in_range = inputs.range((partition, first)..=(partition, last.max(first - 1))).count() as u64;
        let offsets = (last + 1 - first) as u64;
        if first <= last && (in_range != records || offsets != records + without_record || missed != 0) {
            return Err(format!("the ledger record {range:?} is wrong: there are {in_range} inputs"));
        }
        let end = self.ends.get(&partition).copied();
        let is_next = match (start, end) {
            (RangeStart::FirstRecord, None) => inputs.range((partition, 0)..(partition, first)).next().is_none(),
            // Before the first commit, a transaction without a response is repeated.
            (RangeStart::FirstRecord, Some(end)) => !self.is_exactly_once && first <= end,
            (RangeStart::Committed, Some(end)) if self.is_exactly_once => first == end,
            (RangeStart::Committed, Some(end)) => first <= end,
            (RangeStart::Committed, None) | (RangeStart::Truncation, _) => false,
        };
        if !is_next {
            return Err(format!("the ledger record {range:?} follows ranges that end at {end:?}"));
        }
        let next = self.ends.entry(partition).or_insert(last + 1);
        *next = (*next).max(last + 1);
        Ok(())
    }

    /// The ranges cover all that is committed.
    pub(crate) fn check_committed(&self, offsets: &Positions) -> Result<(), String> {
        let is_covered = |(partition, next): (&i32, &i64)| self.ends.get(partition).is_some_and(|end| end >= next);
        if offsets.iter().all(is_covered) {
            return Ok(());
        }
        Err(format!("offsets {offsets:?} are committed, and the ledger ends at {:?}", self.ends))
    }
}

fn parse(record: &StoredRecord) -> Result<LedgerRange<'static>, String> {
    let value = record.value.as_deref().unwrap_or_default();
    match LedgerRecord::parse(value) {
        Ok(LedgerRecord::Input(range)) => Ok(range),
        other => Err(format!("not a ledger record of a range: {other:?}")),
    }
}
