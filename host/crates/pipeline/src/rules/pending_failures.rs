//! Records that crashed the guest one after the other, pending until it is known whether they or the mapper are at fault.

use std::time::{Duration, Instant};

use mapper_core::record::{Batch, Positions};
use mapper_core::verdict::Failure;

/// Without any further record, pending failures become dead letters after this time.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Failed records that are not in a transaction yet, in their order.
#[derive(Default)]
pub(crate) struct PendingFailures {
    records: Vec<(Batch, Failure<'static>)>,
    bytes: usize,
    last: Option<Instant>,
}

impl PendingFailures {
    /// Adds one record, alone in its batch.
    pub(crate) fn push(&mut self, record: Batch, failure: Failure<'static>, now: Instant) {
        self.bytes += record.bytes() + failure.message.len() + failure.details.len();
        self.last = Some(now);
        self.records.push((record, failure));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The number of records.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.records.len()).unwrap_or(u32::MAX)
    }

    /// The size of all, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether no record has come for so long that the failures need not wait any more.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.saturating_duration_since(last) >= LONGEST_WAIT)
    }

    /// The first offset of each partition.
    pub(crate) fn first(&self) -> Positions {
        let mut first = Positions::new();
        for (partition, offset) in self.records.iter().map(|(batch, _)| batch.record(0).position()) {
            first.entry(partition).or_insert(offset);
        }
        first
    }

    /// Takes all records: they become dead letters, or are read again.
    pub(crate) fn take(&mut self) -> Vec<(Batch, Failure<'static>)> {
        (self.bytes, self.last) = (0, None);
        std::mem::take(&mut self.records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mapper_core::verdict::FailureKind;

    #[test]
    fn pending_failures_keep_their_order_and_their_first_offsets() {
        let (mut pending, start) = (PendingFailures::default(), Instant::now());
        assert!(pending.is_empty() && !pending.is_due(start));
        for (partition, offset) in [(1, 7), (0, 3), (1, 9)] {
            let mut batch = Batch::new("visits");
            batch.push((partition, offset), 0, None, Some(b"12345"), std::iter::empty());
            pending.push(batch, Failure::new(FailureKind::Trap, "oh"), start);
        }
        assert_eq!((pending.len(), pending.bytes()), (3, 21));
        assert_eq!(pending.first(), Positions::from([(0, 3), (1, 7)]));
        assert!(!pending.is_due(start + LONGEST_WAIT / 2) && pending.is_due(start + LONGEST_WAIT));
        let offsets: Vec<i64> = pending.take().iter().map(|(batch, _)| batch.record(0).offset()).collect();
        assert_eq!(offsets, [7, 3, 9]);
        assert!(pending.is_empty() && pending.bytes() == 0 && !pending.is_due(start + LONGEST_WAIT));
    }
}
