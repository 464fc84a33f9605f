//! The slot between the swap thread and the workers.
//!
//! The swap thread creates one mapper per worker and offers it here. The worker takes it between two transactions and leaves
//! the old one. The swap thread drops the old one. So the record path neither compiles nor drops a mapper.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use mapper_core::identity::ActiveVersion;

use super::journal::Journal;
use super::notification::Notify;
use super::probation::{JudgedCounts, MIN_BASELINE_RECORDS, Probation, ProbationSettings, ProbationState, Window};
use super::sample::{Sample, Sampled};
use super::tap::Tap;
use mapper_core::record::SourcePositions;
use mapper_core::topic_table::TopicTable;

/// A mapper for a worker, and its version.
pub struct OfferedMapper<M> {
    pub mapper: M,
    pub active: Arc<ActiveVersion>,
}

/// The report of a worker that has switched to a new mapper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switched {
    pub worker: usize,
    /// The new version maps the records from these positions on.
    pub positions: SourcePositions,
    /// The time that the worker spent on the switch.
    pub pause: Duration,
}

/// The slot entry of a worker.
enum Entry<M> {
    Empty,
    Offered(OfferedMapper<M>),
    /// The worker has taken the mapper and has not reported its positions yet.
    Switching,
    Switched(Switched),
    WorkerEnded,
}

struct Entries<M> {
    workers: Vec<Entry<M>>,
    retired: Vec<M>,
}

/// The failures of the active version.
struct Judgements {
    term: u64,
    window: Window,
    /// The counts of the last version that stayed active and judged enough records.
    baseline: JudgedCounts,
    probation: Option<Probation>,
    /// The result, until the swap thread takes it.
    result: Option<ProbationState>,
    has_failed: bool,
}

/// One entry per worker, and the state of the probation.
pub struct Slot<M> {
    entries: Mutex<Entries<M>>,
    /// Whether a mapper is offered, by worker. Workers read it between two batches, without a lock.
    due: Vec<AtomicBool>,
    judgements: Mutex<Judgements>,
    /// The term on probation; 0 is none. Workers read it for every batch, without a lock.
    on_probation: AtomicU64,
    /// The term that is rolled back; 0 is none. Workers read it for every batch, without a lock.
    withdrawn: AtomicU64,
    samples: Vec<Mutex<Sample>>,
    pub(super) tap: Tap,
    pub journal: Arc<Journal>,
    /// Wakes the swap thread.
    pub wakeup: Arc<Notify>,
    /// Whether outputs are visible before the commit of their transaction: with at-least-once delivery.
    pub(super) is_visible_at_once: bool,
    /// The input topics, for reports.
    pub(super) topics: Arc<TopicTable>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<M> Slot<M> {
    /// `term` is the term of the first version. A failure ratio is computed from `window` records.
    pub fn new(workers: usize, term: u64, window: u64, journal: Arc<Journal>, is_visible_at_once: bool) -> Self {
        let entries = Entries { workers: (0..workers).map(|_| Entry::Empty).collect(), retired: Vec::new() };
        let judgements = Judgements {
            term,
            window: Window::new(window),
            baseline: JudgedCounts::default(),
            probation: None,
            result: None,
            has_failed: false,
        };
        Self {
            entries: Mutex::new(entries),
            due: (0..workers).map(|_| AtomicBool::new(false)).collect(),
            judgements: Mutex::new(judgements),
            on_probation: AtomicU64::new(0),
            withdrawn: AtomicU64::new(0),
            samples: (0..workers).map(|_| Mutex::default()).collect(),
            tap: Tap::default(),
            journal,
            wakeup: Arc::default(),
            is_visible_at_once,
            topics: Arc::new(TopicTable::one("")),
        }
    }

    /// The slot of a pipeline with these input topics.
    #[must_use]
    pub fn with_topics(self, topics: Arc<TopicTable>) -> Self {
        Self { topics, ..self }
    }

    /// The number of workers, including workers that have ended.
    pub fn workers(&self) -> usize {
        self.due.len()
    }

    /// Offers one mapper to each worker that has not ended.
    pub fn offer(&self, mappers: Vec<M>, active: &Arc<ActiveVersion>) {
        let mut entries = lock(&self.entries);
        let Entries { workers, retired } = &mut *entries;
        for ((entry, due), mapper) in workers.iter_mut().zip(&self.due).zip(mappers) {
            if matches!(entry, Entry::WorkerEnded) {
                retired.push(mapper);
                continue;
            }
            *entry = Entry::Offered(OfferedMapper { mapper, active: active.clone() });
            due.store(true, Ordering::Release);
        }
    }

    /// The reports of the workers that have switched, and the numbers of the others.
    pub fn progress(&self) -> (Vec<Switched>, Vec<usize>) {
        let entries = lock(&self.entries);
        let switched = entries
            .workers
            .iter()
            .filter_map(|entry| if let Entry::Switched(switched) = entry { Some(switched.clone()) } else { None });
        let waiting = (0..)
            .zip(&entries.workers)
            .filter(|(_, entry)| matches!(entry, Entry::Offered(_) | Entry::Switching))
            .map(|(worker, _)| worker);
        (switched.collect(), waiting.collect())
    }

    /// Takes the old mappers, so that the caller drops them.
    pub fn take_retired(&self) -> Vec<M> {
        std::mem::take(&mut lock(&self.entries).retired)
    }

    pub fn is_over(&self) -> bool {
        lock(&self.entries).workers.iter().all(|entry| matches!(entry, Entry::WorkerEnded))
    }

    pub(super) fn is_due(&self, worker: usize) -> bool {
        self.due[worker].load(Ordering::Acquire)
    }

    pub(super) fn take(&self, worker: usize) -> Option<OfferedMapper<M>> {
        self.due[worker].store(false, Ordering::Relaxed);
        let entry = &mut lock(&self.entries).workers[worker];
        match std::mem::replace(entry, Entry::Switching) {
            Entry::Offered(offered) => Some(offered),
            other => {
                *entry = other;
                None
            }
        }
    }

    pub(super) fn report_switched(&self, switched: Switched, old: M) {
        let mut entries = lock(&self.entries);
        let worker = switched.worker;
        entries.workers[worker] = Entry::Switched(switched);
        entries.retired.push(old);
        drop(entries);
        self.wakeup.notify();
    }

    pub(super) fn report_worker_ended(&self, worker: usize) {
        let entry = std::mem::replace(&mut lock(&self.entries).workers[worker], Entry::WorkerEnded);
        // An offered mapper is dropped here: the worker does not map any more.
        drop(entry);
        self.wakeup.notify();
    }

    /// Starts a term, and its probation if there are settings.
    pub fn begin(&self, term: u64, settings: Option<ProbationSettings>) {
        let mut judgements = lock(&self.judgements);
        let (all, stayed) = (judgements.window.counts(), judgements.probation.is_none() && !judgements.has_failed);
        let baseline = if stayed && all.records >= MIN_BASELINE_RECORDS { all } else { judgements.baseline };
        let probation =
            settings.filter(|settings| settings.records > 0).map(|settings| Probation::new(settings, baseline));
        let window = judgements.window.to_empty();
        self.on_probation.store(if probation.is_some() { term } else { 0 }, Ordering::Relaxed);
        *judgements = Judgements { term, window, baseline, probation, result: None, has_failed: false };
    }

    /// Counts judged records, and withdraws the version when it fails its probation.
    pub(super) fn record_judged(&self, term: u64, judged: JudgedCounts) {
        let mut judgements = lock(&self.judgements);
        // The worker has not switched yet.
        if judgements.term != term {
            return;
        }
        judgements.window.add(judged);
        let Some(probation) = &mut judgements.probation else { return };
        probation.add(judged);
        let state = probation.state();
        if state != ProbationState::Running {
            judgements.has_failed = state != ProbationState::Passed;
            self.on_probation.store(0, Ordering::Relaxed);
            if judgements.has_failed {
                self.withdraw(term);
            }
            (judgements.probation, judgements.result) = (None, Some(state));
            self.wakeup.notify();
        }
    }

    /// Whether these records fail the probation of this term. Only then they are counted.
    pub(super) fn fails_probation_with(&self, term: u64, judged: JudgedCounts) -> bool {
        let judgements = lock(&self.judgements);
        let probation = judgements.probation.clone().filter(|_| judgements.term == term);
        drop(judgements);
        let Some(mut probation) = probation else { return false };
        probation.add(judged);
        let fails = matches!(probation.state(), ProbationState::Failed(_));
        if fails {
            self.record_judged(term, judged);
        }
        fails
    }

    /// Takes the result of the probation of this term.
    pub fn take_probation_result(&self, term: u64) -> Option<ProbationState> {
        let mut judgements = lock(&self.judgements);
        if judgements.term == term { judgements.result.take() } else { None }
    }

    /// Makes the workers abort the transactions of this term, and wait for the next version.
    pub fn withdraw(&self, term: u64) {
        self.withdrawn.store(term, Ordering::Release);
    }

    /// Cancels [`Slot::withdraw`], if there is no version to roll back to.
    pub fn reinstate(&self, term: u64) {
        let _ = self.withdrawn.compare_exchange(term, 0, Ordering::Release, Ordering::Relaxed);
    }

    pub fn is_withdrawn(&self, term: u64) -> bool {
        self.withdrawn.load(Ordering::Acquire) == term
    }

    pub(super) fn is_on_probation(&self, term: u64) -> bool {
        self.on_probation.load(Ordering::Relaxed) == term
    }

    /// The probation in progress.
    pub fn probation(&self) -> Option<Probation> {
        lock(&self.judgements).probation.clone()
    }

    pub(super) fn add_samples(&self, worker: usize, sampled: Vec<Sampled>) {
        let mut sample = lock(&self.samples[worker]);
        sampled.into_iter().for_each(|sampled| sample.push(sampled));
    }

    /// The samples of all workers, without duplicates. A rebalance can move an uncommitted record to another worker.
    pub fn sample(&self) -> Vec<Arc<Sampled>> {
        let mut positions = BTreeSet::new();
        let all = self.samples.iter().flat_map(|sample| lock(sample).records().cloned().collect::<Vec<_>>());
        all.filter(|sampled| positions.insert(sampled.record().position())).collect()
    }
}
