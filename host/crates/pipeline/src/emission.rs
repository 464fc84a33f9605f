//! Carries out verdicts: each record is skipped, produced or becomes a dead letter.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Instant;

use chrono::{DateTime, Utc};

use crate::contracts::{Outgoing, Sink};
use crate::emitter::Emitter;
use crate::error::SinkError;
use crate::ledger::Ledger;
use crate::observer::{FailedRecord, Observer};
use crate::provenance::Provenance;
use crate::rules::{Exceeded, GuestHealth, LIMITS_AGE, Progress, Rules};
use crate::settings::BreakerRecords;
use crate::version_slot::VersionSlot;
use mapper_core::decision::{Decision, RouteIndex, decide};
use mapper_core::record::{Batch, Header, Record};
use mapper_core::trace_context::{Traceparent, carried, through};
use mapper_core::verdict::{Failure, FailureKind, Output, Part, Verdict, Verdicts};

/// Why not all verdicts are carried out.
enum Interruption {
    Failed(SinkError),
    /// Too many of the last records failed.
    Exceeded(Exceeded),
}

impl From<SinkError> for Interruption {
    fn from(error: SinkError) -> Self {
        Self::Failed(error)
    }
}

impl Interruption {
    fn into_progress(self) -> Result<Progress, SinkError> {
        match self {
            Self::Failed(error) => Err(error),
            Self::Exceeded(exceeded) => Ok(Progress::ErrorRatioExceeded(exceeded)),
        }
    }
}

/// Verdicts that are being carried out, and what that changes.
pub(crate) struct Emission<'d, K, V> {
    pub(crate) emitter: &'d mut Emitter<K>,
    pub(crate) rules: &'d mut Rules,
    pub(crate) versions: &'d mut V,
    pub(crate) observer: &'d mut dyn Observer,
    /// When the call began.
    pub(crate) started: Instant,
    pub(crate) now: Instant,
}

impl<K: Sink, V: VersionSlot> Emission<'_, K, V> {
    /// Carries out the verdicts on the records of a batch from `first` on, which came at this time of day.
    pub(crate) fn carry_out(
        &mut self,
        batch: &Batch,
        first: usize,
        verdicts: &Verdicts,
        time: DateTime<Utc>,
    ) -> Result<Progress, SinkError> {
        self.emitter.now = time;
        self.emitter.dead_letters.set_time(time);
        let mut failed = Vec::new();
        let progress = self.carry_out_parts(batch, first, verdicts, &mut failed);
        self.report(&failed);
        progress.or_else(Interruption::into_progress)
    }

    /// Makes dead letters of the pending failures. Returns progress if nothing may follow.
    pub(crate) fn flush(&mut self) -> Result<Option<Progress>, SinkError> {
        match self.flush_pending() {
            Ok(()) => Ok(None),
            Err(interruption) => interruption.into_progress().map(Some),
        }
    }

    fn report(&mut self, failed: &[FailedRecord<'_>]) {
        if !failed.is_empty() {
            self.observer.records_failed(failed, self.emitter.now);
        }
    }

    fn carry_out_parts<'a>(
        &mut self,
        batch: &'a Batch,
        first: usize,
        verdicts: &'a Verdicts,
        failed: &mut Vec<FailedRecord<'a>>,
    ) -> Result<Progress, Interruption> {
        let mut at = first;
        for part in verdicts.parts() {
            let failure = match part {
                Part::Columns(columns) if columns.statuses.is_empty() => continue,
                Part::Columns(columns) => {
                    self.on_healthy()?;
                    let records = at..at + columns.statuses.len();
                    self.enter(batch, records.clone())?;
                    for (index, verdict) in records.zip(columns.verdicts()) {
                        self.settle(batch.record(index), verdict, true, failed)?;
                    }
                    at += columns.statuses.len();
                    continue;
                }
                Part::Failed(failure) => failure,
            };
            let health = GuestHealth::of(failure.kind);
            let is_faulty = health == Some(GuestHealth::Faulty);
            if is_faulty && self.versions.is_withdrawn_by(failure.kind) {
                return Ok(Progress::Judged(at));
            }
            match health {
                Some(GuestHealth::Faulty) if self.rules.breaker.is_open() => {
                    return Ok(Progress::ProbeFailed(failure.kind));
                }
                Some(GuestHealth::Faulty) => {}
                Some(GuestHealth::Healthy) => self.on_healthy()?,
                None => self.flush_pending()?,
            }
            let trips = is_faulty && self.rules.breaker.judged(GuestHealth::Faulty);
            if is_faulty && self.emitter.breaker_records == BreakerRecords::Hold {
                self.rules.pending.push(batch.slice(at..at + 1), failure.clone(), self.started);
                self.versions.record_judged(Some(failure.kind));
            } else {
                self.enter(batch, at..at + 1)?;
                self.settle(batch.record(at), Verdict::Failed(borrowed(failure)), true, failed)?;
            }
            at += 1;
            // Pending failures are bounded like a transaction, of which they may become a part.
            if trips || self.rules.pending.bytes() >= self.emitter.commit.bytes {
                let last_failure = format!("{}: {}", failure.kind, failure.message);
                return Ok(Progress::BreakerTripped { judged: at, last_failure });
            }
        }
        Ok(Progress::Judged(at))
    }

    /// The guest returned from its call: what failed before is for the dead letters.
    fn on_healthy(&mut self) -> Result<(), Interruption> {
        self.rules.breaker.judged(GuestHealth::Healthy);
        if self.rules.breaker.is_open() && self.rules.breaker.close() {
            self.observer.breaker_closed("a probe succeeded");
        }
        self.flush_pending()
    }

    fn flush_pending(&mut self) -> Result<(), Interruption> {
        if self.rules.pending.is_empty() {
            return Ok(());
        }
        let pending = self.rules.pending.take();
        let mut failed = Vec::with_capacity(pending.len());
        let flushed = pending.iter().try_for_each(|(record, failure)| {
            self.started = self.now;
            self.enter(record, 0..1)?;
            // The versions know of it since it was judged.
            self.settle(record.record(0), Verdict::Failed(borrowed(failure)), false, &mut failed)
        });
        self.report(&failed);
        flushed
    }

    /// Takes records into the transaction, which begins with the first.
    fn enter(&mut self, batch: &Batch, records: Range<usize>) -> Result<(), SinkError> {
        let was_open = self.rules.transaction.is_open();
        self.rules.transaction.add(batch, records, self.started);
        if !was_open {
            self.emitter.begin()?;
            self.observer.transaction_begun();
        }
        Ok(())
    }

    /// Does with one record what its verdict calls for. `is_new` if the versions have not heard of the verdict yet.
    fn settle<'a>(
        &mut self,
        record: Record<'a>,
        verdict: Verdict<'a>,
        is_new: bool,
        failed: &mut Vec<FailedRecord<'a>>,
    ) -> Result<(), Interruption> {
        let rejected = self.rules.rejections.get(record.position());
        let form = rejected.map(|rejected| rejected.form).unwrap_or_default();
        let reason = rejected.and_then(|rejected| rejected.reason.as_ref());
        let verdict = match (verdict, reason) {
            (Verdict::Mapped(_), Some(reason)) => {
                Verdict::Failed(Failure::new(FailureKind::Undeliverable, reason.clone()))
            }
            (verdict, _) => verdict,
        };
        let decision = self.decide(record, verdict);
        let counts = &mut self.rules.transaction.counts;
        counts.records_in += 1;
        let emitter = &mut *self.emitter;
        let mut ledger = emitter.ledger.as_mut();
        if let Some(ledger) = &mut ledger {
            ledger.count_record(record.position());
        }
        let ours = emitter.tracer.as_mut().and_then(|tracer| tracer.trace(record, decision.failure()));
        if is_new {
            self.versions.record_judged(decision.failure());
        }
        self.versions.record_decided(record, &decision);
        let marks = Marks { ours: ours.as_ref(), provenance: emitter.provenance.as_ref() };
        match decision {
            Decision::Skip => {
                counts.skipped += 1;
                ledger.into_iter().for_each(Ledger::count_skipped);
            }
            Decision::ProduceOne(route, output) => {
                counts.records_out += 1;
                ledger.into_iter().for_each(|ledger| ledger.count_output(route));
                send_output(&mut emitter.sink, route, record, (0, output), marks)?;
            }
            Decision::Produce(outputs) => {
                for (number, (route, output)) in outputs.into_iter().enumerate() {
                    counts.records_out += 1;
                    ledger.iter_mut().for_each(|ledger| ledger.count_output(route));
                    send_output(&mut emitter.sink, route, record, (number, output), marks)?;
                }
            }
            Decision::DeadLetter(failure) => {
                counts.dead_letter(failure.kind);
                ledger.into_iter().for_each(|ledger| ledger.count_dead_letter(failure.kind));
                let (input, route) = (record.position(), emitter.routes.dead_letter_index());
                let letter = emitter.dead_letters.write(record, &failure, form);
                let fingerprint = letter.fingerprint().to_owned();
                let (key, value, timestamp_ms) = (letter.key, Some(letter.value), letter.timestamp_ms);
                let outgoing = Outgoing { input, route, key, value, timestamp_ms };
                let sent = emitter.sink.send(outgoing, &mut letter.headers());
                let ratio = emitter.error_ratio.as_mut().filter(|_| sent.is_ok());
                let exceeded = ratio.and_then(|ratio| ratio.failed(&failure, &fingerprint));
                failed.push(FailedRecord { record, failure, fingerprint });
                sent?;
                return exceeded.map_or(Ok(()), |exceeded| Err(Interruption::Exceeded(exceeded)));
            }
        }
        if let Some(ratio) = &mut emitter.error_ratio {
            ratio.succeeded();
        }
        Ok(())
    }

    /// What to do with a record. Before it becomes a dead letter for what a topic is known to take, that is read again.
    fn decide<'a>(&mut self, record: Record<'a>, verdict: Verdict<'a>) -> Decision<'a> {
        let now_ms = self.emitter.now.timestamp_millis();
        let mapped = if let Verdict::Mapped(outputs) = &verdict { Some(outputs.clone()) } else { None };
        let decision = decide(record, verdict, &self.emitter.routes, now_ms);
        let is_for_limits = matches!(decision.failure(), Some(FailureKind::Oversize | FailureKind::Undeliverable));
        match mapped {
            Some(outputs) if is_for_limits && self.emitter.refresh_limits(self.now, LIMITS_AGE) => {
                decide(record, Verdict::Mapped(outputs), &self.emitter.routes, now_ms)
            }
            _ => decision,
        }
    }
}

/// The same failure, without a copy of its texts.
fn borrowed<'a>(failure: &'a Failure<'_>) -> Failure<'a> {
    Failure { kind: failure.kind, message: Cow::Borrowed(&failure.message), details: Cow::Borrowed(&failure.details) }
}

/// What the host adds to the headers of an output.
#[derive(Clone, Copy)]
struct Marks<'a> {
    /// The span of the host between the input and the output.
    ours: Option<&'a Traceparent>,
    /// The version that made the output.
    provenance: Option<&'a Provenance>,
}

fn send_output<K: Sink>(
    sink: &mut K,
    route: RouteIndex,
    input: Record<'_>,
    (number, output): (usize, Output<'_>),
    Marks { ours, provenance }: Marks<'_>,
) -> Result<(), SinkError> {
    let provenance = provenance.map(|provenance| (provenance, Provenance::input(input, number)));
    let provenance = provenance.as_ref();
    let (key, value, timestamp_ms) = (output.key(input), output.value(input), output.timestamp_ms(input));
    let outgoing = Outgoing { input: input.position(), route, key, value, timestamp_ms };
    match output.own_headers() {
        Some(headers) => {
            let carried = carried(input, &mut headers.clone()).map(|header| through(header, ours));
            send_with(sink, outgoing, headers.chain(carried), provenance)
        }
        None if ours.is_some() => {
            send_with(sink, outgoing, input.headers().map(|header| through(header, ours)), provenance)
        }
        None => send_with(sink, outgoing, input.headers(), provenance),
    }
}

fn send_with<'h, K: Sink>(
    sink: &mut K,
    outgoing: Outgoing<'_>,
    mut headers: impl Iterator<Item = Header<'h>>,
    provenance: Option<&'h (&'h Provenance, Vec<u8>)>,
) -> Result<(), SinkError> {
    match provenance {
        None => sink.send(outgoing, &mut headers),
        Some((provenance, input)) => sink.send(outgoing, &mut provenance.added_to(input, headers)),
    }
}
