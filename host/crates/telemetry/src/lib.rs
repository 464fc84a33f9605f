//! What the pipelines do, as an operator sees it: metrics, readiness, spans, the progress of workers and groups of failures.

#![deny(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

mod about;
pub mod alerts;
mod breakers;
mod call_times;
mod dead_letters;
mod failure_log;
mod failures;
mod guests;
pub mod health;
mod known_groups;
pub mod metrics;
mod observer;
mod outages;
mod process;
mod rates;
mod samples;
pub mod spans;
mod step_trace;
mod threads;
mod timeline;
mod topics;
mod workers;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use mapper_pipeline::contracts::{PartitionPosition, SourceObserver};
use mapper_pipeline::guest::{GuestObserver, Renewal};
use prometheus_client::metrics::histogram::Histogram;

use crate::call_times::CallTimes;
use crate::health::Health;
use crate::outages::Outages;
use crate::spans::Sent;
use mapper_core::counts::Counts;
use mapper_core::record::Record;
use mapper_core::verdict::Failure;

pub use about::{About, Mapping, Work};
pub use breakers::Breakers;
pub use dead_letters::{DeadLetters, OpenLetters, RedriveHint};
pub use failure_log::FailureLog;
pub use failures::{Example, Failures, Group};
pub use guests::Guests;
pub use known_groups::{GroupRegistry, KnownGroups};
pub use observer::TelemetryObserver;
pub use rates::{EVERY, Rate, Rates};
pub use samples::{SAMPLE_INTERVAL, Sample, SampleLog};
pub use step_trace::StepTrace;
pub use threads::{Role, Threads};
pub use timeline::{Event, EventKind, Timeline};
pub use topics::Topics;
pub use workers::{Worker, WorkerPosition, Workers};

/// Histograms.
#[derive(Debug)]
pub struct Distributions {
    /// Seconds that the plugin took for a batch.
    pub mapping: Histogram,
    /// Records of a batch.
    pub batch: Histogram,
    /// Seconds that a commit took.
    pub commit: Histogram,
}

impl Default for Distributions {
    fn default() -> Self {
        Self {
            mapping: Histogram::new([
                1e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0,
            ]),
            batch: Histogram::new([1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0]),
            commit: Histogram::new([1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0]),
        }
    }
}

/// Counters of one pipeline. Records count when they are committed.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// The readiness.
    pub health: Health,
    /// The instances of the plugin.
    pub guests: Guests,
    /// The host, its work and its plugin.
    pub about: About,
    /// The progress of the workers.
    pub workers: Workers,
    /// Panics of threads other than the workers.
    pub threads: Threads,
    /// Events of topics.
    pub topics: Topics,
    /// The distributions of mapping and commit times.
    pub distributions: Distributions,
    /// The rates of records.
    pub rates: Rates,
    /// The samples of the last hour.
    pub samples: SampleLog,
    /// The latest events.
    pub timeline: Timeline,
    call_times: CallTimes,
    /// The counts of spans.
    pub spans: Arc<Sent>,
    failed: Mutex<Failures>,
    known_groups: OnceLock<Arc<KnownGroups>>,
    /// The log lines of dead letters.
    pub failure_log: FailureLog,
    /// The open breakers.
    pub breakers: Breakers,
    outages: Outages,
    /// The open dead letters and their groups.
    pub dead_letters: DeadLetters,
    counts: Mutex<Counts>,
    transactions: AtomicU64,
    aborts: AtomicU64,
    rebalances: AtomicU64,
    mapped: AtomicU64,
    mapping_ns: AtomicU64,
    commit_ns: AtomicU64,
}

impl Telemetry {
    /// Observes the source of a worker.
    pub fn source_observer(self: &Arc<Self>, worker: usize) -> Arc<dyn SourceObserver> {
        Arc::new(ObservedSource { telemetry: self.clone(), worker })
    }

    /// Observes the guests of a worker.
    pub fn guest_observer(self: &Arc<Self>, worker: usize) -> Arc<dyn GuestObserver> {
        Arc::new(ObservedGuest { telemetry: self.clone(), worker })
    }

    /// The reasons why the pipeline is not ready, with their components; empty if it is ready.
    pub fn not_ready(&self) -> Vec<(&'static str, String)> {
        let overdue = self.workers.overdue().into_iter().map(|reason| ("worker", reason));
        self.health.reasons().into_iter().chain(overdue).collect()
    }

    /// The reasons to restart the process; usually empty.
    pub fn stuck(&self) -> Vec<String> {
        self.workers.stuck().into_iter().chain(self.threads.stuck()).collect()
    }

    /// A transaction was committed.
    pub fn committed(&self, counts: &Counts, took: Duration) {
        let mut all = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        all.add(counts);
        self.transactions.fetch_add(1, Ordering::Relaxed);
        add_ns(&self.commit_ns, took);
        self.distributions.commit.observe(took.as_secs_f64());
    }

    /// Sets the groups of failures that earlier generations of the pipeline have seen. Only the first call has an effect.
    pub fn set_known_groups(&self, known: Arc<KnownGroups>) {
        self.known_groups.get_or_init(|| known);
    }

    /// The groups of failures that the pipeline has seen; `None` until [`Telemetry::set_known_groups`].
    pub fn groups(&self) -> Option<&Arc<KnownGroups>> {
        self.known_groups.get()
    }

    /// The number of groups of failures that the pipeline has seen since the process began.
    pub fn known_groups(&self) -> u64 {
        self.known_groups.get().map_or(0, |known| known.count())
    }

    /// These failures are committed as dead letters.
    pub fn committed_failures(&self, failures: Failures) {
        if let Some(known) = self.known_groups.get() {
            known.add(&failures, &self.about);
        }
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).merge(failures);
    }

    /// The failures that are committed, in groups.
    pub fn failures(&self) -> Failures {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A batch was mapped.
    pub fn mapped(&self, records: usize, took: Duration) {
        self.mapped.fetch_add(records as u64, Ordering::Relaxed);
        add_ns(&self.mapping_ns, took);
        self.call_times.observe(took);
        self.distributions.mapping.observe(took.as_secs_f64());
        self.distributions.batch.observe(records as f64);
    }

    /// A record becomes a dead letter.
    pub fn failed(&self, record: Record<'_>, failure: &Failure<'_>, fingerprint: &str) {
        self.failure_log.failed(record, failure, fingerprint);
        let (topic, partition, offset, kind) =
            (record.topic(), record.partition(), record.offset(), failure.kind.name());
        tracing::debug!(topic, partition, offset, kind, error = %failure.message, details = %failure.details, "failed record");
    }

    /// A transaction was aborted.
    pub fn aborted(&self) {
        self.aborts.fetch_add(1, Ordering::Relaxed);
    }

    /// Partitions were revoked.
    pub fn rebalanced(&self) {
        self.rebalances.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts of committed records.
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Transactions that were committed.
    pub fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    /// Transactions that were aborted.
    pub fn aborts(&self) -> u64 {
        self.aborts.load(Ordering::Relaxed)
    }

    /// The number of rebalances that revoked partitions.
    pub fn rebalances(&self) -> u64 {
        self.rebalances.load(Ordering::Relaxed)
    }

    /// Records that were mapped, whether they are committed or not.
    fn mapped_records(&self) -> u64 {
        self.mapped.load(Ordering::Relaxed)
    }

    /// Mean mapping time of a record.
    pub fn mapping_time(&self) -> Duration {
        mean(&self.mapping_ns, self.mapped.load(Ordering::Relaxed))
    }

    /// Mean time of a commit.
    pub fn commit_time(&self) -> Duration {
        mean(&self.commit_ns, self.transactions())
    }
}

/// The source of one worker.
struct ObservedSource {
    telemetry: Arc<Telemetry>,
    worker: usize,
}

impl SourceObserver for ObservedSource {
    fn set_member(&self, is_member: bool) {
        self.telemetry.workers.set_member(&self.telemetry.health, self.worker, is_member);
    }

    fn set_positions(&self, positions: &mut dyn Iterator<Item = PartitionPosition>) {
        self.telemetry.workers.worker(self.worker).set_positions(positions);
    }
}

/// The guests of one worker.
struct ObservedGuest {
    telemetry: Arc<Telemetry>,
    worker: usize,
}

impl GuestObserver for ObservedGuest {
    fn renewed(&self, reason: Renewal) {
        self.telemetry.guests.renewed(reason);
    }

    fn set_memory(&self, bytes: u64) {
        self.telemetry.guests.set_memory(self.worker, bytes);
    }
}

fn add_ns(sum: &AtomicU64, took: Duration) {
    sum.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

fn mean(sum_ns: &AtomicU64, count: u64) -> Duration {
    Duration::from_nanos(sum_ns.load(Ordering::Relaxed) / count.max(1))
}
