//! The times of calls of the plugin in buckets that are fine enough for a quantile of a short period.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of each power of two, so that a quantile is off by a fifth at most.
const PER_OCTAVE: u32 = 4;
/// From a microsecond to more than an hour.
const OCTAVES: u32 = 32;
const BUCKETS: usize = (PER_OCTAVE * OCTAVES) as usize;

/// The number of calls by their time, since the start.
#[derive(Debug)]
pub(crate) struct CallTimes([AtomicU64; BUCKETS]);

/// The numbers at one moment.
#[derive(Debug, Clone)]
pub(crate) struct CallCounts([u64; BUCKETS]);

impl Default for CallTimes {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Default for CallCounts {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl CallTimes {
    /// A call took this time.
    pub(crate) fn observe(&self, took: Duration) {
        self.0[bucket(took)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> CallCounts {
        CallCounts(std::array::from_fn(|bucket| self.0[bucket].load(Ordering::Relaxed)))
    }
}

impl CallCounts {
    /// The number of calls since `before`.
    pub(crate) fn number_since(&self, before: &Self) -> u64 {
        self.calls_since(before).sum()
    }

    fn calls_since(&self, before: &Self) -> impl Iterator<Item = u64> {
        self.0.iter().zip(&before.0).map(|(now, before)| now.saturating_sub(*before))
    }

    /// The time that this share of the calls since `before` did not exceed; `None` without calls.
    pub(crate) fn quantile_since(&self, before: &Self, share: f64) -> Option<Duration> {
        let wanted = (self.number_since(before) as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.calls_since(before).position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(upper_bound(bucket))
    }
}

fn bucket(took: Duration) -> usize {
    let microseconds = took.as_secs_f64() * 1e6;
    let bucket = (microseconds.max(1.0).log2() * f64::from(PER_OCTAVE)).ceil();
    (bucket as usize).min(BUCKETS - 1)
}

fn upper_bound(bucket: usize) -> Duration {
    Duration::from_secs_f64((bucket as f64 / f64::from(PER_OCTAVE)).exp2() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantile_is_that_of_the_calls_since_the_earlier_counts() {
        let times = CallTimes::default();
        (0..1000).for_each(|_| times.observe(Duration::from_secs(1)));
        let before = times.counts();
        assert_eq!(times.counts().quantile_since(&before, 0.99), None);
        (1..=100).for_each(|call| times.observe(Duration::from_micros(call * 10)));
        let quantile = |share| times.counts().quantile_since(&before, share).unwrap().as_micros();
        let (half, most) = (quantile(0.5), quantile(0.99));
        assert!((500..=600).contains(&half), "{half}");
        assert!((990..=1190).contains(&most), "{most}");
    }

    #[test]
    fn times_beyond_the_buckets_are_in_the_first_or_the_last_one() {
        let times = CallTimes::default();
        times.observe(Duration::ZERO);
        assert_eq!(times.counts().quantile_since(&CallCounts::default(), 1.0), Some(Duration::from_micros(1)));
        times.observe(Duration::from_secs(1_000_000));
        let longest = times.counts().quantile_since(&CallCounts::default(), 1.0).unwrap();
        assert!(longest > Duration::from_secs(3600), "{longest:?}");
    }
}
