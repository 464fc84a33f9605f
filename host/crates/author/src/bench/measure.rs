//! The measuring itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mapper_core::record::Batch;
use mapper_core::verdict::{Verdict, Verdicts};
use mapper_runtime::Mapper;
use mapper_runtime::{GuestObserver, Plugin, PluginMapper, Renewal};

/// How long batches are measured, and then single records.
const MEASURED: Duration = Duration::from_secs(2);
/// How long is run before, so that caches are warm.
const WARM_UP: Duration = Duration::from_millis(300);

/// Times per record in microseconds: half of the calls took no longer, and 99 in 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

impl Quantiles {
    /// `times` is not empty.
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
        Self { p50: at(0.5), p99: at(0.99) }
    }
}

/// What was measured.
pub(super) struct Measured {
    pub(super) batch: Quantiles,
    pub(super) single: Quantiles,
    /// Records of one pass.
    pub(super) records: u64,
    /// Those of them that failed.
    pub(super) failed: u64,
    /// The linear memory of the instance at the end.
    pub(super) memory_bytes: u64,
    /// Instances that were given up.
    pub(super) renewals: u64,
}

/// What the mapper reports of its guests.
#[derive(Default)]
struct Guests {
    memory_bytes: AtomicU64,
    renewals: AtomicU64,
}

impl GuestObserver for Guests {
    fn renewed(&self, _: Renewal) {
        self.renewals.fetch_add(1, Ordering::Relaxed);
    }

    fn set_memory(&self, bytes: u64) {
        self.memory_bytes.store(bytes, Ordering::Relaxed);
    }
}

/// Maps the batches over and over, as they are and taken apart; there is a record in them.
pub(super) fn measure(plugin: &Arc<Plugin>, batches: &[Batch]) -> Measured {
    let guests = Arc::new(Guests::default());
    let mut mapper = PluginMapper::new(plugin.clone()).observed_by(guests.clone());
    let (mut records, mut failed) = (0, 0);
    let mut verdicts = Verdicts::default();
    for batch in batches {
        verdicts.clear();
        mapper.map(batch, &mut verdicts);
        records += batch.len() as u64;
        failed += verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Failed(_))).count() as u64;
    }
    let of_batches = times(&mut mapper, batches);
    let singles: Vec<Batch> =
        batches.iter().flat_map(|batch| (0..batch.len()).map(|index| batch.slice(index..index + 1))).collect();
    let of_singles = times(&mut mapper, &singles);
    Measured {
        batch: Quantiles::of(of_batches),
        single: Quantiles::of(of_singles),
        records,
        failed,
        memory_bytes: guests.memory_bytes.load(Ordering::Relaxed),
        renewals: guests.renewals.load(Ordering::Relaxed),
    }
}

/// Microseconds per record of each call.
fn times(mapper: &mut PluginMapper, batches: &[Batch]) -> Vec<f64> {
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
    for batch in until(WARM_UP) {
        call(batch);
    }
    let mut times = vec![call(&batches[0])];
    times.extend(until(MEASURED).map(call));
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_times() {
        let times: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(Quantiles::of(times), Quantiles { p50: 50.0, p99: 99.0 });
        assert_eq!(Quantiles::of(vec![7.0]), Quantiles { p50: 7.0, p99: 7.0 });
    }
}
