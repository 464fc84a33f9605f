//! Samples of a pipeline over the last hour, for the charts of the console.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::Telemetry;
use super::call_times::CallCounts;
use mapper_core::counts::Counts;

/// The interval of samples.
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(10);
/// The samples of a minute.
const PER_MINUTE: usize = 6;
/// The samples that are kept: those of an hour.
const MAX_SAMPLES: usize = 360;

/// What a pipeline did between two moments.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The later moment.
    pub at: DateTime<Utc>,
    /// Committed input records per second.
    pub records_in: f64,
    /// Committed outputs per second.
    pub records_out: f64,
    /// Committed dead letters per second.
    pub dead_letters: f64,
    /// Records still to be fetched.
    pub lag: u64,
    /// The time that 99 % of the calls of the plugin did not exceed; `None` without calls.
    pub mapping_p99: Option<Duration>,
    /// The mean number of records of a call; `None` without calls.
    pub batch_records: Option<f64>,
    /// Linear memory of all instances.
    pub guest_memory_bytes: u64,
}

/// The counts at the last sample.
#[derive(Debug)]
struct Before {
    at: Instant,
    counts: Counts,
    calls: CallCounts,
    mapped: u64,
}

/// The samples of the last hour.
#[derive(Debug, Default)]
pub struct SampleLog(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    before: Option<Before>,
    samples: VecDeque<Sample>,
}

impl SampleLog {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The samples, the oldest first.
    pub fn all(&self) -> Vec<Sample> {
        self.lock().samples.iter().cloned().collect()
    }

    /// The last sample, and the mean rate of the input of each minute, the oldest first.
    pub fn by_minute(&self) -> (Option<Sample>, Vec<f64>) {
        let kept = self.lock();
        let samples = &kept.samples;
        // From the end, so that the last minute is complete.
        let first = samples.len() % PER_MINUTE;
        let mean = |from: usize, end: usize| {
            samples.range(from..end).map(|sample| sample.records_in).sum::<f64>() / (end - from) as f64
        };
        let incomplete = (first > 0).then(|| mean(0, first));
        let minutes = (first..samples.len()).step_by(PER_MINUTE).map(|from| mean(from, from + PER_MINUTE));
        (samples.back().cloned(), incomplete.into_iter().chain(minutes).collect())
    }
}

impl Telemetry {
    /// Takes a sample if the last one is old enough. The first call only begins a period.
    pub fn take_sample(&self, now: Instant, at: DateTime<Utc>) {
        let mut kept = self.samples.lock();
        if kept.before.as_ref().is_some_and(|before| now.duration_since(before.at) < SAMPLE_INTERVAL) {
            return;
        }
        let present =
            Before { at: now, counts: self.counts(), calls: self.call_times.counts(), mapped: self.mapped_records() };
        if let Some(before) = &kept.before {
            let seconds = now.duration_since(before.at).as_secs_f64();
            let per_second = |count: fn(&Counts) -> u64| {
                count(&present.counts).saturating_sub(count(&before.counts)) as f64 / seconds
            };
            let batches = present.calls.number_since(&before.calls);
            let sample = Sample {
                at,
                records_in: per_second(|counts| counts.records_in),
                records_out: per_second(|counts| counts.records_out),
                dead_letters: per_second(Counts::dead_letters),
                lag: self.workers.positions().values().filter_map(|position| position.lag()).sum(),
                mapping_p99: present.calls.quantile_since(&before.calls, 0.99),
                batch_records: (batches > 0).then(|| (present.mapped - before.mapped) as f64 / batches as f64),
                guest_memory_bytes: self.guests.memory().values().sum(),
            };
            if kept.samples.len() == MAX_SAMPLES {
                kept.samples.pop_front();
            }
            kept.samples.push_back(sample);
        }
        kept.before = Some(present);
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
    fn sample_has_the_rates_and_times_of_its_own_period() {
        let (telemetry, start) = (Telemetry::default(), Instant::now());
        let take = |seconds| telemetry.take_sample(start + Duration::from_secs(seconds), DateTime::UNIX_EPOCH);
        telemetry.committed(&counts(1000), Duration::ZERO);
        telemetry.mapped(1000, Duration::from_secs(1));
        take(0);
        telemetry.committed(&counts(50), Duration::ZERO);
        telemetry.mapped(30, Duration::from_millis(1));
        telemetry.mapped(20, Duration::from_millis(1));
        // Not due yet.
        take(9);
        take(10);
        take(20);
        let samples = telemetry.samples.all();
        assert_eq!(samples.len(), 2);
        assert_eq!((samples[0].records_in, samples[0].records_out, samples[0].batch_records), (5.0, 10.0, Some(25.0)));
        let p99 = samples[0].mapping_p99.unwrap();
        assert!(p99 >= Duration::from_millis(1) && p99 < Duration::from_millis(2), "{p99:?}");
        assert_eq!((samples[1].records_in, samples[1].mapping_p99, samples[1].batch_records), (0.0, None, None));
    }

    #[test]
    fn rates_by_minute_are_means_and_only_the_first_minute_can_be_incomplete() {
        let (telemetry, start) = (Telemetry::default(), Instant::now());
        assert_eq!(telemetry.samples.by_minute(), (None, vec![]));
        for sample in 0..=14 {
            telemetry.take_sample(start + SAMPLE_INTERVAL * sample, DateTime::UNIX_EPOCH);
            telemetry.committed(&counts(u64::from(sample) * 10), Duration::ZERO);
        }
        // Rates of 0 to 13 a second.
        let (last, minutes) = telemetry.samples.by_minute();
        assert_eq!((last.map(|last| last.records_in), minutes), (Some(13.0), vec![0.5, 4.5, 10.5]));
    }

    #[test]
    fn samples_of_an_hour_are_kept() {
        let (telemetry, start) = (Telemetry::default(), Instant::now());
        for sample in 0..=(MAX_SAMPLES as u64 + 5) {
            telemetry.take_sample(start + SAMPLE_INTERVAL * u32::try_from(sample).unwrap(), DateTime::UNIX_EPOCH);
        }
        assert_eq!(telemetry.samples.all().len(), MAX_SAMPLES);
    }
}
