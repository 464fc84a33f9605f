//! Measures the mapping time of a plugin.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mapper_core::record::Batch;
use mapper_core::verdict::{Verdict, Verdicts};
use mapper_runtime::Mapper;
use mapper_runtime::{GuestObserver, Plugin, PluginMapper, Renewal};

/// Duration of each measurement: batches, then single records.
const MEASURE_TIME: Duration = Duration::from_secs(2);
/// Warms the caches before each measurement.
const WARM_UP_TIME: Duration = Duration::from_millis(300);

/// Microseconds per record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

impl Quantiles {
    /// `times` is not empty.
    fn from_times(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
        Self { p50: at(0.5), p99: at(0.99) }
    }
}

pub(super) struct Measurement {
    pub(super) batch: Quantiles,
    pub(super) single: Quantiles,
    /// Records in one pass.
    pub(super) records: u64,
    /// Failed records in one pass.
    pub(super) failed: u64,
    /// Linear memory of the instance at the end.
    pub(super) memory_bytes: u64,
    pub(super) renewals: u64,
}

#[derive(Default)]
struct GuestCounters {
    memory_bytes: AtomicU64,
    renewals: AtomicU64,
}

impl GuestObserver for GuestCounters {
    fn renewed(&self, _: Renewal) {
        self.renewals.fetch_add(1, Ordering::Relaxed);
    }

    fn set_memory(&self, bytes: u64) {
        self.memory_bytes.store(bytes, Ordering::Relaxed);
    }
}

/// Measures the batches, and then their records one by one. There must be at least one record.
pub(super) fn measure(plugin: &Arc<Plugin>, batches: &[Batch]) -> Measurement {
    let guests = Arc::new(GuestCounters::default());
    let mut mapper = PluginMapper::new(plugin.clone()).observed_by(guests.clone());
    let (mut records, mut failed) = (0, 0);
    let mut verdicts = Verdicts::default();
    for batch in batches {
        verdicts.clear();
        mapper.map(batch, &mut verdicts);
        records += batch.len() as u64;
        failed += verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Failed(_))).count() as u64;
    }
    let batch_times = measure_calls(&mut mapper, batches);
    let singles: Vec<Batch> =
        batches.iter().flat_map(|batch| (0..batch.len()).map(|index| batch.slice(index..index + 1))).collect();
    let single_times = measure_calls(&mut mapper, &singles);
    Measurement {
        batch: Quantiles::from_times(batch_times),
        single: Quantiles::from_times(single_times),
        records,
        failed,
        memory_bytes: guests.memory_bytes.load(Ordering::Relaxed),
        renewals: guests.renewals.load(Ordering::Relaxed),
    }
}

/// The microseconds per record of each call.
fn measure_calls(mapper: &mut PluginMapper, batches: &[Batch]) -> Vec<f64> {
    let mut verdicts = Verdicts::default();
    let mut call = |batch: &Batch| {
        verdicts.clear();
        let started = Instant::now();
        mapper.map(batch, &mut verdicts);
        started.elapsed().as_secs_f64() * 1e6 / batch.len() as f64
    };
    let until = |duration: Duration| {
        let started = Instant::now();
        batches.iter().cycle().take_while(move |_| started.elapsed() < duration)
    };
    for batch in until(WARM_UP_TIME) {
        call(batch);
    }
    let mut times = vec![call(&batches[0])];
    times.extend(until(MEASURE_TIME).map(call));
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_taken_from_sorted_times() {
        let times: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(Quantiles::from_times(times), Quantiles { p50: 50.0, p99: 99.0 });
        assert_eq!(Quantiles::from_times(vec![7.0]), Quantiles { p50: 7.0, p99: 7.0 });
    }
}
