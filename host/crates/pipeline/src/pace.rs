//! How many records a batch may have, so that mapping it keeps a worker from its group for about a second at most.
//!
//! A mapper that takes long over each record would else be away for batch-records times as long, and lose its partitions
//! (`max.poll.interval.ms`) before it can commit: the next who gets them would, too.

use std::time::Duration;

/// What a batch is to take at most.
const LONGEST: Duration = Duration::from_secs(1);
/// The first batch, of which nothing is known.
const FIRST: usize = 32;

/// The size of batches by how long the last one took.
#[derive(Debug)]
pub(super) struct Pace {
    limit: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { limit: FIRST }
    }
}

impl Pace {
    /// The most records of the next batch.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// So many records took so long.
    pub(super) fn took(&mut self, records: usize, time: Duration) {
        let per_record_ns = time.as_nanos() / records.max(1) as u128;
        let fit = usize::try_from(LONGEST.as_nanos() / per_record_ns.max(1)).unwrap_or(usize::MAX);
        self.limit = fit.min(self.limit.saturating_mul(2)).max(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fast_mapper_soon_gets_all_and_a_slow_one_little() {
        let ms = Duration::from_millis;
        let mut pace = Pace::default();
        for doubled in [64, 128, 256, 512] {
            pace.took(pace.limit(), ms(1));
            assert_eq!(pace.limit(), doubled);
        }
        pace.took(500, ms(5000));
        assert_eq!(pace.limit(), 100);
        pace.took(1, ms(3000));
        assert_eq!(pace.limit(), 1);
        pace.took(1, ms(900));
        assert_eq!(pace.limit(), 1);
        pace.took(1, ms(1));
        assert_eq!(pace.limit(), 2);
    }

    proptest! {
        #[test]
        fn a_batch_as_slow_as_the_last_takes_no_longer_than_it_may(
            batches in proptest::collection::vec((1_usize..10_000, 0_u64..10_000_000_000), 1..50),
        ) {
            let mut pace = Pace::default();
            for (records, ns) in batches {
                pace.took(records, Duration::from_nanos(ns));
                let next = Duration::from_nanos(ns / records as u64 * pace.limit() as u64);
                prop_assert!(pace.limit() == 1 || next <= LONGEST, "{next:?}");
            }
        }
    }
}
