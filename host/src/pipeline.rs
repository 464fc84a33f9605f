//! The loop: fetch, map, decide, produce, commit; and what is done when any of these fails.
//!
//! It is written against three small contracts, so that the same code runs on fakes, on the embedded broker and on Kafka.

mod contracts;
mod transaction;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use contracts::{Fetched, Mapper, Outgoing, Sink, Source, Trouble};
use transaction::{Careful, Transaction};
pub use transaction::{CommitPolicy, Positions};

use crate::dead_letter::DeadLetters;
use crate::decision::{Decision, RouteIndex, Routes, decide};
use crate::record::{Batch, Record};
use crate::shutdown::{Halt, Shutdown};
use crate::telemetry::{Activity, Telemetry, Worker};
use crate::verdict::{Failure, FailureKind, Output, Verdict, Verdicts};

/// How long a fetch waits when nothing is due. A rebalance or a shutdown is noticed within this time.
const IDLE_WAIT: Duration = Duration::from_millis(50);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// What a pipeline works by.
pub struct Settings {
    /// The worker's number.
    pub worker: usize,
    /// The topics.
    pub routes: Arc<Routes>,
    /// When to commit.
    pub commit: CommitPolicy,
    /// The most records of a batch.
    pub batch_records: usize,
}

/// One worker's loop.
pub struct Pipeline<S, M, K> {
    source: S,
    mapper: M,
    sink: K,
    settings: Settings,
    dead_letters: DeadLetters,
    telemetry: Arc<Telemetry>,
    worker: Arc<Worker>,
    shutdown: Shutdown,
    batch: Batch,
    verdicts: Verdicts,
    transaction: Transaction,
    careful: Option<Careful>,
    /// Records of which the broker refused what was made of them, and how often.
    refused: HashMap<(i32, i64), u32>,
    backoff: Duration,
}

impl<S: Source, M: Mapper, K: Sink> Pipeline<S, M, K> {
    /// A pipeline that reads this topic.
    pub fn new(
        (source, mapper, sink): (S, M, K),
        topic: &Arc<str>,
        settings: Settings,
        dead_letters: DeadLetters,
        telemetry: Arc<Telemetry>,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            source,
            mapper,
            sink,
            worker: telemetry.workers.worker(settings.worker),
            settings,
            dead_letters,
            telemetry,
            shutdown,
            batch: Batch::new(topic.clone()),
            verdicts: Verdicts::default(),
            transaction: Transaction::default(),
            careful: None,
            refused: HashMap::new(),
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
            Err(Trouble::Again(reason) | Trouble::RecordRefused(reason)) => {
                tracing::warn!(reason, "the last transaction could not be committed; its records are done again later");
                self.sink.abort().or_else(|trouble| if let Trouble::Halt(halt) = trouble { Err(halt) } else { Ok(()) })
            }
        }
    }

    /// One round. Tells whether all is done.
    fn step(&mut self) -> Result<bool, Trouble> {
        let now = Instant::now();
        let wait = self.transaction.due_in(&self.settings.commit, now).map_or(IDLE_WAIT, |due| due.min(IDLE_WAIT));
        let most = self.room();
        self.worker.does(Activity::Fetching);
        match self.source.fetch(&mut self.batch, most, wait)? {
            Fetched::Records => self.process()?,
            Fetched::Idle => {
                if let Some(ends) = self.source.finished() {
                    self.transaction.advance(&ends);
                    self.commit()?;
                    return Ok(true);
                }
            }
            Fetched::Assigned => self.source.settle()?,
            Fetched::Revoked { lost } => {
                self.telemetry.rebalanced();
                if lost {
                    self.give_up_transaction()?;
                } else {
                    self.commit()?;
                    self.source.settle()?;
                }
            }
        }
        let full = self.room() == 0;
        if full || self.transaction.due_in(&self.settings.commit, Instant::now()).is_some_and(|due| due.is_zero()) {
            self.commit()?;
        }
        Ok(false)
    }

    /// How many records the next batch may have.
    fn room(&self) -> usize {
        let careful = self.careful.as_ref().map_or(usize::MAX, Careful::limit);
        let left = self.settings.commit.records.min(careful).saturating_sub(self.transaction.records());
        left.min(self.settings.batch_records)
    }

    fn process(&mut self) -> Result<(), Trouble> {
        let started = Instant::now();
        self.verdicts.clear();
        self.worker.does(Activity::Mapping);
        self.mapper.map(&self.batch, &mut self.verdicts);
        assert_eq!(self.verdicts.len(), self.batch.len(), "a mapper gives one verdict per record");
        self.telemetry.mapped(self.batch.len(), started.elapsed());
        self.worker.does(Activity::Producing);
        // Added before anything can fail: what is not in the transaction is not gone back to.
        let begun = self.transaction.is_open();
        self.transaction.add(&self.batch, started);
        if !begun {
            self.sink.begin()?;
        }
        let now = chrono::Utc::now();
        self.dead_letters.set_time(now);
        for (record, verdict) in self.batch.records().zip(self.verdicts.iter()) {
            let refused = if self.refused.is_empty() {
                0
            } else {
                self.refused.get(&(record.partition(), record.offset())).copied().unwrap_or(0)
            };
            let verdict = match verdict {
                Verdict::Mapped(_) if refused > 0 => Verdict::Failed(refused_by_broker()),
                verdict => verdict,
            };
            let counts = &mut self.transaction.counts;
            counts.records_in += 1;
            match decide(record, verdict, &self.settings.routes) {
                Decision::Skip => counts.skipped += 1,
                Decision::ProduceOne(route, output) => {
                    counts.records_out += 1;
                    send_output(&mut self.sink, route, record, output)?;
                }
                Decision::Produce(outputs) => {
                    for (route, output) in outputs {
                        counts.records_out += 1;
                        send_output(&mut self.sink, route, record, output)?;
                    }
                }
                Decision::DeadLetter(failure) => {
                    counts.dead_letter(failure.kind);
                    self.telemetry.failed(record, &failure);
                    // What was refused even as a dead letter is tried once more with all that may be left out.
                    let route = self.settings.routes.dead_letter_index();
                    let letter = self.dead_letters.write(record, &failure, refused > 1);
                    self.transaction.failures.note(letter.fingerprint(), record, &failure, now);
                    let (key, value, timestamp_ms) = (letter.key, Some(letter.value), record.timestamp_ms());
                    self.sink.send(Outgoing { route, key, value, timestamp_ms }, &mut letter.headers())?;
                }
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Trouble> {
        if self.transaction.is_empty() {
            return Ok(());
        }
        if !self.transaction.is_open() {
            self.sink.begin()?;
        }
        let started = Instant::now();
        self.worker.does(Activity::Committing);
        self.sink.commit(self.transaction.next())?;
        self.telemetry.committed(&self.transaction.counts, started.elapsed());
        self.telemetry.committed_failures(std::mem::take(&mut self.transaction.failures));
        self.worker.committed(self.transaction.next());
        for (partition, next) in self.transaction.next() {
            self.refused.retain(|(p, offset), _| p != partition || offset >= next);
        }
        self.transaction = Transaction::default();
        self.backoff = FIRST_BACKOFF;
        self.careful = self.careful.take().and_then(|careful| careful.relaxed(self.settings.commit.records));
        Ok(())
    }

    /// Partitions are lost: aborts, lets them go, and goes back on those that stay.
    fn give_up_transaction(&mut self) -> Result<(), Trouble> {
        if !self.transaction.is_open() {
            return self.source.settle();
        }
        self.telemetry.aborted();
        self.worker.does(Activity::Recovering);
        self.sink.abort()?;
        self.source.settle()?;
        self.source.rewind(self.transaction.first())?;
        self.transaction = Transaction::default();
        Ok(())
    }

    /// Brings everything back to the last commit, so that the loop can go on from there.
    fn recover(&mut self, trouble: Trouble) -> Result<(), Halt> {
        let mut trouble = trouble;
        self.worker.does(Activity::Recovering);
        loop {
            match trouble {
                Trouble::Halt(halt) => return Err(halt),
                Trouble::Again(ref reason) => {
                    tracing::warn!(reason, "going back to the last commit");
                    self.shutdown.sleep(self.backoff);
                    self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
                }
                Trouble::RecordRefused(ref reason) => self.narrow_down(reason)?,
            }
            self.telemetry.aborted();
            let firsts = self.transaction.first().clone();
            let recovered = self.sink.abort().and_then(|()| self.source.rewind(&firsts));
            match recovered {
                Ok(()) => {
                    self.transaction = Transaction::default();
                    return Ok(());
                }
                Err(Trouble::Again(reason)) if self.shutdown.requested() => {
                    tracing::warn!(
                        reason,
                        "not everything could be undone; the next start goes on from the last commit"
                    );
                    // There is nothing left that the last commit may take along.
                    self.transaction = Transaction::default();
                    return Ok(());
                }
                Err(again) => trouble = again,
            }
        }
    }

    /// Commits ever fewer records at once until the one that the broker refuses is alone, and known.
    fn narrow_down(&mut self, reason: &str) -> Result<(), Halt> {
        let records = self.transaction.records();
        if records > 1 {
            tracing::warn!(reason, records, "the broker refuses one of these records; looking for it");
            self.careful = Some(Careful::below(records));
            return Ok(());
        }
        self.careful = Some(Careful::below(1));
        let Some((&partition, &offset)) = self.transaction.first().iter().next() else { return Ok(()) };
        let times = self.refused.entry((partition, offset)).or_default();
        *times += 1;
        tracing::warn!(reason, partition, offset, times, "the broker refuses what is made of this record");
        if *times > 2 {
            let topic = &self.settings.routes.dead_letters.topic;
            return Err(Halt::kafka(format!(
                "the dead-letter topic '{topic}' refuses the dead letter of partition {partition}, offset {offset} even \
                 without the record's content: {reason}. Nothing beyond that record is committed; mend the topic and start \
                 again"
            )));
        }
        Ok(())
    }
}

fn refused_by_broker() -> Failure<'static> {
    Failure::new(FailureKind::Undeliverable, "the broker refused what the mapper made of this record")
}

fn send_output<K: Sink>(sink: &mut K, route: RouteIndex, input: Record<'_>, output: Output<'_>) -> Result<(), Trouble> {
    let (key, value, timestamp_ms) = (output.key(input), output.value(input), output.timestamp_ms(input));
    let outgoing = Outgoing { route, key, value, timestamp_ms };
    match output.own_headers() {
        Some(mut headers) => sink.send(outgoing, &mut headers),
        None => sink.send(outgoing, &mut input.headers()),
    }
}

#[cfg(test)]
mod tests;
