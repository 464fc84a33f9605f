//! What is done with the records of a batch: they are judged, and each verdict is carried out.

use std::borrow::Cow;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::breaker::Sign;
use super::error_ratio::Exceeded;
use super::provenance::Provenance;
use super::rejections::LIMITS_AGE;
use super::{
    Activity, Admission, BreakerRecords, FailedRecord, Mapper, Outgoing, Pipeline, Sink, SinkError, Source, VersionSlot,
};
use mapper_core::decision::{Decision, RouteIndex, decide};
use mapper_core::record::{Batch, Header, Record};
use mapper_core::shutdown::Halt;
use mapper_core::trace_context::{Traceparent, carried, through};
use mapper_core::verdict::{Failure, FailureKind, Output, Part, Verdict, Verdicts};

/// When failures make a batch take longer than this, what is judged of it is seen to before the rest: it may be due, and
/// the group must be answered.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a batch stands.
enum Came {
    /// So many records are judged.
    To(usize),
    /// So many records are judged, and that was one broken call too many.
    ToBreaking(usize),
    /// The record that the mapper was tried with did not pass.
    InVain(FailureKind),
}

impl<S: Source, K: Sink, V: VersionSlot<Mapper: Mapper>> Pipeline<S, K, V> {
    /// Judges what is left of the batch, and carries the verdicts out; or comes as far as it should.
    pub(super) fn process(&mut self) -> Result<(), SinkError> {
        // Taken apart from the rest, which carrying out the verdicts changes.
        let mut batch = Batch::new(self.batch.topic.clone());
        std::mem::swap(&mut batch, &mut self.batch);
        let mut verdicts = std::mem::take(&mut self.verdicts);
        let came = self.work_through(&batch, &mut verdicts);
        self.versions.batch_judged();
        (self.batch, self.verdicts) = (batch, verdicts);
        match came? {
            Came::To(_) => Ok(()),
            Came::ToBreaking(_) => self.open_breaker(),
            Came::InVain(kind) => {
                let wait = self.breaker.tried_in_vain(self.clock.now());
                let wait = humantime::format_duration(wait).to_string();
                tracing::warn!(worker = self.settings.worker, kind = kind.name(), wait, "the breaker stays open");
                Ok(())
            }
        }
    }

    fn work_through(&mut self, batch: &Batch, verdicts: &mut Verdicts) -> Result<Came, SinkError> {
        let began = self.clock.now();
        // Before anything can fail: what is not in the transaction is not gone back to.
        self.transaction.reach(batch, self.judged..batch.len());
        self.versions.began(self.transaction.first());
        loop {
            let started = self.clock.now();
            verdicts.clear();
            // Only what is left of a batch, as after a swap in the middle of it, is more than a transaction may have.
            let left = self.most_records().saturating_sub(self.transaction.records()).max(1);
            let end = batch.len().min(self.judged.saturating_add(left));
            match self.in_flight.admit(batch, self.judged..end) {
                Admission::Quarantined { crashes } => verdicts.push_failure(host_crash(crashes)),
                Admission::Mapped(count) => self.ask(batch, self.judged..self.judged + count, verdicts),
            }
            let mut failed = Vec::new();
            let came = self.carry_out(batch, verdicts, started, &mut failed);
            self.report_failed(&failed);
            let came = came?;
            self.observer.batch_produced();
            if let Came::To(judged) | Came::ToBreaking(judged) = came {
                self.versions.offer_to_shadow(batch, self.judged..judged, verdicts);
                self.judged = judged;
            }
            let is_full = self.transaction.records() >= self.most_records();
            let goes_on = matches!(came, Came::To(judged) if judged < batch.len());
            if !goes_on || is_full || self.versions.is_withdrawn() || self.since(began) >= PATIENCE {
                return Ok(came);
            }
        }
    }

    /// Has the mapper judge some of the records.
    fn ask(&mut self, batch: &Batch, records: Range<usize>, verdicts: &mut Verdicts) {
        let started = self.clock.now();
        let whole = records.len() == batch.len();
        let part = if whole { Cow::Borrowed(batch) } else { Cow::Owned(batch.slice(records)) };
        self.observer.activity_changed(Activity::Mapping);
        self.in_flight.mark(&part, 0..part.len());
        self.mapper.map_until_failure(&part, verdicts);
        self.in_flight.unmark(&part, 0..part.len());
        let judged = verdicts.len();
        assert!((1..=part.len()).contains(&judged), "a mapper gives a verdict on each record up to a failure");
        let took = self.since(started);
        self.pace.took(judged, took);
        self.observer.batch_mapped(judged, took);
        self.tracer = self.observer.record_tracer();
        self.observer.activity_changed(Activity::Producing);
    }

    fn since(&self, start: Instant) -> Duration {
        self.clock.now().saturating_duration_since(start)
    }

    fn report_failed(&mut self, failed: &[FailedRecord<'_>]) {
        if !failed.is_empty() {
            self.observer.records_failed(failed, self.now);
        }
    }

    /// Carries out the verdicts. The records that become dead letters are added to `failed`.
    fn carry_out<'a>(
        &mut self,
        batch: &'a Batch,
        verdicts: &'a Verdicts,
        started: Instant,
        failed: &mut Vec<FailedRecord<'a>>,
    ) -> Result<Came, SinkError> {
        self.now = self.clock.wall_time();
        self.dead_letters.set_time(self.now);
        let mut at = self.judged;
        for part in verdicts.parts() {
            let failure = match part {
                Part::Columns(columns) if columns.statuses.is_empty() => continue,
                Part::Columns(columns) => {
                    self.sound()?;
                    let records = at..at + columns.statuses.len();
                    self.enter(batch, records.clone(), started)?;
                    for (index, verdict) in records.zip(columns.verdicts()) {
                        self.settle(batch.record(index), verdict, true, failed)?;
                    }
                    at += columns.statuses.len();
                    continue;
                }
                Part::Failed(failure) => failure,
            };
            let sign = Sign::of(failure.kind);
            let broken = sign == Some(Sign::Broken);
            if broken && self.versions.is_withdrawn_by(failure.kind) {
                return Ok(Came::To(at));
            }
            match sign {
                Some(Sign::Broken) if self.breaker.is_open() => return Ok(Came::InVain(failure.kind)),
                Some(Sign::Broken) => {}
                Some(Sign::Sound) => self.sound()?,
                None => self.let_go_of_held()?,
            }
            let breaks = broken && self.breaker.judged(Sign::Broken);
            if broken && self.settings.failures.breaker.records == BreakerRecords::Hold {
                self.held.push(batch.slice(at..at + 1), failure.clone(), started);
                self.versions.record_judged(Some(failure.kind));
            } else {
                self.enter(batch, at..at + 1, started)?;
                self.settle(batch.record(at), Verdict::Failed(borrowed(failure)), true, failed)?;
            }
            at += 1;
            // What is held is bounded like a transaction, of which it may become a part.
            if breaks || self.held.bytes() >= self.settings.commit.bytes {
                return Ok(Came::ToBreaking(at));
            }
        }
        Ok(Came::To(at))
    }

    /// The mapper came back from its call: it is not broken, and what failed before is for the dead letters.
    fn sound(&mut self) -> Result<(), SinkError> {
        self.breaker.judged(Sign::Sound);
        if self.breaker.is_open() {
            self.close_breaker("a record passed");
        }
        self.let_go_of_held()
    }

    /// Makes dead letters of what was held back.
    pub(super) fn let_go_of_held(&mut self) -> Result<(), SinkError> {
        if self.held.is_empty() {
            return Ok(());
        }
        let held = self.held.take();
        let mut failed = Vec::with_capacity(held.len());
        let flushed = held.iter().try_for_each(|(record, failure)| {
            self.enter(record, 0..1, self.clock.now())?;
            // The versions know of it since it was judged.
            self.settle(record.record(0), Verdict::Failed(borrowed(failure)), false, &mut failed)
        });
        self.report_failed(&failed);
        flushed
    }

    /// Takes records into the transaction, which begins with the first.
    fn enter(&mut self, batch: &Batch, records: Range<usize>, started: Instant) -> Result<(), SinkError> {
        let begun = self.transaction.is_open();
        self.transaction.add(batch, records, started);
        if !begun {
            self.sink.begin()?;
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
    ) -> Result<(), SinkError> {
        let rejected = self.rejections.get(record.position());
        let form = rejected.map(|rejected| rejected.form).unwrap_or_default();
        let reason = rejected.and_then(|rejected| rejected.reason.as_ref());
        let verdict = match (verdict, reason) {
            (Verdict::Mapped(_), Some(reason)) => {
                Verdict::Failed(Failure::new(FailureKind::Undeliverable, reason.clone()))
            }
            (verdict, _) => verdict,
        };
        let decision = self.decide(record, verdict);
        let counts = &mut self.transaction.counts;
        counts.records_in += 1;
        let ours = self.tracer.as_mut().and_then(|tracer| tracer.trace(record, decision.failure()));
        if is_new {
            self.versions.record_judged(decision.failure());
        }
        self.versions.record_decided(record, &decision);
        match decision {
            Decision::Skip => counts.skipped += 1,
            Decision::ProduceOne(route, output) => {
                counts.records_out += 1;
                send_output(&mut self.sink, route, record, output, (ours.as_ref(), self.provenance.as_ref()))?;
            }
            Decision::Produce(outputs) => {
                for (route, output) in outputs {
                    counts.records_out += 1;
                    send_output(&mut self.sink, route, record, output, (ours.as_ref(), self.provenance.as_ref()))?;
                }
            }
            Decision::DeadLetter(failure) => {
                counts.dead_letter(failure.kind);
                let (input, route) = (record.position(), self.settings.routes.dead_letter_index());
                let letter = self.dead_letters.write(record, &failure, form);
                let fingerprint = letter.fingerprint().to_owned();
                let (key, value, timestamp_ms) = (letter.key, Some(letter.value), letter.timestamp_ms);
                let sent = self.sink.send(Outgoing { input, route, key, value, timestamp_ms }, &mut letter.headers());
                let ratio = self.error_ratio.as_mut().filter(|_| sent.is_ok());
                let exceeded = ratio.and_then(|ratio| ratio.failed(&failure, &fingerprint));
                failed.push(FailedRecord { record, failure, fingerprint });
                sent?;
                return exceeded.map_or(Ok(()), |exceeded| self.halt_on_errors(&exceeded));
            }
        }
        if let Some(ratio) = &mut self.error_ratio {
            ratio.passed();
        }
        Ok(())
    }

    /// What is to be done about a record. Before it becomes a dead letter for what a topic is known to take, that is asked again.
    fn decide<'a>(&mut self, record: Record<'a>, verdict: Verdict<'a>) -> Decision<'a> {
        let now_ms = self.now.timestamp_millis();
        let mapped = if let Verdict::Mapped(outputs) = &verdict { Some(outputs.clone()) } else { None };
        let decision = decide(record, verdict, &self.settings.routes, now_ms);
        let is_for_limits = matches!(decision.failure(), Some(FailureKind::Oversize | FailureKind::Undeliverable));
        match mapped {
            Some(outputs) if is_for_limits && self.refresh_limits(LIMITS_AGE) => {
                decide(record, Verdict::Mapped(outputs), &self.settings.routes, now_ms)
            }
            _ => decision,
        }
    }

    fn halt_on_errors(&mut self, exceeded: &Exceeded) -> Result<(), SinkError> {
        self.abandon()?;
        let Exceeded { failed, of, limit, commonest: (times, words) } = exceeded;
        Err(Halt::failing(format!(
            "{failed} of the last {of} records failed, and {limit} of them are too many (--halt-on-error-ratio, \
             --error-ratio-window). The most common failure, {times} times: {words}. Nothing beyond the last commit is done; \
             mend the plugin or the input, or give another ratio, and start again"
        ))
        .into())
    }

    /// Commits what was judged before, lets the rest go, and leaves the mapper alone.
    fn open_breaker(&mut self) -> Result<(), SinkError> {
        let (run, held) = (self.breaker.run(), self.held.len());
        let last = self.last_words();
        self.commit()?;
        self.go_back()?;
        let fate = if held > 0 { "they come again once it is mended" } else { "they are dead letters" };
        let reason =
            format!("{run} records in a row trapped, timed out or ran out of memory; {fate}. The last: {last}");
        if self.settings.ends_by_itself {
            return Err(Halt::failing(format!(
                "the plugin is broken: {reason}. Nothing beyond them is done; mend the plugin, or give another \
                 --breaker-after, and start again"
            ))
            .into());
        }
        self.breaker.open(self.clock.now());
        self.observer.breaker_opened(&reason);
        Ok(())
    }

    /// The failure that was judged last, in words.
    fn last_words(&self) -> String {
        match self.verdicts.parts().last() {
            Some(Part::Failed(failure)) => format!("{}: {}", failure.kind, failure.message),
            _ => String::new(),
        }
    }

    pub(super) fn close_breaker(&mut self, why: &str) {
        if self.breaker.close() {
            self.observer.breaker_closed(why);
        }
    }
}

/// The same failure, without a copy of its texts.
fn borrowed<'a>(failure: &'a Failure<'_>) -> Failure<'a> {
    Failure { kind: failure.kind, message: Cow::Borrowed(&failure.message), details: Cow::Borrowed(&failure.details) }
}

fn host_crash(times: u32) -> Failure<'static> {
    let message = format!(
        "the host died {times} times while the mapper had this record alone; it was not given to the mapper again \
         (--poison-after)"
    );
    Failure::new(FailureKind::HostCrash, message)
}

/// Sends an output. Where a span of ours stands between it and its input, `ours` says so; who made it, `provenance`.
fn send_output<K: Sink>(
    sink: &mut K,
    route: RouteIndex,
    input: Record<'_>,
    output: Output<'_>,
    (ours, provenance): (Option<&Traceparent>, Option<&Provenance>),
) -> Result<(), SinkError> {
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
    provenance: Option<&'h Provenance>,
) -> Result<(), SinkError> {
    match provenance {
        None => sink.send(outgoing, &mut headers),
        Some(provenance) => sink.send(outgoing, &mut provenance.added_to(headers)),
    }
}
