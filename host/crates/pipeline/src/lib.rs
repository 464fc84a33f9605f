//! The loop: fetch, map, decide, produce, commit; and what is done when any of these fails.
//!
//! It is written against three small contracts, so that the same code runs on fakes, on the embedded broker and on Kafka.

#![forbid(unsafe_code)]

pub mod activity;
mod breaker;
mod clock;
pub mod contracts;
mod error;
mod error_ratio;
pub mod guest;
mod held;
mod idle;
mod in_flight;
mod observer;
mod pace;
mod process;
mod provenance;
mod rejections;
mod settings;
#[cfg(feature = "simulation")]
pub mod simulation;
mod transaction;
mod version_slot;
mod versions;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

pub use activity::Activity;
use breaker::Breaker;
pub use clock::{Clock, ManualClock, SystemClock};
pub use contracts::{Fetched, Mapper, Outgoing, RejectionCause, STEP, Sink, Source, SourceObserver};
pub use error::{Rejection, SinkError, SourceError};
use error_ratio::ErrorRatio;
use held::Held;
use idle::Idle;
pub use in_flight::{Admission, InFlightMarker};
pub use observer::{CommittedTransaction, FailedRecord, Observer, Observers, RecordTracer};
use pace::Pace;
pub use provenance::PROVENANCE_BYTES;
use provenance::Provenance;
use rejections::{REJECTED_LIMITS_AGE, Rejections};
pub use settings::{BreakerRecords, BreakerSettings, CommitPolicy, FailurePolicy, Settings};
use transaction::{Careful, Transaction};
pub use version_slot::VersionSlot;

use mapper_core::dead_letter::DeadLetters;
use mapper_core::record::Batch;
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_core::verdict::Verdicts;

/// How long a fetch waits when nothing is due. A rebalance or a shutdown is noticed within this time.
const IDLE_WAIT: Duration = Duration::from_millis(50);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// What a pipeline is made of.
pub struct Parts<S, K, V: VersionSlot> {
    /// Where records come from.
    pub source: S,
    /// The mapper to begin with.
    pub mapper: V::Mapper,
    /// Where outputs, dead letters and offsets go.
    pub sink: K,
    /// Where other versions of the mapper come from.
    pub versions: V,
    /// Marks the records that the mapper has.
    pub in_flight: Box<dyn InFlightMarker>,
    /// Who watches.
    pub observer: Box<dyn Observer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Writes dead letters.
    pub dead_letters: DeadLetters,
    /// The request to end.
    pub shutdown: Shutdown,
}

/// What to do after a step of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOutcome {
    /// Take the next step.
    Continue,
    /// Take the next step after this time, or when a shutdown is requested.
    Backoff(Duration),
    /// Nothing: everything is done, or the pipeline has ended as requested.
    Finished,
}

/// One worker's loop.
pub struct Pipeline<S, K, V: VersionSlot> {
    source: S,
    mapper: V::Mapper,
    versions: V,
    provenance: Option<Provenance>,
    sink: K,
    settings: Settings,
    dead_letters: DeadLetters,
    in_flight: Box<dyn InFlightMarker>,
    observer: Box<dyn Observer>,
    /// Traces the records of the last batch.
    tracer: Option<Box<dyn RecordTracer>>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    batch: Batch,
    /// How many records of the batch are judged.
    judged: usize,
    verdicts: Verdicts,
    transaction: Transaction,
    breaker: Breaker,
    held: Held,
    error_ratio: Option<ErrorRatio>,
    /// When the last verdicts came.
    now: DateTime<Utc>,
    idle: Idle,
    pace: Pace,
    careful: Option<Careful>,
    /// What failed, until it is recovered from.
    trouble: Option<SinkError>,
    /// Times that it had to go back since the last commit.
    setbacks: u32,
    rejections: Rejections,
    /// When it was last read what topics take.
    limits_read: Instant,
    backoff: Duration,
}

impl<S: Source, K: Sink, V: VersionSlot<Mapper: Mapper>> Pipeline<S, K, V> {
    /// A pipeline of these parts.
    pub fn new(parts: Parts<S, K, V>, settings: Settings) -> Self {
        let Parts { source, mapper, sink, versions, in_flight, observer, clock, dead_letters, shutdown } = parts;
        let failures = &settings.failures;
        Self {
            source,
            mapper,
            provenance: settings.provenance.then(|| Provenance::of(versions.active())),
            versions,
            sink,
            dead_letters,
            in_flight,
            observer,
            tracer: None,
            limits_read: clock.now(),
            clock,
            shutdown,
            batch: Batch::new(settings.topic.clone()),
            judged: 0,
            verdicts: Verdicts::default(),
            transaction: Transaction::default(),
            breaker: Breaker::new(failures.breaker.after, failures.breaker.retry),
            held: Held::default(),
            error_ratio: failures.halt_on_error_ratio.map(|limit| ErrorRatio::new(limit, failures.error_ratio_window)),
            settings,
            now: DateTime::UNIX_EPOCH,
            idle: Idle::default(),
            pace: Pace::default(),
            careful: None,
            trouble: None,
            setbacks: 0,
            rejections: Rejections::default(),
            backoff: FIRST_BACKOFF,
        }
    }

    /// Takes the pipeline apart again.
    pub fn into_parts(self) -> (S, V::Mapper, K) {
        (self.source, self.mapper, self.sink)
    }

    /// Works until a shutdown, or until the source is finished; then commits what is done.
    ///
    /// # Errors
    /// Why it had to stop; everything up to the last commit is done, nothing beyond it.
    pub fn run(&mut self) -> Result<(), Halt> {
        loop {
            match self.step()? {
                StepOutcome::Continue => {}
                StepOutcome::Backoff(wait) => self.clock.sleep(wait, &self.shutdown),
                StepOutcome::Finished => return Ok(()),
            }
        }
    }

    /// Takes one step: a round of fetching, mapping and committing, or an attempt to recover from a failure.
    ///
    /// # Errors
    /// Why it had to stop; everything up to the last commit is done, nothing beyond it.
    pub fn step(&mut self) -> Result<StepOutcome, Halt> {
        if let Some(trouble) = self.trouble.take() {
            return self.recover(trouble);
        }
        if self.shutdown.requested() {
            return self.finish().map(|()| StepOutcome::Finished);
        }
        match self.round() {
            Ok(false) => Ok(StepOutcome::Continue),
            Ok(true) => Ok(StepOutcome::Finished),
            Err(trouble) => {
                if matches!(trouble, SinkError::Retriable(_)) {
                    self.setbacks += 1;
                    // Once is an outage. Twice it may be the transaction: that it takes longer than it may, for what is slow in it.
                    if self.setbacks > 1 && self.transaction.records() > 1 {
                        self.careful = Some(Careful::below(self.transaction.records()));
                    }
                }
                self.begin_recovery(trouble)
            }
        }
    }

    /// Commits what is done, as a shutdown is requested. A failure to commit is no loss: the records are there for the next run.
    fn finish(&mut self) -> Result<(), Halt> {
        match self.commit() {
            Ok(()) => Ok(()),
            Err(SinkError::Fatal(halt)) => Err(halt),
            Err(trouble @ (SinkError::Retriable(_) | SinkError::RecordsRejected(_))) => {
                tracing::warn!(
                    ?trouble,
                    "the last transaction could not be committed; its records are done again later"
                );
                self.sink
                    .abort()
                    .or_else(|trouble| if let SinkError::Fatal(halt) = trouble { Err(halt) } else { Ok(()) })
            }
        }
    }

    /// One round. Tells whether all is done.
    fn round(&mut self) -> Result<bool, SinkError> {
        if self.versions.is_withdrawn() {
            self.commit()?;
        }
        if self.versions.is_due() {
            self.take_version()?;
        }
        match self.next()? {
            Fetched::Records => {
                self.idle.end();
                self.process()?;
            }
            Fetched::Idle if self.breaker.is_open() || self.versions.is_withdrawn() => {}
            Fetched::Idle => {
                let ends = self.source.finished();
                if ends.is_some() || self.held.is_due(self.clock.now()) {
                    self.let_go_of_held()?;
                }
                if let Some(ends) = ends {
                    self.transaction.advance(&ends);
                    self.commit()?;
                    return Ok(!self.versions.is_withdrawn());
                }
                self.commit_ends()?;
            }
            Fetched::TopicRecreated { partitions } => self.restart_topic(partitions)?,
            Fetched::OffsetOutOfRange => {
                self.commit()?;
                self.settle_moved()?;
            }
            Fetched::Assigned => self.settle_rebalance()?,
            Fetched::Revoked { lost } => {
                self.observer.partitions_revoked();
                if lost {
                    self.abandon()?;
                } else {
                    self.commit()?;
                }
                self.settle_rebalance()?;
                self.go_back()?;
            }
        }
        let full = self.room() == 0;
        if full || self.transaction.due_in(&self.settings.commit, self.clock.now()).is_some_and(|due| due.is_zero()) {
            self.commit()?;
        }
        Ok(false)
    }

    /// What is to be done next: records that are left of the batch, or else what comes. While the breaker is open nothing is
    /// fetched until its mapper is to be tried; but the group is answered.
    fn next(&mut self) -> Result<Fetched, SinkError> {
        self.observer.activity_changed(Activity::Fetching);
        if self.versions.is_withdrawn() {
            return Ok(self.source.attend(IDLE_WAIT)?);
        }
        let now = self.clock.now();
        if let Some(wait) = self.breaker.wait(now).filter(|wait| !wait.is_zero()) {
            return Ok(self.source.attend(wait.min(IDLE_WAIT))?);
        }
        if self.judged < self.batch.len() {
            let attended = self.source.attend(Duration::ZERO)?;
            return Ok(if attended == Fetched::Idle { Fetched::Records } else { attended });
        }
        let wait = self.transaction.due_in(&self.settings.commit, now).map_or(IDLE_WAIT, |due| due.min(IDLE_WAIT));
        let most = self.room();
        self.judged = 0;
        let fetched = self.source.fetch(&mut self.batch, most, wait)?;
        if fetched == Fetched::Records {
            self.observer.batch_fetched(self.batch.len());
        }
        Ok(fetched)
    }

    /// How many records the next batch may have.
    fn room(&self) -> usize {
        if self.breaker.is_open() {
            return 1;
        }
        let careful = self.careful.as_ref().map_or(usize::MAX, Careful::limit);
        let most = self.most_records().min(careful).min(self.rejections.transaction_records());
        let left = most.saturating_sub(self.transaction.records());
        left.min(self.settings.batch_records).min(self.pace.limit())
    }

    fn commit(&mut self) -> Result<(), SinkError> {
        if self.transaction.is_empty() {
            return Ok(());
        }
        if self.versions.is_withdrawn() && !self.versions.is_visible_at_once() {
            return self.abort_withdrawn();
        }
        if !self.transaction.is_open() {
            self.sink.begin()?;
        }
        let started = self.clock.now();
        self.observer.activity_changed(Activity::Committing);
        self.versions.committing(self.transaction.next());
        self.sink.commit(self.transaction.next())?;
        self.versions.committed(self.transaction.next(), &self.transaction.counts);
        self.observer.transaction_committed(CommittedTransaction {
            records: self.transaction.records(),
            next: self.transaction.next(),
            counts: &self.transaction.counts,
            took: self.clock.now().saturating_duration_since(started),
        });
        self.tracer = None;
        self.in_flight.committed(self.transaction.next());
        self.rejections.committed(self.transaction.next());
        self.transaction = Transaction::default();
        self.transaction.reach_back(self.held.first());
        self.transaction.reach(&self.batch, self.judged..self.batch.len());
        self.breaker.committed(self.held.len());
        (self.backoff, self.setbacks) = (FIRST_BACKOFF, 0);
        self.careful = self.careful.take().and_then(|careful| careful.relaxed(self.settings.commit.records));
        Ok(())
    }

    /// Aborts the transaction, if there is one.
    fn abandon(&mut self) -> Result<(), SinkError> {
        if self.transaction.is_open() {
            self.observer.transaction_aborting("what is in it can't be committed any more");
            self.tracer = None;
            self.observer.activity_changed(Activity::Recovering);
            self.sink.abort()?;
        }
        Ok(())
    }

    /// What was fetched and is not committed will come again.
    fn go_back(&mut self) -> Result<(), SinkError> {
        if !self.transaction.first().is_empty() {
            self.source.rewind(self.transaction.first())?;
        }
        self.forget();
        Ok(())
    }

    /// Forgets what was fetched and is not committed.
    fn forget(&mut self) {
        self.observer.work_discarded();
        self.transaction = Transaction::default();
        self.held.take();
        self.judged = self.batch.len();
        self.breaker.rewound();
    }

    /// Keeps what failed for the next step, which recovers from it.
    fn begin_recovery(&mut self, trouble: SinkError) -> Result<StepOutcome, Halt> {
        // Each attempt counts by itself: an outage makes many of them.
        self.observer.activity_changed(Activity::Recovering);
        let outcome = match &trouble {
            SinkError::Retriable(error) => {
                tracing::warn!(error = format!("{error:#}"), "rewinding to the last committed offsets");
                let wait = self.backoff;
                self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
                StepOutcome::Backoff(wait)
            }
            SinkError::RecordsRejected(_) | SinkError::Fatal(_) => StepOutcome::Continue,
        };
        match trouble {
            SinkError::Fatal(halt) => Err(halt),
            trouble => {
                self.trouble = Some(trouble);
                Ok(outcome)
            }
        }
    }

    /// Brings everything back to the last commit, so that the loop can go on from there.
    fn recover(&mut self, trouble: SinkError) -> Result<StepOutcome, Halt> {
        let is_rejected = match &trouble {
            SinkError::RecordsRejected(rejections) => {
                self.note_rejections(rejections)?;
                true
            }
            SinkError::Retriable(_) | SinkError::Fatal(_) => false,
        };
        self.observer.transaction_aborting("it failed, and is done again");
        self.tracer = None;
        match self.abort_and_rewind() {
            Ok(()) => {
                self.observer.source_rewound();
                self.forget();
                self.versions.rewound(&self.source.places());
                if is_rejected {
                    self.refresh_limits(REJECTED_LIMITS_AGE);
                }
                Ok(StepOutcome::Continue)
            }
            Err(SinkError::Retriable(reason)) if self.shutdown.requested() => {
                tracing::warn!(
                    reason = format!("{reason:#}"),
                    "not everything could be undone; the next start goes on from the last commit"
                );
                // There is nothing left that the last commit may take along.
                self.forget();
                Ok(StepOutcome::Continue)
            }
            Err(trouble) => self.begin_recovery(trouble),
        }
    }

    fn abort_and_rewind(&mut self) -> Result<(), SinkError> {
        self.sink.abort()?;
        self.observer.transaction_aborted();
        let rewound = self.source.rewind(self.transaction.first()).map_err(SinkError::from);
        if let Err(SinkError::Retriable(_)) = rewound {
            // Nothing is open, so partitions may go; and what waits to go may be what can't be gone back on.
            self.settle_waiting()?;
        }
        rewound
    }

    /// Carries out a rebalance that waits.
    fn settle_waiting(&mut self) -> Result<(), SinkError> {
        match self.source.attend(Duration::ZERO)? {
            Fetched::Revoked { .. } => self.observer.partitions_revoked(),
            Fetched::Assigned => {}
            _ => return Ok(()),
        }
        self.settle_rebalance()
    }
}
