//! Where a new version waits for each worker until it is between two transactions.
//!
//! The thread that swaps makes a mapper for each worker, ready to be called, and puts it here; the worker takes it and leaves
//! the old one, which is then dropped by the thread that swaps. Nothing else of a swap happens on the record path.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use mapper_core::identity::ActiveVersion;

use super::journal::Journal;
use super::notification::Notify;
use super::probation::{Judged, LEAST_BASELINE, Probation, ProbationTerms, Standing, Window};
use super::sample::{Sample, Sampled};
use super::tap::Tap;
use mapper_core::record::SourcePositions;

/// A mapper on its way to a worker.
pub struct Incoming<M> {
    /// Ready to be called.
    pub mapper: M,
    /// Whose it is.
    pub speaker: Arc<ActiveVersion>,
}

/// What a worker says when it has taken a mapper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The worker's number.
    pub worker: usize,
    /// From where on the new version speaks.
    pub places: SourcePositions,
    /// How long the worker did nothing else.
    pub pause: Duration,
}

enum Seat<M> {
    /// Nothing waits.
    Quiet,
    /// This waits.
    Waiting(Incoming<M>),
    /// The worker is about to say from where it speaks.
    Taking,
    /// It was taken.
    Taken(Taken),
    /// The worker has ended.
    Ended,
}

struct Desk<M> {
    seats: Vec<Seat<M>>,
    retired: Vec<M>,
}

/// How the version that speaks does.
struct Conduct {
    term: u64,
    window: Window,
    /// How the last version did that was let stay, once it had judged enough to tell.
    baseline: Judged,
    probation: Option<Probation>,
    /// Told once.
    decided: Option<Standing>,
    failed: bool,
}

/// The places of all workers.
pub struct Slot<M> {
    desk: Mutex<Desk<M>>,
    /// Per worker, whether something waits: what is looked at between two batches.
    due: Vec<AtomicBool>,
    conduct: Mutex<Conduct>,
    /// The term whose version is on probation; 0: none. Looked at for every batch.
    on_probation: AtomicU64,
    /// The term whose version maps no more, as the one before it comes back; 0: none. Looked at for every batch.
    withdrawn: AtomicU64,
    samples: Vec<Mutex<Sample>>,
    pub(super) tap: Tap,
    /// The history on disk.
    pub journal: Arc<Journal>,
    /// Rung when a worker has taken a version, or ended.
    pub wakeup: Arc<Notify>,
    /// Whether outputs are seen before they are committed: at-least-once.
    pub(super) seen_at_once: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<M> Slot<M> {
    /// A slot for so many workers, of which the version of this term speaks. A failure ratio is learnt from `window` records.
    pub fn new(workers: usize, term: u64, window: u64, journal: Arc<Journal>, seen_at_once: bool) -> Self {
        let desk = Desk { seats: (0..workers).map(|_| Seat::Quiet).collect(), retired: Vec::new() };
        let conduct = Conduct {
            term,
            window: Window::new(window),
            baseline: Judged::default(),
            probation: None,
            decided: None,
            failed: false,
        };
        Self {
            desk: Mutex::new(desk),
            due: (0..workers).map(|_| AtomicBool::new(false)).collect(),
            conduct: Mutex::new(conduct),
            on_probation: AtomicU64::new(0),
            withdrawn: AtomicU64::new(0),
            samples: (0..workers).map(|_| Mutex::default()).collect(),
            tap: Tap::default(),
            journal,
            wakeup: Arc::default(),
            seen_at_once,
        }
    }

    /// How many workers there are, ended or not.
    pub fn workers(&self) -> usize {
        self.due.len()
    }

    /// Gives each worker that has not ended one of the mappers, as many as there are workers.
    pub fn offer(&self, mappers: Vec<M>, speaker: &Arc<ActiveVersion>) {
        let mut desk = lock(&self.desk);
        let Desk { seats, retired } = &mut *desk;
        for ((seat, due), mapper) in seats.iter_mut().zip(&self.due).zip(mappers) {
            if matches!(seat, Seat::Ended) {
                retired.push(mapper);
                continue;
            }
            *seat = Seat::Waiting(Incoming { mapper, speaker: speaker.clone() });
            due.store(true, Ordering::Release);
        }
    }

    /// The workers that have taken theirs, and the numbers of those that have not yet.
    pub fn progress(&self) -> (Vec<Taken>, Vec<usize>) {
        let desk = lock(&self.desk);
        let taken =
            desk.seats.iter().filter_map(|seat| if let Seat::Taken(taken) = seat { Some(taken.clone()) } else { None });
        let waiting = (0..)
            .zip(&desk.seats)
            .filter(|(_, seat)| matches!(seat, Seat::Waiting(_) | Seat::Taking))
            .map(|(worker, _)| worker);
        (taken.collect(), waiting.collect())
    }

    /// The mappers that nobody uses any more, to be dropped by the caller.
    pub fn retired(&self) -> Vec<M> {
        std::mem::take(&mut lock(&self.desk).retired)
    }

    /// Whether all workers have ended.
    pub fn is_over(&self) -> bool {
        lock(&self.desk).seats.iter().all(|seat| matches!(seat, Seat::Ended))
    }

    pub(super) fn is_due(&self, worker: usize) -> bool {
        self.due[worker].load(Ordering::Acquire)
    }

    pub(super) fn take(&self, worker: usize) -> Option<Incoming<M>> {
        self.due[worker].store(false, Ordering::Relaxed);
        let seat = &mut lock(&self.desk).seats[worker];
        match std::mem::replace(seat, Seat::Taking) {
            Seat::Waiting(incoming) => Some(incoming),
            other => {
                *seat = other;
                None
            }
        }
    }

    pub(super) fn taken(&self, taken: Taken, old: M) {
        let mut desk = lock(&self.desk);
        let worker = taken.worker;
        desk.seats[worker] = Seat::Taken(taken);
        desk.retired.push(old);
        drop(desk);
        self.wakeup.notify();
    }

    pub(super) fn ended(&self, worker: usize) {
        let seat = std::mem::replace(&mut lock(&self.desk).seats[worker], Seat::Ended);
        // A mapper that still waited is dropped here: this worker maps no more.
        drop(seat);
        self.wakeup.notify();
    }

    /// A new term begins. Its version is on probation if there are terms of one.
    pub fn begin(&self, term: u64, terms: Option<ProbationTerms>) {
        let mut conduct = lock(&self.conduct);
        let (all, stayed) = (conduct.window.all(), conduct.probation.is_none() && !conduct.failed);
        let baseline = if stayed && all.records >= LEAST_BASELINE { all } else { conduct.baseline };
        let probation = terms.filter(|terms| terms.records > 0).map(|terms| Probation::new(terms, baseline));
        let window = conduct.window.emptied();
        self.on_probation.store(if probation.is_some() { term } else { 0 }, Ordering::Relaxed);
        *conduct = Conduct { term, window, baseline, probation, decided: None, failed: false };
    }

    pub(super) fn judged(&self, term: u64, judged: Judged) {
        let mut conduct = lock(&self.conduct);
        // A worker that has not swapped yet.
        if conduct.term != term {
            return;
        }
        conduct.window.add(judged);
        let Some(probation) = &mut conduct.probation else { return };
        probation.add(judged);
        let standing = probation.standing();
        if standing != Standing::On {
            conduct.failed = standing != Standing::Passed;
            self.on_probation.store(0, Ordering::Relaxed);
            if conduct.failed {
                self.withdraw(term);
            }
            (conduct.probation, conduct.decided) = (None, Some(standing));
            self.wakeup.notify();
        }
    }

    /// Whether the version of this term fails its probation with these records. Only then they are counted.
    pub(super) fn fails_with(&self, term: u64, judged: Judged) -> bool {
        let conduct = lock(&self.conduct);
        let probation = conduct.probation.clone().filter(|_| conduct.term == term);
        drop(conduct);
        let Some(mut probation) = probation else { return false };
        probation.add(judged);
        let fails = matches!(probation.standing(), Standing::Failed(_));
        if fails {
            self.judged(term, judged);
        }
        fails
    }

    /// How a probation of this term ended, told once.
    pub fn decided(&self, term: u64) -> Option<Standing> {
        let mut conduct = lock(&self.conduct);
        if conduct.term == term { conduct.decided.take() } else { None }
    }

    /// The version of this term maps no more: workers abort what they have of it, and wait for the next.
    pub fn withdraw(&self, term: u64) {
        self.withdrawn.store(term, Ordering::Release);
    }

    /// The version of this term maps on, as there is none to return to.
    pub fn reinstate(&self, term: u64) {
        let _ = self.withdrawn.compare_exchange(term, 0, Ordering::Release, Ordering::Relaxed);
    }

    /// Whether the version of this term is not to map any more.
    pub fn is_withdrawn(&self, term: u64) -> bool {
        self.withdrawn.load(Ordering::Acquire) == term
    }

    /// Whether the version of this term is on probation.
    pub(super) fn is_on_probation(&self, term: u64) -> bool {
        self.on_probation.load(Ordering::Relaxed) == term
    }

    /// The probation that goes on, if one does.
    pub fn probation(&self) -> Option<Probation> {
        lock(&self.conduct).probation.clone()
    }

    pub(super) fn keep(&self, worker: usize, sampled: Vec<Sampled>) {
        let mut sample = lock(&self.samples[worker]);
        sampled.into_iter().for_each(|sampled| sample.push(sampled));
    }

    /// The last records of all workers, each once: what one has judged and not committed may have come to another.
    pub fn sample(&self) -> Vec<Sampled> {
        let mut places = BTreeSet::new();
        let all = self.samples.iter().flat_map(|sample| lock(sample).all().cloned().collect::<Vec<_>>());
        all.filter(|sampled| places.insert((sampled.record().partition(), sampled.record().offset()))).collect()
    }
}
