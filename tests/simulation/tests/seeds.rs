//! The seeds that CI runs.

use std::sync::atomic::{AtomicU64, Ordering};

/// Two cores run these within two minutes.
const SEEDS: u64 = 20_000;

#[test]
fn every_seed_handles_each_input_exactly_once_and_in_order() {
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let work = || {
        let seeds = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < SEEDS));
        seeds.filter_map(|seed| simulation::run(seed, false).result.err()).collect::<Vec<_>>()
    };
    let mut failures: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a run catches its panics")).collect()
    });
    failures.sort_by_key(|failure| failure.seed);
    let shown: Vec<String> = failures.iter().take(10).map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{} of {SEEDS} seeds fail:\n{}", failures.len(), shown.join("\n"));
}

#[test]
fn same_seed_does_the_same() {
    for seed in 0..100 {
        let (first, second) = (simulation::run(seed, true), simulation::run(seed, true));
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert!(first.trace.len() > 10, "seed {seed}");
    }
}
