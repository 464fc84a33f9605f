//! A bounded sample of the last records of a worker, with their outcomes. A try-out maps it again, and the console shows it.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::outcome::Outcome;
use mapper_core::decision::Decision;
use mapper_core::identity::ActiveVersion;
use mapper_core::record::{Batch, Record};

/// The most records per worker that succeeded, and the most that failed.
pub const MAX_RECORDS: usize = 64;
/// The most bytes of these records. A larger record is skipped.
const MAX_BYTES: usize = 512 << 10;

/// A record with its outcome.
#[derive(Debug, Clone)]
pub struct Sampled {
    /// A batch with this record only.
    pub batch: Batch,
    pub outcome: Outcome,
    /// The version that has mapped it.
    pub version: Arc<ActiveVersion>,
    pub mapped_at: DateTime<Utc>,
}

/// The sample of one batch: the first successes and the first failures, up to a limit each.
#[derive(Debug)]
pub(super) struct BatchSample {
    pub(super) records: Vec<Sampled>,
    /// How many successes and failures still fit.
    free: [usize; 2],
    limits: [usize; 2],
}

impl Default for BatchSample {
    fn default() -> Self {
        Self::with_limits([MAX_RECORDS; 2])
    }
}

impl BatchSample {
    /// The limits of successes and of failures.
    pub(super) fn with_limits(limits: [usize; 2]) -> Self {
        Self { records: Vec::new(), free: limits, limits }
    }

    /// The number of successes and of failures.
    pub(super) fn counts(&self) -> [usize; 2] {
        [0, 1].map(|kind| self.limits[kind] - self.free[kind])
    }

    pub(super) fn add(&mut self, record: Record<'_>, decision: &Decision<'_>, version: &Arc<ActiveVersion>) {
        let free = &mut self.free[usize::from(decision.failure().is_some())];
        if *free > 0 {
            *free -= 1;
            self.records.push(Sampled {
                batch: record.alone(),
                outcome: Outcome::from_decision(record, decision),
                version: version.clone(),
                mapped_at: Utc::now(),
            });
        }
    }
}

/// `TOPIC/PARTITION@OFFSET`.
pub(super) fn position(record: Record<'_>) -> String {
    format!("{}/{}@{}", record.topic(), record.partition(), record.offset())
}

/// A FIFO of bounded length and size. Readers share the records, so that they do not copy them while a worker waits.
#[derive(Debug, Default)]
struct Ring {
    records: VecDeque<Arc<Sampled>>,
    bytes: usize,
}

/// The sample of one worker. Failures have a ring of their own, so that successes do not evict them.
#[derive(Debug, Default)]
pub struct Sample {
    succeeded: Ring,
    failed: Ring,
}

impl Sampled {
    fn bytes(&self) -> usize {
        self.batch.bytes() + self.outcome.bytes()
    }

    pub fn record(&self) -> Record<'_> {
        self.batch.record(0)
    }
}

impl Ring {
    /// Removes a record that is judged again, for example after an abort.
    fn remove(&mut self, (partition, offset): (i32, i64)) {
        let at = |sampled: &Sampled| sampled.record().position();
        if let Some(index) = self.records.iter().position(|sampled| at(sampled) == (partition, offset))
            && let Some(old) = self.records.remove(index)
        {
            self.bytes -= old.bytes();
        }
    }

    fn push(&mut self, sampled: Sampled) {
        let bytes = sampled.bytes();
        if bytes > MAX_BYTES {
            return;
        }
        while self.records.len() == MAX_RECORDS || self.bytes + bytes > MAX_BYTES {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
        self.bytes += bytes;
        self.records.push_back(Arc::new(sampled));
    }
}

impl Sample {
    /// Adds a record; evicts the oldest one of its ring.
    pub fn push(&mut self, sampled: Sampled) {
        let position = sampled.record().position();
        self.succeeded.remove(position);
        self.failed.remove(position);
        let ring = if sampled.outcome.failure().is_some() { &mut self.failed } else { &mut self.succeeded };
        ring.push(sampled);
    }

    pub fn records(&self) -> impl Iterator<Item = &Arc<Sampled>> {
        self.succeeded.records.iter().chain(&self.failed.records)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use mapper_core::identity::Version;
    use mapper_core::verdict::FailureKind;

    pub(crate) fn version() -> Arc<ActiveVersion> {
        let version = Version { name: "reduce".to_owned(), version: "1.0.0".to_owned(), digest: "aa".to_owned() };
        Arc::new(ActiveVersion { term: 1, version, contract: "1.0.0" })
    }

    fn sampled(offset: i64, bytes: usize, failed: bool) -> Sampled {
        let mut batch = Batch::new("visits");
        batch.push((0, offset), 0, None, Some(&vec![b'x'; bytes]), std::iter::empty());
        let outcome = match failed {
            true => Outcome::Failed { kind: FailureKind::Rejected, message: String::new() },
            false => Outcome::Produced(Vec::new()),
        };
        Sampled { batch, outcome, version: version(), mapped_at: Utc::now() }
    }

    #[test]
    fn success_does_not_evict_failure() {
        let mut sample = Sample::default();
        (0..3).for_each(|offset| sample.push(sampled(offset, 10, true)));
        (3..1000).for_each(|offset| sample.push(sampled(offset, 10, false)));
        let offsets: Vec<i64> = sample.records().map(|sampled| sampled.record().offset()).collect();
        assert_eq!(offsets.len(), MAX_RECORDS + 3);
        assert_eq!((offsets[0], offsets[MAX_RECORDS - 1]), (1000 - MAX_RECORDS as i64, 999));
        assert_eq!(offsets[MAX_RECORDS..], [0, 1, 2]);
    }

    #[test]
    fn record_that_is_judged_again_keeps_only_the_last_outcome() {
        let mut sample = Sample::default();
        [false, true, false].into_iter().for_each(|failed| sample.push(sampled(7, 10, failed)));
        sample.push(sampled(8, 10, true));
        let kept: Vec<_> =
            sample.records().map(|kept| (kept.record().offset(), kept.outcome.failure().is_some())).collect();
        assert_eq!(kept, [(7, false), (8, true)]);
        assert_eq!((sample.succeeded.bytes, sample.failed.bytes), (10, 10));
    }

    #[test]
    fn sample_bytes_are_bounded() {
        let mut sample = Sample::default();
        (0..10).for_each(|offset| sample.push(sampled(offset, MAX_BYTES / 3, false)));
        sample.push(sampled(99, MAX_BYTES + 1, false));
        let offsets: Vec<i64> = sample.records().map(|sampled| sampled.record().offset()).collect();
        assert_eq!(offsets, [7, 8, 9]);
        assert_eq!(sample.succeeded.bytes, MAX_BYTES / 3 * 3);
    }
}
