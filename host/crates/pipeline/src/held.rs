//! Records that failed one after the other, kept back until it is known whether they or the mapper are at fault.

use std::time::{Duration, Instant};

use mapper_core::record::{Batch, Positions};
use mapper_core::verdict::Failure;

/// Without any further record, the last ones that failed wait this long before they are dead letters.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Failed records that are not in a transaction yet, in their order.
#[derive(Default)]
pub(super) struct Held {
    records: Vec<(Batch, Failure<'static>)>,
    bytes: usize,
    last: Option<Instant>,
}

impl Held {
    /// Keeps one record, alone in its batch.
    pub(super) fn push(&mut self, record: Batch, failure: Failure<'static>, now: Instant) {
        self.bytes += record.bytes() + failure.message.len() + failure.details.len();
        self.last = Some(now);
        self.records.push((record, failure));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The number of records.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.records.len()).unwrap_or(u32::MAX)
    }

    /// What is kept, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether no record has come for so long that none is waited for.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.saturating_duration_since(last) >= LONGEST_WAIT)
    }

    /// The first offset of each partition.
    pub(super) fn first(&self) -> Positions {
        let mut first = Positions::new();
        for record in self.records.iter().map(|(batch, _)| batch.record(0)) {
            first.entry(record.partition()).or_insert_with(|| record.offset());
        }
        first
    }

    /// All records, to be dead letters now; or, if they are dropped, to come again.
    pub(super) fn take(&mut self) -> Vec<(Batch, Failure<'static>)> {
        (self.bytes, self.last) = (0, None);
        std::mem::take(&mut self.records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mapper_core::verdict::FailureKind;

    #[test]
    fn they_keep_their_order_and_say_where_to_go_back_to() {
        let (mut held, start) = (Held::default(), Instant::now());
        assert!(held.is_empty() && !held.is_due(start));
        for (partition, offset) in [(1, 7), (0, 3), (1, 9)] {
            let mut batch = Batch::new("visits");
            batch.push((partition, offset), 0, None, Some(b"12345"), std::iter::empty());
            held.push(batch, Failure::new(FailureKind::Trap, "oh"), start);
        }
        assert_eq!((held.len(), held.bytes()), (3, 21));
        assert_eq!(held.first(), Positions::from([(0, 3), (1, 7)]));
        assert!(!held.is_due(start + LONGEST_WAIT / 2) && held.is_due(start + LONGEST_WAIT));
        let offsets: Vec<i64> = held.take().iter().map(|(batch, _)| batch.record(0).offset()).collect();
        assert_eq!(offsets, [7, 3, 9]);
        assert!(held.is_empty() && held.bytes() == 0 && !held.is_due(start + LONGEST_WAIT));
    }
}
