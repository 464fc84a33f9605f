//! How many records a batch may have, so that the worker answers its group about once a second.
//!
//! Otherwise a worker with a slow mapper would lose its partitions (`max.poll.interval.ms`) before it can commit, and so would the
//! next worker that gets them.

use std::time::Duration;

/// The time that a batch may take.
const LONGEST: Duration = Duration::from_secs(1);
/// The records of the first batch, of which nothing is known.
const FIRST: usize = 32;

/// The size of the next batch, by the time that the last one took.
#[derive(Debug)]
pub(super) struct AdaptiveBatchSize {
    records: usize,
}

impl Default for AdaptiveBatchSize {
    fn default() -> Self {
        Self { records: FIRST }
    }
}

impl AdaptiveBatchSize {
    /// The most records of the next batch.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// A batch of so many records took this time.
    pub(super) fn took(&mut self, records: usize, time: Duration) {
        let per_record_ns = time.as_nanos() / records.max(1) as u128;
        let fit = usize::try_from(LONGEST.as_nanos() / per_record_ns.max(1)).unwrap_or(usize::MAX);
        self.records = fit.min(self.records.saturating_mul(2)).max(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn batch_size_grows_with_a_fast_mapper_and_shrinks_with_a_slow_one() {
        let ms = Duration::from_millis;
        let mut size = AdaptiveBatchSize::default();
        for doubled in [64, 128, 256, 512] {
            size.took(size.records(), ms(1));
            assert_eq!(size.records(), doubled);
        }
        size.took(500, ms(5000));
        assert_eq!(size.records(), 100);
        size.took(1, ms(3000));
        assert_eq!(size.records(), 1);
        size.took(1, ms(900));
        assert_eq!(size.records(), 1);
        size.took(1, ms(1));
        assert_eq!(size.records(), 2);
    }

    proptest! {
        #[test]
        fn batch_as_slow_as_the_last_stays_within_the_limit(
            batches in proptest::collection::vec((1_usize..10_000, 0_u64..10_000_000_000), 1..50),
        ) {
            let mut size = AdaptiveBatchSize::default();
            for (records, ns) in batches {
                size.took(records, Duration::from_nanos(ns));
                let next = Duration::from_nanos(ns / records as u64 * size.records() as u64);
                prop_assert!(size.records() == 1 || next <= LONGEST, "{next:?}");
            }
        }
    }
}
