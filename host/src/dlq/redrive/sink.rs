//! The sink of a redrive: outputs, new letters and resolutions in one transaction.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use mapper_core::decision::{RouteIndex, TopicLimits};
use mapper_core::ledger::{LedgerCounts, LedgerRecord, LedgerRedrive};
use mapper_core::record::{Header, Positions};
use mapper_dead_letters::state::{Claim, Outcome, Resolution, StateKey, VERSION};
use mapper_pipeline::SinkError;
use mapper_pipeline::contracts::{Outgoing, Sink};
use serde::Serialize;

use super::super::states::{Access, now};
use super::letter::TakenLetter;
use super::plan::Plan;
use super::source::InPipeline;

/// The header with the number of failures, in a record that goes to its input topic again.
const ATTEMPT: &[u8] = b"mapper-host.attempt";

/// Who redrives, and with what.
pub(super) struct Redriver {
    pub(super) by: String,
    /// The consumer group of the pipeline.
    pub(super) group: String,
    /// The digest of the version; `None` if records go to their input topics.
    pub(super) version: Option<String>,
    pub(super) claim: Claim,
}

/// The indexes of the routes.
#[derive(Clone, Copy)]
pub(super) struct RedriveRoutes {
    pub(super) dead_letters: RouteIndex,
    pub(super) states: RouteIndex,
    pub(super) ledger: Option<RouteIndex>,
}

pub(super) struct RedriveSink<'a, K> {
    pub(super) inner: K,
    pub(super) access: &'a Access,
    pub(super) plan: &'a Plan,
    pub(super) routes: RedriveRoutes,
    /// The output topics.
    pub(super) topics: Vec<Arc<str>>,
    pub(super) redriver: Redriver,
    pub(super) in_pipeline: InPipeline,
    pub(super) transaction: Rc<RefCell<TransactionCounts>>,
}

/// What a transaction has so far.
#[derive(Debug, Default)]
pub(super) struct TransactionCounts {
    /// The letters whose records have failed again.
    failed: HashSet<i64>,
    /// The outputs of each record to each route, in the order of the records.
    outputs: Vec<RecordOutputs>,
    /// The new letters of each kind.
    pub(super) kinds: BTreeMap<&'static str, u64>,
}

/// The outputs of a record to one route.
#[derive(Debug)]
struct RecordOutputs {
    sequence: i64,
    route: RouteIndex,
    count: u64,
}

/// Sends the claim in a transaction of its own.
///
/// # Errors
/// See [`SinkError`].
pub(super) fn claim(sink: &mut impl Sink, route: RouteIndex, claim: &mut Claim) -> Result<(), SinkError> {
    sink.begin()?;
    send_claim(sink, route, claim)?;
    sink.commit(&Positions::new())
}

fn send_claim(sink: &mut impl Sink, route: RouteIndex, claim: &mut Claim) -> Result<(), SinkError> {
    claim.renew();
    send_state(sink, route, 0, &StateKey::Redrive, claim)
}

fn send_state(
    sink: &mut impl Sink,
    route: RouteIndex,
    sequence: i64,
    key: &StateKey,
    value: &impl Serialize,
) -> Result<(), SinkError> {
    let value = serde_json::to_vec(value).expect("a state has string keys");
    let key = key.to_string();
    let (key, value) = (Some(key.as_bytes()), Some(value.as_slice()));
    let record = Outgoing { input: (0, sequence), route, key, value, timestamp_ms: None };
    sink.send(record, &mut std::iter::empty())
}

impl TransactionCounts {
    fn add_output(&mut self, route: RouteIndex, sequence: i64) {
        match self.outputs.last_mut() {
            Some(last) if (last.sequence, last.route) == (sequence, route) => last.count += 1,
            _ => self.outputs.push(RecordOutputs { sequence, route, count: 1 }),
        }
    }

    fn records_with_outputs(&self) -> u64 {
        self.outputs.chunk_by(|one, other| one.sequence == other.sequence).count() as u64
    }

    /// The outputs of a record.
    fn outputs_of(&self, sequence: i64) -> &[RecordOutputs] {
        let from = self.outputs.partition_point(|outputs| outputs.sequence < sequence);
        let count = self.outputs[from..].iter().take_while(|outputs| outputs.sequence == sequence).count();
        &self.outputs[from..from + count]
    }
}

impl<K: Sink> RedriveSink<'_, K> {
    fn attempt(&self, sequence: i64) -> u32 {
        let in_pipeline = self.in_pipeline.borrow();
        let found = in_pipeline.binary_search_by_key(&sequence, |letter| letter.sequence);
        found.map_or(1, |index| in_pipeline[index].attempt)
    }

    fn resolution(&self, letter: &TakenLetter) -> Resolution {
        let older = self.plan.older.get(&letter.at).into_iter().flatten();
        let letters = self.access.table.resolved_with(&letter.source, older.chain([&letter.at]).copied());
        let transaction = self.transaction.borrow();
        let outputs = self.by_topic(transaction.outputs_of(letter.sequence));
        let outcome = match (&self.redriver.version, transaction.failed.contains(&letter.sequence)) {
            (_, true) => Outcome::FailedAgain,
            (Some(_), false) => Outcome::Redriven,
            (None, false) => Outcome::Returned,
        };
        Resolution {
            v: VERSION,
            outcome,
            letters,
            at: now(),
            by: self.redriver.by.clone(),
            reason: None,
            version: self.redriver.version.clone(),
            outputs: outputs.into_iter().map(|(topic, count)| (topic.to_owned(), count)).collect(),
        }
    }

    /// The sums of outputs by topic.
    fn by_topic(&self, outputs: &[RecordOutputs]) -> BTreeMap<&str, u64> {
        let mut by_topic = BTreeMap::new();
        for RecordOutputs { route, count, .. } in outputs {
            *by_topic.entry(&*self.topics[*route]).or_default() += count;
        }
        by_topic
    }

    /// Renews the claim, or ends it.
    ///
    /// # Errors
    /// See [`SinkError`].
    pub(super) fn claim(&mut self, is_end: bool) -> Result<(), SinkError> {
        self.redriver.claim.ended = is_end;
        claim(&mut self.inner, self.routes.states, &mut self.redriver.claim)
    }

    /// Sends the record of the transaction to the ledger, if there is one.
    fn send_ledger(&mut self, records: u64) -> Result<(), SinkError> {
        let Some(route) = self.routes.ledger.filter(|_| records > 0) else { return Ok(()) };
        let transaction = self.transaction.borrow();
        let outputs = self.by_topic(&transaction.outputs);
        let outputs = outputs.into_iter().map(|(topic, count)| (Cow::from(topic), count));
        let kinds = transaction.kinds.iter().map(|(kind, count)| (Cow::from(*kind), *count));
        let record = LedgerRecord::Redrive(LedgerRedrive {
            group: (&*self.redriver.group).into(),
            topic: (&*self.access.dead_letters).into(),
            records,
            counts: LedgerCounts {
                outputs: outputs.collect(),
                dead_letters: kinds.collect(),
                skipped: records.saturating_sub(transaction.records_with_outputs() + transaction.failed.len() as u64),
            },
            plugin: self.redriver.version.as_deref().unwrap_or_default().into(),
            host: (&*self.redriver.claim.host).into(),
        });
        let value = serde_json::to_vec(&record).expect("a ledger record has string keys");
        let key = format!("redrive {}", self.access.dead_letters);
        let (key, value) = (Some(key.as_bytes()), Some(value.as_slice()));
        self.inner.send(Outgoing { input: (0, 0), route, key, value, timestamp_ms: None }, &mut std::iter::empty())
    }
}

impl<K: Sink> Sink for RedriveSink<'_, K> {
    fn begin(&mut self) -> Result<(), SinkError> {
        *self.transaction.borrow_mut() = TransactionCounts::default();
        self.inner.begin()
    }

    fn send<'h>(
        &mut self,
        record: Outgoing<'_>,
        headers: &mut dyn Iterator<Item = Header<'h>>,
    ) -> Result<(), SinkError> {
        let sequence = record.input.1;
        if record.route == self.routes.dead_letters {
            self.transaction.borrow_mut().failed.insert(sequence);
            return self.inner.send(record, headers);
        }
        self.transaction.borrow_mut().add_output(record.route, sequence);
        if self.redriver.version.is_none() {
            let attempt = self.attempt(sequence).to_string();
            let mut all: Vec<Header<'_>> = Vec::new();
            headers.for_each(|header| all.push(header));
            all.push((ATTEMPT, Some(attempt.as_bytes())));
            return self.inner.send(record, &mut all.into_iter());
        }
        self.inner.send(record, headers)
    }

    fn commit(&mut self, next: &Positions) -> Result<(), SinkError> {
        let next = next.get(&0).copied().unwrap_or(0);
        let resolutions: Vec<(i64, StateKey, Resolution)> = self
            .in_pipeline
            .borrow()
            .iter()
            .take_while(|letter| letter.sequence < next)
            .map(|letter| (letter.sequence, StateKey::Letter(letter.source.clone()), self.resolution(letter)))
            .collect();
        for (sequence, key, resolution) in &resolutions {
            send_state(&mut self.inner, self.routes.states, *sequence, key, resolution)?;
        }
        self.send_ledger(resolutions.len() as u64)?;
        send_claim(&mut self.inner, self.routes.states, &mut self.redriver.claim)?;
        self.inner.commit(&Positions::new())?;
        self.redriver.claim.resolved += resolutions.len() as u64;
        self.in_pipeline.borrow_mut().drain(..resolutions.len());
        Ok(())
    }

    fn abort(&mut self) -> Result<(), SinkError> {
        *self.transaction.borrow_mut() = TransactionCounts::default();
        self.inner.abort()
    }

    fn topic_limits(&mut self) -> Vec<Option<TopicLimits>> {
        self.inner.topic_limits()
    }
}
