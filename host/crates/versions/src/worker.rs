//! The worker's end of a [`Slot`]: it takes a new version between two transactions, and records the work of the active one.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::journal::Ticket;
use super::probation::JudgedCounts;
use super::sample::{BatchSample, MAX_RECORDS};
use super::slot::{ActiveVersion, Slot, Switched};
use super::tap::Judgement;
use mapper_core::counts::Counts;
use mapper_core::decision::Decision;
use mapper_core::record::{Batch, Positions, Record, SourcePositions};
use mapper_core::verdict::{FailureKind, Verdicts};
use mapper_pipeline::VersionSlot;

/// The most successes, and the most failures, that a full sample takes from each batch.
const MAX_SAMPLED_PER_BATCH: usize = 4;

/// The progress of the active version in a partition.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// The committed offset.
    committed: i64,
    /// The offset of a commit without a known result.
    attempted: i64,
}

impl Progress {
    fn at(offset: i64) -> Self {
        Self { committed: offset, attempted: offset }
    }
}

pub struct WorkerSlot<M> {
    slot: Arc<Slot<M>>,
    worker: usize,
    active: Arc<ActiveVersion>,
    /// The partitions of this worker with records of the active version.
    progress: BTreeMap<i32, Progress>,
    /// The number of sampled successes and failures, up to [`MAX_RECORDS`].
    sampled: [usize; 2],
    ticket: Ticket,
    /// The counts since the last complete batch.
    judged: JudgedCounts,
    batch_sample: BatchSample,
}

impl<M> WorkerSlot<M> {
    pub fn new(slot: Arc<Slot<M>>, worker: usize, active: Arc<ActiveVersion>) -> Self {
        Self {
            slot,
            worker,
            active,
            progress: BTreeMap::new(),
            sampled: [0; 2],
            ticket: Ticket::default(),
            judged: JudgedCounts::default(),
            batch_sample: BatchSample::default(),
        }
    }

    fn open_spans(&mut self, from: Positions) {
        if !from.is_empty() {
            self.ticket = self.slot.journal.open_spans(self.active.term, self.worker, from);
        }
    }

    /// Closes the spans at the attempted offsets, as the commit may have succeeded. If it failed, a later span is valid.
    fn close_spans(&self, progress: BTreeMap<i32, Progress>) {
        let offsets =
            progress.into_iter().map(|(partition, progress)| (partition, progress.attempted.max(progress.committed)));
        self.slot.journal.close_spans(self.active.term, self.worker, offsets.collect());
    }

    fn close_all_spans(&mut self) {
        let all = std::mem::take(&mut self.progress);
        self.close_spans(all);
    }
}

impl<M> VersionSlot for WorkerSlot<M> {
    type Mapper = M;

    fn active(&self) -> &ActiveVersion {
        &self.active
    }

    fn is_due(&self) -> bool {
        self.slot.is_due(self.worker)
    }

    fn is_withdrawn(&self) -> bool {
        self.slot.is_withdrawn(self.active.term)
    }

    fn is_on_probation(&self) -> bool {
        self.slot.is_on_probation(self.active.term)
    }

    fn is_visible_at_once(&self) -> bool {
        self.slot.is_visible_at_once
    }

    fn is_withdrawn_by(&mut self, crash: FailureKind) -> bool {
        if self.is_withdrawn() {
            return true;
        }
        if !self.is_on_probation() {
            return false;
        }
        let mut judged = self.judged;
        judged.add_one(Some(crash));
        let fails = self.slot.fails_probation_with(self.active.term, judged);
        if fails {
            self.judged = JudgedCounts::default();
        }
        fails
    }

    fn take(&mut self, mapper: &mut M, positions: SourcePositions) -> Option<&ActiveVersion> {
        let began = Instant::now();
        let offered = self.slot.take(self.worker)?;
        self.rewound(&positions);
        self.close_all_spans();
        self.active = offered.active;
        let from: Positions =
            positions.iter().filter_map(|(partition, position)| Some((*partition, (*position)?))).collect();
        self.progress = from.iter().map(|(partition, from)| (*partition, Progress::at(*from))).collect();
        self.open_spans(from);
        let old = std::mem::replace(mapper, offered.mapper);
        self.slot.report_switched(Switched { worker: self.worker, positions, pause: began.elapsed() }, old);
        Some(&self.active)
    }

    fn began(&mut self, first: &Positions) {
        let new = first.iter().filter(|(partition, _)| !self.progress.contains_key(partition));
        let new: Positions = new.map(|(partition, from)| (*partition, *from)).collect();
        if !new.is_empty() {
            self.progress.extend(new.iter().map(|(partition, from)| (*partition, Progress::at(*from))));
            self.open_spans(new);
        }
        if self.slot.is_visible_at_once {
            self.slot.journal.wait(self.ticket);
        }
    }

    fn committing(&mut self, next: &Positions) {
        for (partition, next) in next {
            if let Some(progress) = self.progress.get_mut(partition) {
                progress.attempted = *next;
            }
        }
        self.slot.journal.wait(self.ticket);
    }

    fn committed(&mut self, next: &Positions, counts: &Counts) {
        for (partition, next) in next {
            if let Some(progress) = self.progress.get_mut(partition) {
                *progress = Progress::at(*next);
            }
        }
        self.slot.journal.record_commit(self.active.term, next, counts);
    }

    fn rewound(&mut self, positions: &SourcePositions) {
        for (partition, position) in positions {
            if let (Some(progress), Some(position)) = (self.progress.get_mut(partition), position) {
                *progress = Progress::at(*position);
            }
        }
    }

    fn assigned(&mut self, positions: &SourcePositions) {
        let revoked: BTreeMap<i32, Progress> =
            self.progress.extract_if(.., |partition, _| !positions.contains_key(partition)).collect();
        self.close_spans(revoked);
    }

    fn record_judged(&mut self, failure: Option<FailureKind>) {
        self.judged.add_one(failure);
    }

    fn record_decided(&mut self, record: Record<'_>, decision: &Decision<'_>) {
        self.batch_sample.add(record, decision, &self.active);
    }

    fn batch_judged(&mut self) {
        self.slot.record_judged(self.active.term, std::mem::take(&mut self.judged));
        for (total, count) in self.sampled.iter_mut().zip(self.batch_sample.counts()) {
            *total = (*total + count).min(MAX_RECORDS);
        }
        // The first batches fill the sample. Later batches add only a few records, so that the copies cost little.
        let limits = self.sampled.map(|total| (MAX_RECORDS - total).max(MAX_SAMPLED_PER_BATCH));
        let sample = std::mem::replace(&mut self.batch_sample, BatchSample::with_limits(limits));
        self.slot.add_samples(self.worker, sample.records);
    }

    fn offer_to_shadow(&self, batch: &Batch, records: Range<usize>, verdicts: &mut Verdicts) {
        if self.slot.tap.reserve(records.len()) {
            let batch = if records.len() == batch.len() { batch.clone() } else { batch.slice(records) };
            self.slot.tap.send(Judgement { batch, verdicts: std::mem::take(verdicts) });
        }
    }
}

impl<M> Drop for WorkerSlot<M> {
    fn drop(&mut self) {
        self.close_all_spans();
        self.slot.report_worker_ended(self.worker);
    }
}
