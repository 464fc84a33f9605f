//! A worker's side of swapping: it takes a new version between two transactions, and says what it has done.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::journal::Ticket;
use super::probation::Judged;
use super::sample::{KEPT_RECORDS, Seen};
use super::slot::{ActiveVersion, Slot, Taken};
use super::tap::Judgement;
use mapper_core::counts::Counts;
use mapper_core::decision::Decision;
use mapper_core::record::{Batch, Positions, Record, SourcePositions};
use mapper_core::verdict::{FailureKind, Verdicts};
use mapper_pipeline::VersionSlot;

/// How many records of each sort are remembered of each batch.
const PER_BATCH: usize = 4;

/// How far a version has come in a partition.
#[derive(Debug, Clone, Copy)]
struct Spoken {
    /// All before this offset is committed, for certain.
    reached: i64,
    /// All before this one may be: a commit up to there has no answer yet, or never had one.
    attempted: i64,
}

impl Spoken {
    fn at(offset: i64) -> Self {
        Self { reached: offset, attempted: offset }
    }
}

/// One worker's side of a [`Slot`].
pub struct WorkerSlot<M> {
    slot: Arc<Slot<M>>,
    worker: usize,
    speaker: Arc<ActiveVersion>,
    /// The partitions for which this version, by this worker, speaks.
    spoken: BTreeMap<i32, Spoken>,
    /// How many records of each sort were remembered, as far as that matters.
    remembered: [usize; 2],
    ticket: Ticket,
    /// What was judged since the last batch was.
    seen: Seen,
}

impl<M> WorkerSlot<M> {
    /// The side of this worker, which begins with this version.
    pub fn new(slot: Arc<Slot<M>>, worker: usize, speaker: Arc<ActiveVersion>) -> Self {
        Self {
            slot,
            worker,
            speaker,
            spoken: BTreeMap::new(),
            remembered: [0; 2],
            ticket: Ticket::default(),
            seen: Seen::default(),
        }
    }

    fn say(&mut self, from: Positions) {
        if !from.is_empty() {
            self.ticket = self.slot.journal.from(self.speaker.term, from);
        }
    }

    /// Of what may have been committed it is better said that this version spoke than that nobody did: whoever speaks for it
    /// later is who counts.
    fn end(&self, spoken: BTreeMap<i32, Spoken>) {
        let offsets = spoken.into_iter().map(|(partition, spoken)| (partition, spoken.attempted.max(spoken.reached)));
        self.slot.journal.to(self.speaker.term, offsets.collect());
    }

    fn end_all(&mut self) {
        let all = std::mem::take(&mut self.spoken);
        self.end(all);
    }
}

impl<M> VersionSlot for WorkerSlot<M> {
    type Mapper = M;

    fn active(&self) -> &ActiveVersion {
        &self.speaker
    }

    fn is_due(&self) -> bool {
        self.slot.is_due(self.worker)
    }

    fn is_withdrawn(&self) -> bool {
        self.slot.is_withdrawn(self.speaker.term)
    }

    fn is_on_probation(&self) -> bool {
        self.slot.is_on_probation(self.speaker.term)
    }

    fn is_visible_at_once(&self) -> bool {
        self.slot.seen_at_once
    }

    fn is_withdrawn_by(&mut self, crash: FailureKind) -> bool {
        if self.is_withdrawn() {
            return true;
        }
        if !self.is_on_probation() {
            return false;
        }
        let mut judged = self.seen.judged;
        judged.add_one(Some(crash));
        let fails = self.slot.fails_with(self.speaker.term, judged);
        if fails {
            self.seen.judged = Judged::default();
        }
        fails
    }

    fn take(&mut self, mapper: &mut M, places: SourcePositions) -> Option<&ActiveVersion> {
        let began = Instant::now();
        let incoming = self.slot.take(self.worker)?;
        self.rewound(&places);
        self.end_all();
        self.speaker = incoming.speaker;
        let from: Positions = places.iter().filter_map(|(partition, place)| Some((*partition, (*place)?))).collect();
        self.spoken = from.iter().map(|(partition, from)| (*partition, Spoken::at(*from))).collect();
        self.say(from);
        let old = std::mem::replace(mapper, incoming.mapper);
        self.slot.taken(Taken { worker: self.worker, places, pause: began.elapsed() }, old);
        Some(&self.speaker)
    }

    fn began(&mut self, first: &Positions) {
        let new = first.iter().filter(|(partition, _)| !self.spoken.contains_key(partition));
        let new: Positions = new.map(|(partition, from)| (*partition, *from)).collect();
        if !new.is_empty() {
            self.spoken.extend(new.iter().map(|(partition, from)| (*partition, Spoken::at(*from))));
            self.say(new);
        }
        if self.slot.seen_at_once {
            self.slot.journal.wait(self.ticket);
        }
    }

    fn committing(&mut self, next: &Positions) {
        for (partition, next) in next {
            if let Some(spoken) = self.spoken.get_mut(partition) {
                spoken.attempted = *next;
            }
        }
        self.slot.journal.wait(self.ticket);
    }

    fn committed(&mut self, next: &Positions, counts: &Counts) {
        for (partition, next) in next {
            if let Some(spoken) = self.spoken.get_mut(partition) {
                *spoken = Spoken::at(*next);
            }
        }
        self.slot.journal.committed(self.speaker.term, next, counts);
    }

    fn rewound(&mut self, places: &SourcePositions) {
        for (partition, place) in places {
            if let (Some(spoken), Some(place)) = (self.spoken.get_mut(partition), place) {
                *spoken = Spoken::at(*place);
            }
        }
    }

    fn assigned(&mut self, places: &SourcePositions) {
        let gone: BTreeMap<i32, Spoken> =
            self.spoken.extract_if(.., |partition, _| !places.contains_key(partition)).collect();
        self.end(gone);
    }

    fn record_judged(&mut self, failure: Option<FailureKind>) {
        self.seen.judged.add_one(failure);
    }

    fn record_decided(&mut self, record: Record<'_>, decision: &Decision<'_>) {
        self.seen.note(record, decision);
    }

    fn batch_judged(&mut self) {
        let seen = &mut self.seen;
        self.slot.judged(self.speaker.term, seen.judged);
        let sampled = std::mem::take(&mut seen.sampled);
        for (remembered, sort) in self.remembered.iter_mut().zip(seen.remembered()) {
            *remembered = (*remembered + sort).min(KEPT_RECORDS);
        }
        self.slot.keep(self.worker, sampled);
        // At first everything is remembered, and then a few of each batch, which costs next to nothing.
        *seen = Seen::of_at_most(self.remembered.map(|remembered| (KEPT_RECORDS - remembered).max(PER_BATCH)));
    }

    fn offer_to_shadow(&self, batch: &Batch, records: Range<usize>, verdicts: &mut Verdicts) {
        if self.slot.tap.has_room(records.len()) {
            let batch = if records.len() == batch.len() { batch.clone() } else { batch.slice(records) };
            self.slot.tap.pass(Judgement { batch, verdicts: std::mem::take(verdicts) });
        }
    }
}

impl<M> Drop for WorkerSlot<M> {
    fn drop(&mut self) {
        self.end_all();
        self.slot.ended(self.worker);
    }
}
