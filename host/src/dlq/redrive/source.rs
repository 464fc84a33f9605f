//! The source of a redrive: the selected letters, as the records that failed.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mapper_core::dead_letter::DeadLetter;
use mapper_core::record::{Batch, NO_TIMESTAMP, Origins, Positions, SourcePositions};
use mapper_core::shutdown::Halt;
use mapper_core::topic_table::TopicNames;
use mapper_kafka::TopicReader;
use mapper_pipeline::SourceError;
use mapper_pipeline::contracts::{CommittedRange, Fetched, Source};

use super::super::states::Access;
use super::cut_records::CutRecords;
use super::letter::TakenLetter;
use super::plan::{self, Plan};
use super::stale::NewestOutputs;
use crate::config::{EditedValue, LetterFilter};

const FETCH_RECORDS: usize = 2_000;
const FETCH_BYTES: usize = 4 << 20;
/// The most bytes of letters that wait until all letters of their keys are read.
const MAX_HELD_BYTES: usize = 256 << 20;
/// The header of a record with an edited value: the position of the failed record, and the user.
const EDITED: &[u8] = b"mapper-host.edited";
/// A limited rate is kept in steps of this time.
const RATE_STEP: Duration = Duration::from_millis(50);

/// The letters that the pipeline has and that are not committed, in order.
pub(super) type InPipeline = Rc<RefCell<VecDeque<TakenLetter>>>;

/// Reads the letters of a plan.
pub(super) struct LetterSource<'a> {
    access: &'a Access,
    filter: &'a LetterFilter,
    plan: &'a Plan,
    max_attempts: u32,
    topics: TopicNames,
    reader: Option<TopicReader>,
    cut_records: CutRecords<'a>,
    raw: Batch,
    /// Read, and not yet taken.
    waiting: VecDeque<TakenLetter>,
    /// Letters of keys that are not in order, until all letters are read.
    held: Vec<TakenLetter>,
    /// The newest outputs of keys, and whether letters with an older record are left out.
    newest_outputs: NewestOutputs,
    /// The value that replaces that of the only letter.
    pub(super) edited: Option<EditedValue>,
    skips_stale: bool,
    /// Letters whose key has a newer output.
    pub(super) stale: u64,
    held_bytes: usize,
    in_pipeline: InPipeline,
    next_sequence: i64,
    /// How many letters the pipeline may still take in this stage.
    pub(super) left: u64,
    /// Letters whose transaction was committed, although its commit failed for this program.
    pub(super) recovered: u64,
    /// Letters without the whole record, which is not in its topic any more either.
    pub(super) lost: u64,
    rate: Option<Rate>,
}

/// A limit of letters per second.
struct Rate {
    per_second: f64,
    allowance: f64,
    refilled: Instant,
}

impl Rate {
    /// The number of letters that may be taken now.
    fn allowed(&mut self) -> usize {
        let now = Instant::now();
        let seconds = now.duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        // No more than one second is caught up.
        self.allowance = (self.allowance + seconds * self.per_second).min(self.per_second.max(1.0));
        self.allowance as usize
    }
}

impl<'a> LetterSource<'a> {
    pub(super) fn open(
        access: &'a Access,
        filter: &'a LetterFilter,
        (plan, max_attempts): (&'a Plan, u32),
        (newest_outputs, skips_stale): (NewestOutputs, bool),
        rate: Option<f64>,
        in_pipeline: InPipeline,
    ) -> Result<Self, Halt> {
        Ok(Self {
            access,
            filter,
            plan,
            max_attempts,
            topics: TopicNames::new(plan.sources.iter().map(String::as_str)),
            reader: Some(access.open_letters(&plan.ends)?),
            cut_records: CutRecords::new(access),
            raw: Batch::new(access.dead_letters.as_str()),
            waiting: VecDeque::new(),
            held: Vec::new(),
            newest_outputs,
            edited: None,
            skips_stale,
            stale: 0,
            held_bytes: 0,
            in_pipeline,
            next_sequence: 0,
            left: 0,
            recovered: 0,
            lost: 0,
            rate: rate.map(|per_second| Rate { per_second, allowance: 1.0, refilled: Instant::now() }),
        })
    }

    /// Letters of the plan that the pipeline does not get.
    pub(super) fn left_out(&self) -> u64 {
        self.lost + if self.skips_stale { self.stale } else { 0 }
    }

    /// Whether all letters of the plan are taken.
    pub(super) fn is_exhausted(&self) -> bool {
        self.reader.is_none() && self.waiting.is_empty()
    }

    /// Reads more letters. Waits only if there are none.
    fn read(&mut self, wait: Duration) -> Result<(), Halt> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        self.raw.clear();
        let is_more = reader.fetch(&mut self.raw, FETCH_RECORDS, FETCH_BYTES, wait)?;
        let raw = std::mem::replace(&mut self.raw, Batch::new(self.access.dead_letters.as_str()));
        for letter in raw.records().filter_map(DeadLetter::read) {
            self.add(&letter)?;
        }
        self.raw = raw;
        if !is_more {
            self.reader = None;
            self.held.sort_by(|one, other| {
                let key = |letter: &TakenLetter| (letter.source.partition, letter.source.offset);
                one.source.topic.cmp(&other.source.topic).then_with(|| key(one).cmp(&key(other)))
            });
            self.waiting.extend(self.held.drain(..));
        }
        Ok(())
    }

    fn add(&mut self, letter: &DeadLetter<'_>) -> Result<(), Halt> {
        let at = letter.position();
        let is_taken = self.access.table.is_open(letter)
            && self.filter.selection.contains(letter)
            && self.plan.groups.as_ref().is_none_or(|groups| groups.contains(&*letter.fingerprint))
            && !plan::is_exhausted(letter, self.max_attempts)
            && !self.plan.superseded.contains(&(at.partition, at.offset));
        if !is_taken {
            return Ok(());
        }
        if self.is_stale(letter) {
            self.stale += 1;
            if self.skips_stale {
                return Ok(());
            }
        }
        let mut taken = match TakenLetter::new(letter) {
            Some(taken) => taken,
            None => match self.cut_records.read(letter)? {
                Some(input) => TakenLetter::with_input(letter, input),
                None => {
                    self.lost += 1;
                    return Ok(());
                }
            },
        };
        if let Some(EditedValue { value, by }) = &self.edited {
            taken.input.value = Some(value.clone());
            let edited = format!("{} {by}", letter.source_or_self());
            taken.input.headers.push((EDITED.to_vec(), Some(edited.into_bytes())));
        }
        let is_unordered = letter.key().is_some_and(|key| self.plan.unordered_keys.contains(&plan::hash(key)));
        if !is_unordered {
            self.waiting.push_back(taken);
            return Ok(());
        }
        self.held_bytes += taken.bytes();
        self.held.push(taken);
        if self.held_bytes > MAX_HELD_BYTES {
            return Err(Halt::configuration(format!(
                "too many letters have keys whose letters are not in order: more than {} MiB. Redrive them in parts: give --since and \
                 --until, or a --group",
                MAX_HELD_BYTES >> 20
            )));
        }
        Ok(())
    }

    /// Whether an output topic has a newer record with the key of a letter.
    fn is_stale(&self, letter: &DeadLetter<'_>) -> bool {
        let (Some(key), Some(timestamp)) = (letter.key(), letter.source_timestamp_ms()) else { return false };
        self.newest_outputs.get(&plan::hash(key)).is_some_and(|newest| *newest > timestamp)
    }

    /// Moves letters into the batch.
    fn take(&mut self, batch: &mut Batch, most: usize) -> Result<usize, Halt> {
        let allowed = self.rate.as_mut().map_or(usize::MAX, Rate::allowed);
        let most = most.min(allowed).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let mut origins = Origins::new(self.topics.clone());
        let mut in_pipeline = self.in_pipeline.borrow_mut();
        let mut taken = 0;
        while taken < most && (taken == 0 || batch.bytes() < FETCH_BYTES) {
            let Some(mut letter) = self.waiting.pop_front() else { break };
            let source = &letter.source;
            let number = self.topics.find(&source.topic).and_then(|index| self.topics.number(index, source.partition));
            let Some(number) = number else {
                return Err(Halt::configuration(format!(
                    "the record {source} can't be redriven: its partition is too high"
                )));
            };
            if letter.sequence == 0 {
                // 0 is a letter that was not taken before.
                self.next_sequence += 1;
                letter.sequence = self.next_sequence;
            }
            let input = &letter.input;
            let headers = input.headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref()));
            let timestamp = input.timestamp_ms.unwrap_or(NO_TIMESTAMP);
            batch.push((0, letter.sequence), timestamp, input.key.as_deref(), input.value.as_deref(), headers);
            origins.push((number, source.offset), letter.attempt);
            in_pipeline.push_back(letter);
            taken += 1;
        }
        batch.origins = Some(Box::new(origins));
        self.left -= taken as u64;
        if let Some(rate) = &mut self.rate {
            rate.allowance -= taken as f64;
        }
        Ok(taken)
    }
}

impl Source for LetterSource<'_> {
    fn fetch(&mut self, batch: &mut Batch, most: usize, wait: Duration) -> Result<Fetched, SourceError> {
        batch.clear();
        batch.origins = None;
        if self.waiting.is_empty() && self.left > 0 {
            self.read(wait)?;
        }
        if self.take(batch, most)? > 0 {
            return Ok(Fetched::Records);
        }
        if self.left > 0 && !self.waiting.is_empty() {
            std::thread::sleep(wait.min(RATE_STEP));
        }
        Ok(Fetched::Idle)
    }

    fn attend(&mut self, wait: Duration) -> Result<Fetched, SourceError> {
        std::thread::sleep(wait.min(RATE_STEP));
        Ok(Fetched::Idle)
    }

    fn settle(&mut self) -> Result<(), SourceError> {
        Ok(())
    }

    /// The state topic says what of the transaction is committed. The rest is taken again.
    fn rewind(&mut self, _firsts: &Positions) -> Result<(), SourceError> {
        let table = self.access.read_table()?;
        let mut in_pipeline = self.in_pipeline.borrow_mut();
        let is_open = |letter: &TakenLetter| {
            let resolved = table.resolved_letters(&letter.source).find(|(partition, _)| *partition == letter.at.0);
            resolved.is_none_or(|(_, offset)| letter.at.1 > offset)
        };
        for letter in in_pipeline.drain(..).rev() {
            if is_open(&letter) {
                self.left += 1;
                self.waiting.push_front(letter);
            } else {
                self.recovered += 1;
            }
        }
        Ok(())
    }

    fn uncommitted_ends(&mut self) -> Positions {
        Positions::new()
    }

    fn finished(&mut self) -> Option<Positions> {
        (self.left == 0 || self.is_exhausted()).then(Positions::new)
    }

    fn positions(&self) -> SourcePositions {
        SourcePositions::from([(0, Some(self.next_sequence + 1))])
    }

    fn committed_range(&self, _partition: i32) -> CommittedRange {
        CommittedRange::default()
    }
}
