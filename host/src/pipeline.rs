//! The loop: fetch, map, decide, produce, commit; and what is done when any of these fails.
//!
//! It is written against three small contracts, so that the same code runs on fakes, on the embedded broker and on Kafka.

mod breaker;
mod error_ratio;
mod held;
mod idle;
mod pace;
mod process;
mod provenance;
mod rejections;
mod transaction;
mod versions;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use breaker::Breaker;
use error_ratio::ErrorRatio;
use held::Held;
use idle::Idle;
pub use mapper_pipeline::contracts::{
    Fetched, Mapper, Outgoing, Rejection, RejectionCause, STEP, Sink, Source, SourceObserver, Trouble,
};
use pace::Pace;
pub use provenance::PROVENANCE_BYTES;
use provenance::Provenance;
use rejections::{REJECTED_LIMITS_AGE, Rejections};
pub use transaction::CommitPolicy;
use transaction::{Careful, Transaction};

use crate::config::Failures;
use crate::dead_letter::DeadLetters;
use crate::decision::Routes;
use crate::intents::{Intent, Intents};
use crate::record::Batch;
use crate::shutdown::{Halt, Shutdown};
use crate::spans::{Spans, WorkerSpans};
use crate::swap::WorkerSlot;
use crate::swap::sample::Seen;
use crate::telemetry::{Activity, Telemetry, Worker};
use crate::verdict::Verdicts;

/// How long a fetch waits when nothing is due. A rebalance or a shutdown is noticed within this time.
const IDLE_WAIT: Duration = Duration::from_millis(50);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// What a pipeline works by.
pub struct Settings {
    /// The worker's number.
    pub worker: usize,
    /// What makes spans.
    pub spans: Spans,
    /// The topics.
    pub routes: Arc<Routes>,
    /// When to commit.
    pub commit: CommitPolicy,
    /// The most records of a batch.
    pub batch_records: usize,
    /// Whether outputs say which version made them.
    pub provenance: bool,
    /// What is done about failures.
    pub failures: Failures,
    /// Where it is written down what the mapper is given.
    pub intents: Arc<Intents>,
    /// Whether it ends at the end of the input, so that nobody is there to mend anything.
    pub ends_by_itself: bool,
}

/// One worker's loop.
pub struct Pipeline<S, M, K> {
    source: S,
    mapper: M,
    versions: WorkerSlot<M>,
    provenance: Option<Provenance>,
    /// What was judged and is still to be told.
    seen: Seen,
    sink: K,
    settings: Settings,
    dead_letters: DeadLetters,
    telemetry: Arc<Telemetry>,
    worker: Arc<Worker>,
    spans: WorkerSpans,
    shutdown: Shutdown,
    batch: Batch,
    /// How many records of the batch are judged.
    judged: usize,
    verdicts: Verdicts,
    transaction: Transaction,
    breaker: Breaker,
    held: Held,
    intent: Intent,
    error_ratio: Option<ErrorRatio>,
    /// When the last verdicts came.
    now: DateTime<Utc>,
    idle: Idle,
    pace: Pace,
    careful: Option<Careful>,
    /// Times that it had to go back since the last commit.
    setbacks: u32,
    rejections: Rejections,
    /// When it was last read what topics take.
    limits_read: Option<Instant>,
    backoff: Duration,
}

impl<S: Source, M: Mapper, K: Sink> Pipeline<S, M, K> {
    /// A pipeline that reads this topic.
    pub fn new(
        (source, mapper, sink): (S, M, K),
        versions: WorkerSlot<M>,
        topic: &Arc<str>,
        settings: Settings,
        dead_letters: DeadLetters,
        telemetry: Arc<Telemetry>,
        shutdown: Shutdown,
    ) -> Self {
        let failures = &settings.failures;
        Self {
            source,
            mapper,
            provenance: settings.provenance.then(|| Provenance::of(versions.speaker())),
            versions,
            seen: Seen::default(),
            sink,
            worker: telemetry.workers.worker(settings.worker),
            spans: settings.spans.of_worker(settings.worker),
            dead_letters,
            telemetry,
            shutdown,
            batch: Batch::new(topic.clone()),
            judged: 0,
            verdicts: Verdicts::default(),
            transaction: Transaction::default(),
            breaker: Breaker::new(failures.breaker_after, failures.breaker_retry),
            held: Held::default(),
            intent: Intent::of(settings.intents.clone(), settings.worker),
            error_ratio: failures.halt_on_error_ratio.map(|limit| ErrorRatio::new(limit, failures.error_ratio_window)),
            settings,
            now: DateTime::UNIX_EPOCH,
            idle: Idle::default(),
            pace: Pace::default(),
            careful: None,
            setbacks: 0,
            rejections: Rejections::default(),
            limits_read: Some(Instant::now()),
            backoff: FIRST_BACKOFF,
        }
    }

    /// Takes the pipeline apart again.
    pub fn into_parts(self) -> (S, M, K) {
        (self.source, self.mapper, self.sink)
    }

    /// Works until a shutdown, or until the source is finished; then commits what is done.
    ///
    /// # Errors
    /// Why it had to stop; everything up to the last commit is done, nothing beyond it.
    pub fn run(&mut self) -> Result<(), Halt> {
        while !self.shutdown.requested() {
            let done = self.step();
            match done {
                Ok(false) => {}
                Ok(true) => return Ok(()),
                Err(trouble) => self.recover(trouble)?,
            }
        }
        // A failure to commit is no loss here: the records are there for the next run.
        match self.commit() {
            Ok(()) => Ok(()),
            Err(Trouble::Halt(halt)) => Err(halt),
            Err(trouble @ (Trouble::Again(_) | Trouble::RecordsRejected(_))) => {
                tracing::warn!(
                    ?trouble,
                    "the last transaction could not be committed; its records are done again later"
                );
                self.sink.abort().or_else(|trouble| if let Trouble::Halt(halt) = trouble { Err(halt) } else { Ok(()) })
            }
        }
    }

    /// One round. Tells whether all is done.
    fn step(&mut self) -> Result<bool, Trouble> {
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
                if ends.is_some() || self.held.is_due(Instant::now()) {
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
                self.telemetry.rebalanced();
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
        if full || self.transaction.due_in(&self.settings.commit, Instant::now()).is_some_and(|due| due.is_zero()) {
            self.commit()?;
        }
        Ok(false)
    }

    /// What is to be done next: records that are left of the batch, or else what comes. While the breaker is open nothing is
    /// fetched until its mapper is to be tried; but the group is answered.
    fn next(&mut self) -> Result<Fetched, Trouble> {
        self.worker.does(Activity::Fetching);
        if self.versions.is_withdrawn() {
            return self.source.attend(IDLE_WAIT);
        }
        let now = Instant::now();
        if let Some(wait) = self.breaker.wait(now).filter(|wait| !wait.is_zero()) {
            return self.source.attend(wait.min(IDLE_WAIT));
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
            tracing::trace!(target: STEP, worker = self.settings.worker, records = self.batch.len(), "fetched");
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

    fn commit(&mut self) -> Result<(), Trouble> {
        if self.transaction.is_empty() {
            return Ok(());
        }
        if self.versions.is_withdrawn() && !self.versions.is_seen_at_once() {
            return self.abort_withdrawn();
        }
        if !self.transaction.is_open() {
            self.sink.begin()?;
        }
        let started = Instant::now();
        self.worker.does(Activity::Committing);
        self.versions.committing(self.transaction.next());
        self.sink.commit(self.transaction.next())?;
        self.versions.committed(self.transaction.next(), &self.transaction.counts);
        tracing::trace!(target: STEP, worker = self.settings.worker, records = self.transaction.records(), "committed");
        let took = started.elapsed();
        self.telemetry.committed(&self.transaction.counts, took);
        self.spans.committed(self.transaction.records(), took);
        self.telemetry.committed_failures(std::mem::take(&mut self.transaction.failures));
        self.worker.committed(self.transaction.next());
        self.intent.committed(self.transaction.next());
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
    fn abandon(&mut self) -> Result<(), Trouble> {
        if self.transaction.is_open() {
            self.telemetry.aborted();
            self.spans.aborted("what is in it can't be committed any more");
            self.worker.does(Activity::Recovering);
            self.sink.abort()?;
        }
        Ok(())
    }

    /// What was fetched and is not committed will come again.
    fn go_back(&mut self) -> Result<(), Trouble> {
        if !self.transaction.first().is_empty() {
            self.source.rewind(self.transaction.first())?;
        }
        self.forget();
        Ok(())
    }

    /// Forgets what was fetched and is not committed.
    fn forget(&mut self) {
        self.transaction = Transaction::default();
        self.held.take();
        self.judged = self.batch.len();
        self.breaker.rewound();
    }

    /// Brings everything back to the last commit, so that the loop can go on from there.
    fn recover(&mut self, trouble: Trouble) -> Result<(), Halt> {
        let mut trouble = trouble;
        if matches!(trouble, Trouble::Again(_)) {
            self.setbacks += 1;
            // Once is an outage. Twice it may be the transaction: that it takes longer than it may, for what is slow in it.
            if self.setbacks > 1 && self.transaction.records() > 1 {
                self.careful = Some(Careful::below(self.transaction.records()));
            }
        }
        loop {
            // Each attempt counts by itself: an outage makes many of them.
            self.worker.does(Activity::Recovering);
            match trouble {
                Trouble::Halt(halt) => return Err(halt),
                Trouble::Again(ref reason) => {
                    tracing::warn!(reason, "going back to the last commit");
                    self.shutdown.sleep(self.backoff);
                    self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
                }
                Trouble::RecordsRejected(ref rejections) => self.note_rejections(rejections)?,
            }
            let is_rejected = matches!(trouble, Trouble::RecordsRejected(_));
            self.telemetry.aborted();
            self.spans.aborted("it failed, and is done again");
            let firsts = self.transaction.first().clone();
            let worker = self.settings.worker;
            let recovered = self.sink.abort().and_then(|()| {
                tracing::trace!(target: STEP, worker, "aborted");
                self.source.rewind(&firsts).or_else(|trouble| {
                    // Nothing is open, so partitions may go; and what waits to go may be what can't be gone back on.
                    if let Trouble::Again(_) = trouble {
                        self.settle_waiting()?;
                    }
                    Err(trouble)
                })
            });
            match recovered {
                Ok(()) => {
                    tracing::trace!(target: STEP, worker, "rewound");
                    self.forget();
                    self.versions.rewound(&self.source.places());
                    if is_rejected {
                        self.refresh_limits(REJECTED_LIMITS_AGE);
                    }
                    return Ok(());
                }
                Err(Trouble::Again(reason)) if self.shutdown.requested() => {
                    tracing::warn!(
                        reason,
                        "not everything could be undone; the next start goes on from the last commit"
                    );
                    // There is nothing left that the last commit may take along.
                    self.forget();
                    return Ok(());
                }
                Err(again) => trouble = again,
            }
        }
    }

    /// Carries out a rebalance that waits.
    fn settle_waiting(&mut self) -> Result<(), Trouble> {
        match self.source.attend(Duration::ZERO)? {
            Fetched::Revoked { .. } => self.telemetry.rebalanced(),
            Fetched::Assigned => {}
            _ => return Ok(()),
        }
        self.settle_rebalance()
    }
}

#[cfg(test)]
mod tests;
