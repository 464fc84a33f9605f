//! The records that were in a call when their host died: each is taken alone, until it has passed or it is known to be the one.

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Span};
use mapper_core::record::Positions;

/// Spans that are kept. One that is forgotten is only not taken alone.
const MOST_SPANS: usize = 1000;

/// How a record is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// With others.
    Together,
    /// It may be what a host died of.
    Alone,
    /// Not at all: so many hosts died while it was alone in the call.
    Never(u32),
}

/// What is kept from run to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Suspects {
    /// Partition, first and last offset of records that were in a call together.
    spans: Vec<(i32, i64, i64)>,
    /// Partition, offset, and how many hosts died while the record was alone in the call.
    deaths: Vec<(i32, i64, u32)>,
    /// The processes whose calls are in here already.
    processes: Vec<u64>,
}

impl Suspects {
    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.deaths.is_empty()
    }

    /// No record is suspected any more; what the processes left is still taken in only once.
    pub(super) fn clear(&mut self) {
        self.spans.clear();
        self.deaths.clear();
    }

    /// Takes in what another process knew.
    pub(super) fn merge(&mut self, other: Self) {
        self.spans.extend(other.spans);
        for (partition, offset, times) in other.deaths {
            self.died_of(partition, offset, times);
        }
        self.processes.extend(other.processes);
        self.tidy();
    }

    fn died_of(&mut self, partition: i32, offset: i64, times: u32) {
        match self.deaths.iter_mut().find(|(p, o, _)| (*p, *o) == (partition, offset)) {
            Some((_, _, known)) => *known = known.saturating_add(times),
            None => self.deaths.push((partition, offset, times)),
        }
    }

    /// Takes in the calls that had not come back when their process ended; those that are in already are left out.
    pub(super) fn add(&mut self, entries: &[Entry]) {
        let new: Vec<&Entry> = entries.iter().filter(|entry| !self.processes.contains(&entry.process)).collect();
        for entry in &new {
            for Span { partition, first, last } in &entry.spans {
                if entry.alone {
                    self.died_of(*partition, *first, 1);
                } else {
                    self.spans.push((*partition, *first, *last));
                }
            }
        }
        let processes: Vec<u64> = new.iter().map(|entry| entry.process).collect();
        self.processes.extend(processes);
        self.tidy();
    }

    /// Makes one of spans that overlap, and keeps the latest.
    fn tidy(&mut self) {
        self.spans.sort_unstable();
        self.spans.dedup_by(|next, span| {
            let overlap = span.0 == next.0 && next.1 <= span.2.saturating_add(1);
            span.2 = if overlap { span.2.max(next.2) } else { span.2 };
            overlap
        });
        self.spans.drain(..self.spans.len().saturating_sub(MOST_SPANS));
        self.deaths.drain(..self.deaths.len().saturating_sub(MOST_SPANS));
        self.processes.sort_unstable();
        self.processes.dedup();
        self.processes.drain(..self.processes.len().saturating_sub(MOST_SPANS));
    }

    /// How a record is taken, if it is not given to the mapper after so many deaths; 0: it always is.
    pub(super) fn taken(&self, partition: i32, offset: i64, poison_after: u32) -> Taken {
        let deaths = self.deaths.iter().find(|(p, o, _)| (*p, *o) == (partition, offset));
        match deaths {
            Some((_, _, times)) if poison_after > 0 && *times >= poison_after => Taken::Never(*times),
            Some(_) => Taken::Alone,
            None if self.spans.iter().any(|(p, first, last)| *p == partition && (*first..=*last).contains(&offset)) => {
                Taken::Alone
            }
            None => Taken::Together,
        }
    }

    /// The mapper came back from a record that was alone. Tells whether that is worth writing down: what only shortens a
    /// span is not, as taking a record alone once more does no harm.
    pub(super) fn passed(&mut self, partition: i32, offset: i64) -> bool {
        let before = (self.spans.len(), self.deaths.len());
        self.deaths.retain(|(p, o, _)| (*p, *o) != (partition, offset));
        for (_, first, _) in self.spans.iter_mut().filter(|(p, f, l)| *p == partition && (*f..=*l).contains(&offset)) {
            *first = offset + 1;
        }
        self.spans.retain(|(_, first, last)| first <= last);
        before != (self.spans.len(), self.deaths.len())
    }

    /// Up to these offsets all is done. Tells whether that is worth writing down.
    pub(super) fn committed(&mut self, next: &Positions) -> bool {
        let before = (self.spans.len(), self.deaths.len());
        let open = |partition: &i32, last: i64| next.get(partition).is_none_or(|next| last >= *next);
        self.spans.retain(|(partition, _, last)| open(partition, *last));
        self.deaths.retain(|(partition, offset, _)| open(partition, *offset));
        before != (self.spans.len(), self.deaths.len())
    }

    /// All of it in words, for the log.
    pub(super) fn words(&self) -> String {
        let spans = self.spans.iter().map(|(p, first, last)| format!("partition {p}, offsets {first} to {last}"));
        let deaths = self.deaths.iter().map(|(p, offset, times)| {
            format!("partition {p}, offset {offset}, alone in the call of {times} that died")
        });
        deaths.chain(spans).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(process: u64, records: &[(i32, i64, i64)], alone: bool) -> Entry {
        let span =
            |(partition, first, last): &(i32, i64, i64)| Span { partition: *partition, first: *first, last: *last };
        Entry { process, alone, spans: records.iter().map(span).collect() }
    }

    #[test]
    fn only_a_record_that_was_alone_is_counted() {
        let mut suspects = Suspects::default();
        for process in 1..=9 {
            suspects.add(&[entry(process, &[(0, 10, 20), (1, 7, 7)], false)]);
        }
        assert_eq!(suspects.taken(0, 10, 3), Taken::Alone);
        assert_eq!(suspects.taken(1, 7, 3), Taken::Alone);
        for outside in [(0, 9), (0, 21), (1, 8), (2, 10)] {
            assert_eq!(suspects.taken(outside.0, outside.1, 3), Taken::Together, "{outside:?}");
        }
        for (process, taken) in [(11, Taken::Alone), (12, Taken::Alone), (13, Taken::Never(3)), (14, Taken::Never(4))] {
            suspects.add(&[entry(process, &[(0, 15, 15)], true)]);
            assert_eq!(suspects.taken(0, 15, 3), taken);
        }
        assert_eq!(suspects.taken(0, 15, 0), Taken::Alone);
        assert_eq!(suspects.taken(0, 16, 3), Taken::Alone);
    }

    #[test]
    fn a_process_dies_once() {
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
    fn what_passed_or_is_done_is_no_suspect() {
        let mut suspects = Suspects::default();
        suspects.add(&[entry(1, &[(0, 10, 12)], false), entry(2, &[(0, 11, 11)], true)]);
        assert!(!suspects.passed(0, 10));
        assert_eq!(suspects.taken(0, 10, 3), Taken::Together);
        assert!(suspects.passed(0, 11), "a count is gone");
        assert_eq!(suspects.taken(0, 11, 3), Taken::Together);
        assert!(suspects.passed(0, 12), "a span is gone");
        assert!(suspects.is_empty());

        suspects.add(&[entry(3, &[(0, 10, 12), (1, 5, 9)], false), entry(4, &[(0, 11, 11)], true)]);
        assert!(!suspects.committed(&Positions::from([(0, 11), (2, 100)])));
        assert!(suspects.committed(&Positions::from([(0, 12)])), "a count is gone");
        assert!(suspects.committed(&Positions::from([(0, 13)])));
        assert_eq!(suspects.taken(1, 9, 3), Taken::Alone);
        assert!(suspects.committed(&Positions::from([(1, 10)])) && suspects.is_empty());
    }

    #[test]
    fn spans_that_touch_are_one_and_there_is_a_most() {
        let mut suspects = Suspects::default();
        suspects.add(&[entry(1, &[(0, 5, 9), (0, 1, 4), (0, 8, 12), (1, 5, 9), (0, 20, 21)], false)]);
        assert_eq!(suspects.spans, [(0, 1, 12), (0, 20, 21), (1, 5, 9)]);
        let many: Vec<(i32, i64, i64)> = (0..2000).map(|at| (7, at * 10, at * 10)).collect();
        suspects.add(&[entry(2, &many, false)]);
        assert_eq!(suspects.spans.len(), MOST_SPANS);
    }
}
