//! Suspects: records that were in flight when a host crashed. They are mapped alone until they succeed or are quarantined.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Span};
use mapper_core::record::Positions;
use mapper_core::topic_table::TopicNames;

/// Dropping a span is safe: its records are then mapped together with others.
const MAX_SPANS: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    Together,
    /// The record may have crashed a host.
    Alone,
    /// Quarantined: this many hosts crashed while the record was alone in the call.
    Quarantined(u32),
}

/// The persistent state. The field names are part of the file format.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Suspects {
    /// Partition, first and last offset of records that were in one call.
    spans: Vec<(i32, i64, i64)>,
    /// Partition, offset, and number of crashes while the record was alone in the call.
    deaths: Vec<(i32, i64, u32)>,
    /// The processes whose markers are counted.
    processes: Vec<u64>,
}

impl Suspects {
    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.deaths.is_empty()
    }

    /// Drops the suspects of these partitions, but keeps the counted processes, so that their markers are not added again.
    pub(super) fn clear(&mut self, partitions: &Range<i32>) {
        self.spans.retain(|(partition, ..)| !partitions.contains(partition));
        self.deaths.retain(|(partition, ..)| !partitions.contains(partition));
    }

    /// Adds the suspects of another process.
    pub(super) fn merge(&mut self, other: Self) {
        self.spans.extend(other.spans);
        for (partition, offset, times) in other.deaths {
            self.add_crashes(partition, offset, times);
        }
        self.processes.extend(other.processes);
        self.compact();
    }

    fn add_crashes(&mut self, partition: i32, offset: i64, times: u32) {
        match self.deaths.iter_mut().find(|(p, o, _)| (*p, *o) == (partition, offset)) {
            Some((_, _, total)) => *total = total.saturating_add(times),
            None => self.deaths.push((partition, offset, times)),
        }
    }

    /// Adds the markers of crashed processes, once per process.
    pub(super) fn add(&mut self, entries: &[Entry]) {
        let new: Vec<&Entry> = entries.iter().filter(|entry| !self.processes.contains(&entry.process)).collect();
        for entry in &new {
            for Span { partition, first, last } in &entry.spans {
                if entry.is_alone {
                    self.add_crashes(*partition, *first, 1);
                } else {
                    self.spans.push((*partition, *first, *last));
                }
            }
        }
        let processes: Vec<u64> = new.iter().map(|entry| entry.process).collect();
        self.processes.extend(processes);
        self.compact();
    }

    /// Merges overlapping spans, and drops the lowest entries beyond the maximum.
    fn compact(&mut self) {
        self.spans.sort_unstable();
        self.spans.dedup_by(|next, span| {
            let overlaps = span.0 == next.0 && next.1 <= span.2.saturating_add(1);
            span.2 = if overlaps { span.2.max(next.2) } else { span.2 };
            overlaps
        });
        self.spans.drain(..self.spans.len().saturating_sub(MAX_SPANS));
        self.deaths.drain(..self.deaths.len().saturating_sub(MAX_SPANS));
        self.processes.sort_unstable();
        self.processes.dedup();
        self.processes.drain(..self.processes.len().saturating_sub(MAX_SPANS));
    }

    /// `poison_after` is the number of crashes for quarantine; 0 disables it.
    pub(super) fn classify(&self, partition: i32, offset: i64, poison_after: u32) -> Handling {
        let deaths = self.deaths.iter().find(|(p, o, _)| (*p, *o) == (partition, offset));
        match deaths {
            Some((_, _, times)) if poison_after > 0 && *times >= poison_after => Handling::Quarantined(*times),
            Some(_) => Handling::Alone,
            None if self.spans.iter().any(|(p, first, last)| *p == partition && (*first..=*last).contains(&offset)) => {
                Handling::Alone
            }
            None => Handling::Together,
        }
    }

    /// Clears a record that was mapped alone without a crash. Returns whether to store the change: a shortened span is not stored,
    /// because mapping a record alone once more is harmless.
    pub(super) fn clear_record(&mut self, partition: i32, offset: i64) -> bool {
        let before = (self.spans.len(), self.deaths.len());
        self.deaths.retain(|(p, o, _)| (*p, *o) != (partition, offset));
        for (_, first, _) in self.spans.iter_mut().filter(|(p, f, l)| *p == partition && (*f..=*l).contains(&offset)) {
            *first = offset + 1;
        }
        self.spans.retain(|(_, first, last)| first <= last);
        before != (self.spans.len(), self.deaths.len())
    }

    /// Drops suspects before these offsets. Returns whether to store the change.
    pub(super) fn drop_committed(&mut self, next: &Positions) -> bool {
        let before = (self.spans.len(), self.deaths.len());
        let is_uncommitted = |partition: &i32, last: i64| next.get(partition).is_none_or(|next| last >= *next);
        self.spans.retain(|(partition, _, last)| is_uncommitted(partition, *last));
        self.deaths.retain(|(partition, offset, _)| is_uncommitted(partition, *offset));
        before != (self.spans.len(), self.deaths.len())
    }

    /// For the log.
    pub(super) fn describe(&self, topics: &TopicNames) -> String {
        let spans =
            self.spans.iter().map(|(p, first, last)| format!("{}, offsets {first} to {last}", topics.describe(*p)));
        let deaths = self.deaths.iter().map(|(p, offset, times)| {
            format!("{}, offset {offset}, {times} crashes while mapped alone", topics.describe(*p))
        });
        deaths.chain(spans).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(process: u64, records: &[(i32, i64, i64)], is_alone: bool) -> Entry {
        let span =
            |(partition, first, last): &(i32, i64, i64)| Span { partition: *partition, first: *first, last: *last };
        Entry { process, is_alone, spans: records.iter().map(span).collect() }
    }

    #[test]
    fn only_a_record_mapped_alone_counts_crashes() {
        let mut suspects = Suspects::default();
        for process in 1..=9 {
            suspects.add(&[entry(process, &[(0, 10, 20), (1, 7, 7)], false)]);
        }
        assert_eq!(suspects.classify(0, 10, 3), Handling::Alone);
        assert_eq!(suspects.classify(1, 7, 3), Handling::Alone);
        for outside in [(0, 9), (0, 21), (1, 8), (2, 10)] {
            assert_eq!(suspects.classify(outside.0, outside.1, 3), Handling::Together, "{outside:?}");
        }
        for (process, taken) in [
            (11, Handling::Alone),
            (12, Handling::Alone),
            (13, Handling::Quarantined(3)),
            (14, Handling::Quarantined(4)),
        ] {
            suspects.add(&[entry(process, &[(0, 15, 15)], true)]);
            assert_eq!(suspects.classify(0, 15, 3), taken);
        }
        assert_eq!(suspects.classify(0, 15, 0), Handling::Alone);
        assert_eq!(suspects.classify(0, 16, 3), Handling::Alone);
    }

    #[test]
    fn process_is_counted_once() {
        let mut suspects = Suspects::default();
        let entries = [entry(5, &[(0, 1, 1)], true), entry(5, &[(1, 1, 1)], true)];
        suspects.add(&entries);
        suspects.add(&entries);
        assert_eq!(suspects.deaths, [(0, 1, 1), (1, 1, 1)]);
        let text = serde_json::to_string(&suspects).unwrap();
        let mut read: Suspects = serde_json::from_str(&text).unwrap();
        read.add(&entries);
        assert_eq!(read, suspects);
    }

    #[test]
    fn succeeded_or_committed_record_is_no_suspect() {
        let mut suspects = Suspects::default();
        suspects.add(&[entry(1, &[(0, 10, 12)], false), entry(2, &[(0, 11, 11)], true)]);
        assert!(!suspects.clear_record(0, 10));
        assert_eq!(suspects.classify(0, 10, 3), Handling::Together);
        assert!(suspects.clear_record(0, 11), "a count is gone");
        assert_eq!(suspects.classify(0, 11, 3), Handling::Together);
        assert!(suspects.clear_record(0, 12), "a span is gone");
        assert!(suspects.is_empty());

        suspects.add(&[entry(3, &[(0, 10, 12), (1, 5, 9)], false), entry(4, &[(0, 11, 11)], true)]);
        assert!(!suspects.drop_committed(&Positions::from([(0, 11), (2, 100)])));
        assert!(suspects.drop_committed(&Positions::from([(0, 12)])), "a count is gone");
        assert!(suspects.drop_committed(&Positions::from([(0, 13)])));
        assert_eq!(suspects.classify(1, 9, 3), Handling::Alone);
        assert!(suspects.drop_committed(&Positions::from([(1, 10)])) && suspects.is_empty());
    }

    #[test]
    fn adjacent_spans_merge_and_their_number_is_limited() {
        let mut suspects = Suspects::default();
        suspects.add(&[entry(1, &[(0, 5, 9), (0, 1, 4), (0, 8, 12), (1, 5, 9), (0, 20, 21)], false)]);
        assert_eq!(suspects.spans, [(0, 1, 12), (0, 20, 21), (1, 5, 9)]);
        let many: Vec<(i32, i64, i64)> = (0..2000).map(|at| (7, at * 10, at * 10)).collect();
        suspects.add(&[entry(2, &many, false)]);
        assert_eq!(suspects.spans.len(), MAX_SPANS);
    }
}
