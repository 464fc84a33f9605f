//! Whole hosts on a simulated Kafka cluster, in virtual time, all of it decided by a seed.
//!
//! The hosts run the real loop, the real version slots and the real history. Simulated are the cluster, the network, the guests, the
//! disk and the time. A run asserts that each input is handled exactly once (or at least once), in the order of its partition, by
//! the version that the history names; that no offset is committed beyond the work that is done; and that all of it is done
//! within a bounded time after the last fault.

mod checker;
mod clock;
mod events;
mod faults;
mod guest;
mod host;
mod inputs;
mod ledger;
mod markers;
mod random;
mod scenario;
mod slot;
mod trace;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use world::Statistics;
use world::World;

/// A run that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What does not hold.
    pub reason: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, reason } = self;
        write!(
            f,
            "seed {seed}: {reason}. Replay it: cargo bench -p simulation --bench simulate -- --seed {seed} --trace"
        )
    }
}

/// The result of one run.
pub struct Run {
    /// What happened, if all of it is right.
    pub result: Result<Statistics, Failure>,
    /// The events in order, if they were asked for.
    pub trace: Vec<String>,
}

/// Runs one seed. The same seed does the same.
pub fn run(seed: u64, is_traced: bool) -> Run {
    let world = World::new(seed, is_traced);
    let ran = catch_unwind(AssertUnwindSafe(|| world.run()));
    let result = match ran {
        Ok(Ok(())) => Ok(*world.statistics()),
        Ok(Err(reason)) => Err(Failure { seed, reason }),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(Failure { seed, reason: format!("a panic: {}", text.unwrap_or_default()) })
        }
    };
    world.close();
    Run { result, trace: world.take_trace() }
}
