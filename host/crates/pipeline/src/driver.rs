//! Does what the rules call for: one blocking call after the other.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::activity::Activity;
use crate::clock::Clock;
use crate::contracts::{Fetched, Mapper, Sink, Source, Unavailable};
use crate::emission::Emission;
use crate::emitter::Emitter;
use crate::error::SinkError;
use crate::observer::{CommittedTransaction, Observer};
use crate::rules::{AbortReason, Action, Facts, Progress, REJECTED_LIMITS_AGE, Reaction, Rules};
use crate::settings::Settings;
use crate::version_slot::VersionSlot;
use mapper_core::dead_letter::DeadLetters;
use mapper_core::in_flight::{Admission, InFlightMarker};
use mapper_core::record::{Batch, SourcePositions};
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_core::verdict::{Failure, FailureKind, Verdicts};

/// What a pipeline is made of.
pub struct Parts<S, K, V: VersionSlot> {
    /// The input topics.
    pub source: S,
    /// The mapper to begin with.
    pub mapper: V::Mapper,
    /// Where outputs, dead letters and offsets go.
    pub sink: K,
    /// Where other versions of the mapper come from.
    pub versions: V,
    /// Marks the records that the mapper has.
    pub in_flight: Box<dyn InFlightMarker>,
    /// Metrics, spans and logs.
    pub observer: Box<dyn Observer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Writes dead letters.
    pub dead_letters: DeadLetters,
    /// The request to end.
    pub shutdown: Shutdown,
}

/// What to do after a step.
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
pub struct Driver<S, K, V: VersionSlot> {
    worker: usize,
    source: S,
    mapper: V::Mapper,
    versions: V,
    in_flight: Box<dyn InFlightMarker>,
    observer: Box<dyn Observer>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    rules: Rules,
    emitter: Emitter<K>,
    batch: Batch,
    verdicts: Verdicts,
}

impl<S: Source, K: Sink, V: VersionSlot<Mapper: Mapper>> Driver<S, K, V> {
    /// A driver of these parts.
    pub fn new(parts: Parts<S, K, V>, settings: &Settings) -> Self {
        let Parts { source, mapper, sink, versions, in_flight, observer, clock, dead_letters, shutdown } = parts;
        Self {
            worker: settings.worker,
            rules: Rules::new(settings),
            emitter: Emitter::new(sink, dead_letters, versions.active(), settings, clock.now()),
            source,
            mapper,
            versions,
            in_flight,
            observer,
            clock,
            shutdown,
            batch: Batch::new(settings.topic.clone()),
            verdicts: Verdicts::default(),
        }
    }

    /// Takes the driver apart again.
    pub fn into_parts(self) -> (S, V::Mapper, K) {
        (self.source, self.mapper, self.emitter.sink)
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

    /// Takes one step, with one effect: a fetch, a call of the mapper with its verdicts carried out, a commit, an abort, a rewind.
    ///
    /// # Errors
    /// Why it had to stop; everything up to the last commit is done, nothing beyond it.
    pub fn step(&mut self) -> Result<StepOutcome, Halt> {
        let done = match self.rules.next(&self.facts()) {
            Ok(Action::Finish) => return Ok(StepOutcome::Finished),
            Ok(Action::Backoff(wait)) => return Ok(StepOutcome::Backoff(wait)),
            Ok(Action::Halt(halt)) => return Err(halt),
            Ok(action) => self.execute(action),
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            self.fail(error)?;
        }
        Ok(StepOutcome::Continue)
    }

    fn facts(&self) -> Facts {
        Facts {
            now: self.clock.now(),
            is_shutdown_requested: self.shutdown.requested(),
            is_version_due: self.versions.is_due(),
            is_withdrawn: self.versions.is_withdrawn(),
            is_on_probation: self.versions.is_on_probation(),
            is_visible_at_once: self.versions.is_visible_at_once(),
        }
    }

    fn execute(&mut self, action: Action) -> Result<(), SinkError> {
        match action {
            Action::TakeVersion => self.take_version(),
            Action::Fetch { most, wait } => self.fetch(most, wait)?,
            Action::Attend(wait) => {
                self.observer.activity_changed(Activity::Fetching);
                let fetched = self.source.attend(wait)?;
                self.receive(fetched);
            }
            Action::Settle => {
                self.source.settle()?;
                // Of partitions that are gone, the active version has mapped its last record.
                self.versions.assigned(&self.source.positions());
            }
            Action::CheckFinished => {
                let ends = self.source.finished();
                self.rules.finished(ends, &self.facts());
            }
            Action::BeginBatch => {
                // Before anything can fail: a rewind begins with the first records of the transaction.
                let rest = self.rules.rest();
                self.rules.transaction.reach(&self.batch, rest);
                self.versions.began(self.rules.transaction.first());
            }
            Action::Judge(records) => self.judge(records)?,
            Action::FlushPending => self.flush_pending()?,
            Action::Commit => self.commit()?,
            Action::CheckEnds => {
                let ends = self.source.uncommitted_ends();
                self.rules.ends_found(ends);
            }
            Action::Abort(reason) => self.abort(reason)?,
            Action::Rewind => {
                self.source.rewind(self.rules.transaction.first())?;
                self.observer.source_rewound();
            }
            Action::Discard => {
                self.observer.work_discarded();
                self.rules.discarded();
            }
            Action::RewindHistory => self.versions.rewound(&self.source.positions()),
            Action::EndHistory => self.versions.assigned(&SourcePositions::new()),
            Action::NoteRejections(rejections) => {
                self.emitter.note_rejections(&mut self.rules, &self.batch.topics, &rejections)?
            }
            Action::RefreshLimits => {
                self.emitter.refresh_limits(self.clock.now(), REJECTED_LIMITS_AGE);
            }
            Action::OpenBreaker(reason) => self.observer.breaker_opened(&reason),
            Action::Backoff(_) | Action::Finish | Action::Halt(_) => {}
        }
        Ok(())
    }

    fn fetch(&mut self, most: usize, wait: Duration) -> Result<(), SinkError> {
        self.observer.activity_changed(Activity::Fetching);
        let fetched = self.source.fetch(&mut self.batch, most, wait);
        self.rules.batch_filled(self.batch.len());
        let fetched = fetched?;
        if fetched == Fetched::Records {
            self.observer.batch_fetched(self.batch.len());
        }
        self.receive(fetched);
        Ok(())
    }

    fn receive(&mut self, fetched: Fetched) {
        if let Fetched::Revoked { .. } = fetched {
            self.observer.partitions_revoked();
        }
        self.rules.received(fetched, &self.facts());
    }

    /// Exchanges the mapper. What is pending is for the new one to judge, and what was faulty may be repaired.
    fn take_version(&mut self) {
        let mut positions = self.source.positions();
        // Of these the source is further already. Backwards, so that the first of each partition is what stays.
        for index in self.rules.rest().rev() {
            positions.insert(self.batch.partitions[index], Some(self.batch.offsets[index]));
        }
        let Some(active) = self.versions.take(&mut self.mapper, positions) else { return };
        self.emitter.set_version(active);
        if self.rules.version_taken() {
            self.observer.breaker_closed("there is a new plugin");
        }
    }

    /// Has some records judged, and carries out the verdicts; or waits for what the mapper lacks.
    fn judge(&mut self, records: Range<usize>) -> Result<(), SinkError> {
        self.observer.activity_changed(Activity::Preparing);
        if let Err(Unavailable { reason }) = self.mapper.prepare(&self.batch, records.clone()) {
            let wait = self.rules.mapper_unavailable(self.clock.now());
            self.observer.mapper_unavailable(&reason, wait);
            return Ok(());
        }
        if self.rules.mapper_available() {
            self.observer.mapper_available();
        }
        let started = self.clock.now();
        self.verdicts.clear();
        let first = records.start;
        match self.in_flight.admit(&self.batch, records) {
            Admission::Quarantined { crashes } => self.verdicts.push_failure(host_crash(crashes)),
            Admission::Mapped(count) => self.call_mapper(first..first + count, started),
        }
        let (time, now) = (self.clock.wall_time(), self.clock.now());
        let mut emission = Emission {
            emitter: &mut self.emitter,
            rules: &mut self.rules,
            versions: &mut self.versions,
            observer: &mut *self.observer,
            started,
            now,
        };
        let progress = emission.carry_out(&self.batch, first, &self.verdicts, time);
        if progress.is_ok() {
            self.observer.batch_produced();
        }
        let goes_on = progress.map(|progress| self.progress(first, progress));
        if !matches!(goes_on, Ok(true)) {
            self.versions.batch_judged();
        }
        goes_on.map(drop)
    }

    fn progress(&mut self, first: usize, progress: Progress) -> bool {
        match &progress {
            Progress::Judged(judged) | Progress::BreakerTripped { judged, .. } => {
                self.versions.offer_to_shadow(&self.batch, first..*judged, &mut self.verdicts);
            }
            Progress::ProbeFailed(kind) => {
                let wait = self.rules.breaker.probe_failed(self.clock.now());
                self.observer.breaker_probe_failed(*kind, wait);
            }
            Progress::ErrorRatioExceeded(_) => {}
        }
        self.rules.progressed(progress, &self.facts())
    }

    fn call_mapper(&mut self, records: Range<usize>, started: Instant) {
        self.observer.activity_changed(Activity::Mapping);
        self.in_flight.mark(&self.batch, records.clone());
        self.mapper.map_until_failure(&self.batch, records.clone(), &mut self.verdicts);
        self.in_flight.unmark(&self.batch, records.clone());
        let judged = self.verdicts.len();
        assert!((1..=records.len()).contains(&judged), "a mapper gives a verdict on each record up to a failure");
        let took = self.clock.now().saturating_duration_since(started);
        self.rules.mapped(judged, took);
        self.observer.batch_mapped(judged, took);
        self.emitter.tracer = self.observer.record_tracer();
        self.observer.activity_changed(Activity::Producing);
    }

    fn flush_pending(&mut self) -> Result<(), SinkError> {
        let now = self.clock.now();
        let mut emission = Emission {
            emitter: &mut self.emitter,
            rules: &mut self.rules,
            versions: &mut self.versions,
            observer: &mut *self.observer,
            started: now,
            now,
        };
        if let Some(progress) = emission.flush()? {
            self.rules.progressed(progress, &self.facts());
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), SinkError> {
        if !self.rules.transaction.is_open() {
            self.emitter.begin()?;
        }
        let started = self.clock.now();
        self.observer.activity_changed(Activity::Committing);
        let transaction = &self.rules.transaction;
        self.emitter.send_ledger(&self.batch.topics, transaction.next(), &self.source)?;
        self.versions.committing(transaction.next());
        self.emitter.sink.commit(transaction.next())?;
        self.versions.committed(transaction.next(), &transaction.counts);
        self.observer.transaction_committed(CommittedTransaction {
            records: transaction.records(),
            next: transaction.next(),
            counts: &transaction.counts,
            took: self.clock.now().saturating_duration_since(started),
        });
        self.emitter.tracer = None;
        self.in_flight.committed(transaction.next());
        self.rules.committed(&self.batch);
        Ok(())
    }

    fn abort(&mut self, reason: AbortReason) -> Result<(), SinkError> {
        let records = self.rules.transaction.records();
        self.observer.activity_changed(Activity::Recovering);
        self.observer.transaction_aborting(reason.text());
        self.emitter.tracer = None;
        self.emitter.sink.abort()?;
        self.observer.transaction_aborted();
        if reason == AbortReason::VersionWithdrawn {
            tracing::info!(
                worker = self.worker,
                records,
                "aborted the transaction of a version that is rolled back; its records are mapped again"
            );
        }
        Ok(())
    }

    fn fail(&mut self, error: SinkError) -> Result<(), Halt> {
        let text = error.to_string();
        self.observer.activity_changed(Activity::Recovering);
        match self.rules.failed(error, &self.facts())? {
            Reaction::Recovery => tracing::warn!(error = text, "rewinding to the last committed offsets"),
            Reaction::Rejection | Reaction::Postponement => {}
            Reaction::Abandonment => {
                tracing::warn!(
                    error = text,
                    "could not rewind; the next start goes on from the last committed offsets"
                );
            }
            Reaction::FinalAbort => {
                tracing::warn!(
                    error = text,
                    "could not commit the last transaction; its records are mapped again later"
                );
            }
        }
        Ok(())
    }
}

fn host_crash(crashes: u32) -> Failure<'static> {
    let message = format!(
        "the host died {crashes} times while the mapper had this record alone; it was not given to the mapper again \
         (--poison-after)"
    );
    Failure::new(FailureKind::HostCrash, message)
}
