//! Counts what becomes of the records of each input partition in a transaction, and writes it to the ledger topic.

use std::borrow::Cow;

use crate::contracts::{CommittedRange, Outgoing, Sink, Source};
use crate::error::SinkError;
use crate::settings::LedgerNames;
use mapper_core::decision::{RouteIndex, Routes};
use mapper_core::ledger::{LedgerCounts, LedgerRange, LedgerRecord, RangeStart, ledger_key};
use mapper_core::record::{Position, Positions};
use mapper_core::topic_table::TopicNames;
use mapper_core::verdict::FailureKind;

const KINDS: usize = FailureKind::ALL.len();

/// The ledger of the open transaction.
pub(crate) struct Ledger {
    names: LedgerNames,
    plugin: String,
    route: RouteIndex,
    /// By partition number.
    partitions: Vec<PartitionCounts>,
    /// The index of the partition of the last record.
    last: usize,
    value: Vec<u8>,
}

/// What became of the records of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PartitionCounts {
    partition: i32,
    /// The offset of the first record.
    first: i64,
    /// The offset after the last record.
    next: i64,
    records: u64,
    skipped: u64,
    /// By route.
    outputs: Vec<u64>,
    dead_letters: [u64; KINDS],
}

impl PartitionCounts {
    fn new(partition: i32, first: i64, outputs: usize) -> Self {
        let outputs = vec![0; outputs];
        Self { partition, first, next: first, records: 0, skipped: 0, outputs, dead_letters: [0; KINDS] }
    }
}

impl Ledger {
    /// `None` if the routes have no ledger topic.
    pub(crate) fn new(routes: &Routes, names: &LedgerNames, plugin: &str) -> Option<Self> {
        let (names, plugin) = (names.clone(), plugin.to_owned());
        let route = routes.ledger_index()?;
        Some(Self { names, plugin, route, partitions: Vec::new(), last: 0, value: Vec::new() })
    }

    pub(crate) fn set_plugin(&mut self, digest: &str) {
        digest.clone_into(&mut self.plugin);
    }

    pub(crate) fn route(&self) -> RouteIndex {
        self.route
    }

    /// Forgets the records of the last transaction.
    pub(crate) fn clear(&mut self) {
        self.partitions.clear();
        self.last = 0;
    }

    /// Counts an input record. The calls for its outputs or its dead letter follow.
    pub(crate) fn count_record(&mut self, (partition, offset): Position) {
        if self.partitions.get(self.last).is_none_or(|counts| counts.partition != partition) {
            self.last = self.find_or_insert(partition, offset);
        }
        let counts = &mut self.partitions[self.last];
        counts.records += 1;
        counts.next = counts.next.max(offset + 1);
        counts.first = counts.first.min(offset);
    }

    fn find_or_insert(&mut self, partition: i32, offset: i64) -> usize {
        let outputs = self.route;
        self.partitions.binary_search_by_key(&partition, |counts| counts.partition).unwrap_or_else(|index| {
            self.partitions.insert(index, PartitionCounts::new(partition, offset, outputs));
            index
        })
    }

    pub(crate) fn count_skipped(&mut self) {
        self.partitions[self.last].skipped += 1;
    }

    pub(crate) fn count_output(&mut self, route: RouteIndex) {
        self.partitions[self.last].outputs[route] += 1;
    }

    pub(crate) fn count_dead_letter(&mut self, kind: FailureKind) {
        self.partitions[self.last].dead_letters[kind as usize] += 1;
    }

    /// Sends one record for each partition that the transaction advances to the offsets `next`.
    pub(crate) fn send<K: Sink>(
        &mut self,
        sink: &mut K,
        (routes, topics): (&Routes, &TopicNames),
        next: &Positions,
        source: &impl Source,
    ) -> Result<(), SinkError> {
        // An end that is committed without a record, and a partition whose records are at the end of the transaction.
        for (partition, next) in next {
            let index = self.find_or_insert(*partition, *next);
            let counts = &mut self.partitions[index];
            counts.next = counts.next.max(*next);
        }
        for counts in &self.partitions {
            let committed = source.committed_range(counts.partition);
            let (topic, partition) = (topics.topic(counts.partition), topics.partition(counts.partition));
            let record =
                LedgerRecord::Input(counts.range((topic, partition), &committed, routes, &self.names, &self.plugin));
            record.write(&mut self.value);
            let key = ledger_key(topic, partition);
            let outgoing = Outgoing {
                input: (counts.partition, counts.next - 1),
                route: self.route,
                key: Some(key.as_bytes()),
                value: Some(&self.value),
                timestamp_ms: None,
            };
            sink.send(outgoing, &mut std::iter::empty())?;
        }
        Ok(())
    }
}

impl PartitionCounts {
    fn range<'a>(
        &self,
        (topic, partition): (&'a str, i32),
        committed: &'a CommittedRange,
        routes: &'a Routes,
        names: &'a LedgerNames,
        plugin: &'a str,
    ) -> LedgerRange<'a> {
        let start = match committed.committed {
            None => RangeStart::FirstRecord,
            Some(_) if committed.is_truncated => RangeStart::Truncation,
            Some(_) => RangeStart::Committed,
        };
        // A record before the committed offset is mapped again.
        let first = committed.committed.map_or(self.first, |committed| committed.min(self.first));
        let missed = committed.missed.end.min(self.next) - committed.missed.start.max(first);
        let missed = u64::try_from(missed).unwrap_or(0);
        let offsets = u64::try_from(self.next - first).unwrap_or(0);
        let outputs = routes.outputs.iter().zip(&self.outputs).filter(|(_, count)| **count > 0);
        let dead_letters = FailureKind::ALL.into_iter().zip(self.dead_letters).filter(|(_, count)| *count > 0);
        LedgerRange {
            group: Cow::Borrowed(&names.group),
            topic: Cow::Borrowed(topic),
            partition,
            topic_id: committed.topic_id.as_ref().map(|id| Cow::Borrowed(id.0.as_str())),
            first,
            last: self.next - 1,
            start,
            records: self.records,
            without_record: offsets.saturating_sub(self.records).saturating_sub(missed),
            missed,
            counts: LedgerCounts {
                outputs: outputs.map(|(route, count)| (Cow::Borrowed(&*route.topic), *count)).collect(),
                dead_letters: dead_letters.map(|(kind, count)| (Cow::Borrowed(kind.name()), count)).collect(),
                skipped: self.skipped,
            },
            plugin: Cow::Borrowed(plugin),
            host: Cow::Borrowed(&names.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let routes = Routes::with_default_limits(&["reduced", "other"], "dlq").with_ledger(Some("ledger"));
        Ledger::new(&routes, &LedgerNames { group: "readers".into(), host: "a".into() }, "v0").unwrap()
    }

    fn range(counts: &PartitionCounts, committed: &CommittedRange) -> LedgerRange<'static> {
        let routes = Routes::with_default_limits(&["reduced", "other"], "dlq");
        let names = LedgerNames::default();
        let range = counts.range(("visits", 0), committed, &routes, &names, "v0");
        let mut text = Vec::new();
        LedgerRecord::Input(range).write(&mut text);
        let Ok(LedgerRecord::Input(range)) = LedgerRecord::parse(&text) else { panic!("a range") };
        range
    }

    #[test]
    fn counts_are_kept_for_each_partition() {
        let mut ledger = ledger();
        for (partition, offset) in [(1, 5), (1, 7), (0, 2), (1, 8)] {
            ledger.count_record((partition, offset));
            match offset {
                5 => ledger.count_skipped(),
                7 => {
                    ledger.count_output(0);
                    ledger.count_output(1);
                }
                2 => ledger.count_dead_letter(FailureKind::Trap),
                _ => ledger.count_output(1),
            }
        }
        let [zero, one] = &ledger.partitions[..] else { panic!("two partitions") };
        assert_eq!((zero.first, zero.next, zero.records, zero.dead_letters.iter().sum::<u64>()), (2, 3, 1, 1));
        assert_eq!((one.first, one.next, one.records, one.skipped, &one.outputs[..]), (5, 9, 3, 1, &[1, 2, 0][..]));
        ledger.clear();
        ledger.count_record((1, 9));
        assert_eq!(ledger.partitions.len(), 1);
    }

    #[test]
    fn range_begins_at_the_committed_offset_and_explains_offsets_without_records() {
        let counts = PartitionCounts { next: 20, records: 6, ..PartitionCounts::new(0, 12, 3) };
        let committed = CommittedRange { committed: Some(10), missed: 10..12, ..CommittedRange::default() };
        let found = range(&counts, &committed);
        assert_eq!((found.first, found.last, found.start), (10, 19, RangeStart::Committed));
        assert_eq!((found.missed, found.without_record), (2, 2));
        // The gap was in an earlier range.
        let later = CommittedRange { committed: Some(12), missed: 10..12, ..CommittedRange::default() };
        assert_eq!((range(&counts, &later).missed, range(&counts, &later).without_record), (0, 2));
        let nothing = range(&counts, &CommittedRange::default());
        assert_eq!((nothing.first, nothing.start, nothing.without_record), (12, RangeStart::FirstRecord, 2));
        let truncated = CommittedRange { committed: Some(11), is_truncated: true, ..CommittedRange::default() };
        assert_eq!(range(&counts, &truncated).start, RangeStart::Truncation);
        // An end without a record, where nothing was committed.
        let empty = range(&PartitionCounts::new(0, 7, 3), &CommittedRange::default());
        assert_eq!((empty.first, empty.last, empty.records), (7, 6, 0));
    }
}
