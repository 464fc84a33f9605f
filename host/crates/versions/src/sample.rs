//! The last records of a worker with what was done of them, good and bad, in bounded memory: what a new version is tried
//! out on.

use std::collections::VecDeque;

use super::outcome::Outcome;
use super::probation::Judged;
use mapper_core::decision::Decision;
use mapper_core::record::{Batch, Record};

/// How many records are kept of each sort, per worker.
pub const KEPT_RECORDS: usize = 64;
/// What the records of each sort may take, in bytes, per worker. A larger one is left out.
const KEPT_BYTES: usize = 512 << 10;

/// A record, and what was done of it.
#[derive(Debug, Clone)]
pub struct Sampled {
    /// A batch of this record alone.
    pub batch: Batch,
    /// What was done of it.
    pub outcome: Outcome,
}

/// What was judged since it was last told, with some records of each sort to remember.
#[derive(Debug)]
pub struct Seen {
    /// What became of the records.
    pub judged: Judged,
    pub(super) sampled: Vec<Sampled>,
    /// How many more are to be remembered that passed, and that failed.
    wanted: [usize; 2],
    most: [usize; 2],
}

impl Default for Seen {
    fn default() -> Self {
        Self::of_at_most([KEPT_RECORDS; 2])
    }
}

impl Seen {
    /// Nothing yet; to be remembered are at most so many records that pass, and so many that fail.
    pub(super) fn of_at_most(most: [usize; 2]) -> Self {
        Self { judged: Judged::default(), sampled: Vec::new(), wanted: most, most }
    }

    /// How many are remembered that passed, and that failed.
    pub(super) fn remembered(&self) -> [usize; 2] {
        [0, 1].map(|sort| self.most[sort] - self.wanted[sort])
    }

    /// This is done of a record.
    pub fn note(&mut self, record: Record<'_>, decision: &Decision<'_>) {
        let wanted = &mut self.wanted[usize::from(decision.failure().is_some())];
        if *wanted > 0 {
            *wanted -= 1;
            self.sampled.push(Sampled { batch: record.alone(), outcome: Outcome::decided(record, decision) });
        }
    }
}

#[derive(Debug, Default)]
struct Ring {
    records: VecDeque<Sampled>,
    bytes: usize,
}

/// What is kept of a worker's records.
#[derive(Debug, Default)]
pub struct Sample {
    passed: Ring,
    failed: Ring,
}

impl Sampled {
    fn bytes(&self) -> usize {
        self.batch.bytes() + self.outcome.bytes()
    }

    /// The record.
    pub fn record(&self) -> Record<'_> {
        self.batch.record(0)
    }
}

impl Ring {
    /// Forgets a record that is judged again, as after an abort.
    fn forget(&mut self, (partition, offset): (i32, i64)) {
        let at = |sampled: &Sampled| (sampled.record().partition(), sampled.record().offset());
        if let Some(index) = self.records.iter().position(|sampled| at(sampled) == (partition, offset))
            && let Some(old) = self.records.remove(index)
        {
            self.bytes -= old.bytes();
        }
    }

    fn push(&mut self, sampled: Sampled) {
        let bytes = sampled.bytes();
        if bytes > KEPT_BYTES {
            return;
        }
        while self.records.len() == KEPT_RECORDS || self.bytes + bytes > KEPT_BYTES {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
        self.bytes += bytes;
        self.records.push_back(sampled);
    }
}

impl Sample {
    /// Keeps a record; the oldest of its sort goes.
    pub fn push(&mut self, sampled: Sampled) {
        let place = (sampled.record().partition(), sampled.record().offset());
        self.passed.forget(place);
        self.failed.forget(place);
        let ring = if sampled.outcome.failure().is_some() { &mut self.failed } else { &mut self.passed };
        ring.push(sampled);
    }

    /// All that is kept.
    pub fn all(&self) -> impl Iterator<Item = &Sampled> {
        self.passed.records.iter().chain(&self.failed.records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mapper_core::verdict::FailureKind;

    fn sampled(offset: i64, bytes: usize, failed: bool) -> Sampled {
        let mut batch = Batch::new("visits");
        batch.push((0, offset), 0, None, Some(&vec![b'x'; bytes]), std::iter::empty());
        let outcome = match failed {
            true => Outcome::Failed { kind: FailureKind::Rejected, message: String::new() },
            false => Outcome::Produced(Vec::new()),
        };
        Sampled { batch, outcome }
    }

    #[test]
    fn good_ones_do_not_push_out_bad_ones() {
        let mut sample = Sample::default();
        (0..3).for_each(|offset| sample.push(sampled(offset, 10, true)));
        (3..1000).for_each(|offset| sample.push(sampled(offset, 10, false)));
        let offsets: Vec<i64> = sample.all().map(|sampled| sampled.record().offset()).collect();
        assert_eq!(offsets.len(), KEPT_RECORDS + 3);
        assert_eq!((offsets[0], offsets[KEPT_RECORDS - 1]), (1000 - KEPT_RECORDS as i64, 999));
        assert_eq!(offsets[KEPT_RECORDS..], [0, 1, 2]);
    }

    #[test]
    fn what_is_judged_again_is_kept_once_as_it_came_out_last() {
        let mut sample = Sample::default();
        [false, true, false].into_iter().for_each(|failed| sample.push(sampled(7, 10, failed)));
        sample.push(sampled(8, 10, true));
        let kept: Vec<_> =
            sample.all().map(|kept| (kept.record().offset(), kept.outcome.failure().is_some())).collect();
        assert_eq!(kept, [(7, false), (8, true)]);
        assert_eq!((sample.passed.bytes, sample.failed.bytes), (10, 10));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut sample = Sample::default();
        (0..10).for_each(|offset| sample.push(sampled(offset, KEPT_BYTES / 3, false)));
        sample.push(sampled(99, KEPT_BYTES + 1, false));
        let offsets: Vec<i64> = sample.all().map(|sampled| sampled.record().offset()).collect();
        assert_eq!(offsets, [7, 8, 9]);
        assert_eq!(sample.passed.bytes, KEPT_BYTES / 3 * 3);
    }
}
