//! The rates of records, from counts that are sampled every second.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mapper_core::counts::Counts;

/// The period of a rate.
const WINDOW: Duration = Duration::from_secs(10);
/// The interval of samples.
pub const EVERY: Duration = Duration::from_secs(1);

/// Records per second, over the last seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    /// Input records.
    pub records_in: f64,
    /// Outputs.
    pub records_out: f64,
    /// Dead letters.
    pub dead_letters: f64,
    /// The period.
    pub over: Duration,
}

/// The counts of the last seconds.
#[derive(Debug, Default)]
pub struct Rates(Mutex<VecDeque<(Instant, Counts)>>);

impl Rates {
    /// Samples the counts.
    pub fn take(&self, now: Instant, counts: Counts) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One sample older than the window is kept, to compare with after a pause.
        while taken.len() > 1 && taken.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            taken.pop_front();
        }
        taken.push_back((now, counts));
    }

    /// The rate up to now; zeros at the very start.
    pub fn now(&self, now: Instant, counts: &Counts) -> Rate {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((at, before)) = taken.front() else { return Rate::default() };
        let over = now.saturating_duration_since(*at);
        if over.is_zero() {
            return Rate::default();
        }
        let per_second = |now: u64, before: u64| now.saturating_sub(before) as f64 / over.as_secs_f64();
        Rate {
            records_in: per_second(counts.records_in, before.records_in),
            records_out: per_second(counts.records_out, before.records_out),
            dead_letters: per_second(counts.dead_letters(), before.dead_letters()),
            over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(records_in: u64) -> Counts {
        let mut counts = Counts::default();
        (counts.records_in, counts.records_out) = (records_in, records_in * 2);
        counts
    }

    #[test]
    fn rate_is_computed_over_the_last_ten_seconds() {
        let (rates, start) = (Rates::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(rates.now(start, &counts(5)), Rate::default());
        for second in 0..60 {
            rates.take(at(second), counts(second * second));
        }
        let rate = rates.now(at(60), &counts(3600));
        // Between second 49 and second 60: 3600 - 2401 in 11 s.
        assert_eq!((rate.over, rate.records_in), (Duration::from_secs(11), 109.0));
        assert_eq!((rate.records_out, rate.dead_letters), (218.0, 0.0));
        assert!(rates.0.lock().unwrap().len() <= 12);
    }
}
