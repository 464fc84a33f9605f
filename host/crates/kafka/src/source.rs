//! The source of the pipeline on Kafka: a member of a consumer group.
//!
//! Records come through a queue apart from everything else, so a rebalance is only ever met between two batches, and is
//! carried out when the pipeline says so: it commits what is done first.

mod leaving;
mod position;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::{self, KafkaSettings};
use super::input::InputTopic;
use super::limits::OFFSETS_LIMIT;
use super::member::{GroupConsumer, GroupContext, Member, Rebalance, join};
use super::native::{RecordQueue, end_heard_of};
use super::setup::dead_letters_as_input;
use super::start::{ResetPolicy, truncated_to};
use mapper_core::dead_letter::DeadLetterDetector;
use mapper_core::record::{Batch, Positions, SourcePositions};
use mapper_core::shutdown::Halt;
use mapper_core::topics::TopicId;
use mapper_pipeline::contracts::{Fetched, PartitionPosition, Source, SourceError, SourceObserver};
use state::{Announced, Assigned, Displaced, Event, NewTopic, complain};

/// A batch is handed on once it has this many bytes, however few records that are.
const BATCH_BYTES: usize = 1 << 20;
/// How often it is told where this worker is in its partitions.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Records of one topic, from the partitions that the group gives this worker.
pub struct KafkaSource {
    // Before the consumer, so that it is dropped first.
    queue: RecordQueue<GroupContext>,
    consumer: Arc<GroupConsumer>,
    member: Member,
    settings: KafkaSettings,
    reset: ResetPolicy,
    input: Arc<InputTopic>,
    native_topic: CString,
    observer: Arc<dyn SourceObserver>,
    told: Instant,
    assigned: BTreeMap<i32, Assigned>,
    events: Vec<Event>,
    announced: Option<Announced>,
    /// How many changes of the topic's id were looked at.
    topic_id_changes: u64,
    new_topic: Option<NewTopic>,
    /// Topics that were read before: a broker that is behind may still tell of them.
    retired: BTreeSet<TopicId>,
    out_of_range: BTreeMap<i32, Displaced>,
    detector: Option<DeadLetterDetector>,
    /// Ends that were committed without waiting for the answer, and the failures that were counted before.
    committed_ends: (Positions, u64),
}

impl KafkaSource {
    /// Joins the group, for the worker of that number. If the input has an end, it ends there.
    ///
    /// # Errors
    /// When librdkafka refuses a property.
    pub fn new(
        settings: &KafkaSettings,
        input: Arc<InputTopic>,
        observer: Arc<dyn SourceObserver>,
    ) -> KafkaResult<Self> {
        let (queue, consumer) = join(settings, &input.topic)?;
        Ok(Self {
            queue,
            member: Member::new(consumer.clone(), input.known().clone()),
            consumer,
            settings: settings.clone(),
            reset: ResetPolicy::from_properties(&settings.properties),
            native_topic: CString::new(&*input.topic)?,
            detector: input.detector(),
            input,
            observer,
            told: Instant::now(),
            assigned: BTreeMap::new(),
            events: Vec::new(),
            announced: None,
            topic_id_changes: 0,
            new_topic: None,
            retired: BTreeSet::new(),
            out_of_range: BTreeMap::new(),
            committed_ends: (Positions::new(), 0),
        })
    }

    /// The membership, for the sink: offsets are committed in its name.
    pub fn member(&self) -> Member {
        self.member.clone()
    }

    /// Serves everything that is not records until there is nothing left; the rebalances among it are kept by the context. Waits
    /// for the first.
    fn serve_events(&self, wait: Duration) -> Result<(), SourceError> {
        let mut wait = wait;
        loop {
            let Some(event) = self.consumer.poll(std::mem::take(&mut wait)) else {
                if self.queue.has_events() {
                    continue;
                }
                return Ok(());
            };
            match event {
                // A partition's queue is routed before its first fetch, so this can't be; if it is, nothing is lost by ending.
                Ok(record) => {
                    let (partition, offset) = (record.partition(), record.offset());
                    let mistake = anyhow::anyhow!("partition {partition}, offset {offset} came outside of its queue");
                    return Err(Halt::internal(&mistake).into());
                }
                Err(error) => self.complain(&error.to_string(), error.rdkafka_error_code())?,
            }
        }
    }

    fn announced_rebalance(&mut self) -> Option<Fetched> {
        let announced = self.consumer.context().rebalances().front().map(|rebalance| match rebalance {
            Rebalance::Assign(_) => Fetched::Assigned,
            Rebalance::Revoke { lost, .. } => Fetched::Revoked { lost: *lost },
        });
        self.announced = announced.is_some().then_some(Announced::Rebalance);
        announced
    }

    /// What the pipeline must commit for before anything else is fetched.
    fn announce(&mut self) -> Option<Fetched> {
        let is_new = self.is_new_topic();
        match self.announced_rebalance() {
            // What goes is committed as it was read.
            Some(announced) if !is_new || announced != Fetched::Assigned => return Some(announced),
            _ => {}
        }
        if is_new {
            self.announced = Some(Announced::NewTopic);
            let partitions = self.new_topic.as_ref().and_then(|topic| topic.partitions);
            return Some(Fetched::TopicRecreated { partitions });
        }
        if self.out_of_range.is_empty() {
            return None;
        }
        self.announced = Some(Announced::OutOfRange);
        Some(Fetched::OffsetOutOfRange)
    }

    /// Tells where it is, now and then, or at once after a rebalance.
    fn tell(&mut self, at_once: bool) {
        if !at_once && self.told.elapsed() < TELL_EVERY {
            return;
        }
        self.told = Instant::now();
        let places = self.assigned.iter().map(|(partition, assigned)| {
            let end = end_heard_of(&self.consumer, &self.native_topic, *partition);
            // Behind the last record there may be markers of transactions: there is nothing left to fetch.
            let position = assigned.next.map(|next| assigned.end.map_or(next, |end| next.max(end)));
            PartitionPosition { partition: *partition, position, end }
        });
        self.observer.set_positions(&mut { places });
    }

    fn partitions(&self, of: impl Iterator<Item = (i32, Offset)>) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in of {
            list.add_partition_offset(&self.input.topic, partition, offset)?;
        }
        Ok(list)
    }

    /// The group's offsets of the topic that is read, not of a deleted one.
    fn committed(&self, partitions: impl Iterator<Item = i32>) -> KafkaResult<Positions> {
        let committed = client::committed(&self.consumer, &self.input.topic, partitions, OFFSETS_LIMIT)?;
        Ok(client::of_topic(committed, &self.member.identity()))
    }

    fn complain(&self, what: &str, code: Option<RDKafkaErrorCode>) -> Result<(), SourceError> {
        complain((&self.input.topic, &self.settings.group), what, code)
    }

    fn take_events(&mut self) -> Result<(), SourceError> {
        for Event { partition, offset, code, text } in std::mem::take(&mut self.events) {
            match code {
                RDKafkaErrorCode::PartitionEOF => {
                    if let Some(until) = &self.input.until {
                        until.reach(partition, offset);
                    }
                    if let Some(assigned) = self.assigned.get_mut(&partition) {
                        assigned.end = Some(offset);
                    }
                }
                RDKafkaErrorCode::AutoOffsetReset => {
                    let position = self.assigned.get(&partition).and_then(Assigned::position);
                    // It is negative if the partition was truncated.
                    let offset = if offset >= 0 { offset } else { position.unwrap_or(0) };
                    let truncated_to = truncated_to(&text);
                    self.out_of_range.insert(partition, Displaced { offset, truncated_to });
                }
                _ => self.complain(&format!("partition {partition}: {code}"), Some(code))?,
            }
        }
        Ok(())
    }

    /// These records and events may be of another topic: they were not fetched.
    fn give_back(&mut self, batch: &mut Batch) {
        self.events.clear();
        // Backwards, so that the first of each partition is what stays.
        for index in (0..batch.len()).rev() {
            if let Some(assigned) = self.assigned.get_mut(&batch.partitions[index]) {
                assigned.next = Some(batch.offsets[index]);
            }
            if let Some(until) = &self.input.until {
                until.unreach(batch.partitions[index]);
            }
        }
        batch.clear();
    }
}

impl Source for KafkaSource {
    fn fetch(&mut self, batch: &mut Batch, most: usize, wait: Duration) -> Result<Fetched, SourceError> {
        batch.clear();
        self.serve_events(Duration::ZERO)?;
        if let Some(announced) = self.announce() {
            return Ok(announced);
        }
        let Self { queue, assigned, input, events, .. } = self;
        let until = &input.until;
        let mut left = most;
        queue.fetch(wait, |fetched| {
            let (partition, offset) = (fetched.partition(), fetched.offset());
            if let Some(code) = fetched.error() {
                events.push(Event { partition, offset, code, text: fetched.error_text() });
                return ControlFlow::Continue(());
            }
            if until.as_ref().is_none_or(|until| !until.is_beyond(partition, offset)) {
                if let Some(assigned) = assigned.get_mut(&partition) {
                    assigned.next = Some(offset + 1);
                }
                let headers = fetched.headers();
                batch.push((partition, offset), fetched.timestamp_ms(), fetched.key(), fetched.value(), headers);
                if let Some(until) = until {
                    until.reach(partition, offset + 1);
                }
            }
            left -= 1;
            if left > 0 && batch.bytes() < BATCH_BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if batch.is_empty() && self.events.is_empty() {
            self.tell(false);
            return Ok(Fetched::Idle);
        }
        // After the records were taken: all of them are of the topic that was known until now, or there is an event before them.
        if self.queue.has_events() {
            self.serve_events(Duration::ZERO)?;
        }
        if self.is_new_topic() {
            self.give_back(batch);
            return Ok(self.announce().unwrap_or(Fetched::Idle));
        }
        self.take_events()?;
        if self.detector.as_mut().is_some_and(|detector| detector.detects(batch)) {
            return Err(dead_letters_as_input(&self.input.topic).into());
        }
        self.tell(false);
        Ok(if batch.is_empty() { Fetched::Idle } else { Fetched::Records })
    }

    fn attend(&mut self, wait: Duration) -> Result<Fetched, SourceError> {
        self.serve_events(Duration::ZERO)?;
        let mut announced = self.announced_rebalance();
        if announced.is_none() && !wait.is_zero() {
            // A rebalance is no event, so it doesn't cut this short.
            self.serve_events(wait)?;
            announced = self.announced_rebalance();
        }
        self.tell(false);
        Ok(announced.unwrap_or(Fetched::Idle))
    }

    fn settle(&mut self) -> Result<(), SourceError> {
        match self.announced.take() {
            Some(Announced::Rebalance) => self.settle_rebalance(),
            Some(Announced::NewTopic) => self.restart(),
            Some(Announced::OutOfRange) => self.settle_out_of_range(),
            None => Ok(()),
        }
    }

    fn rewind(&mut self, firsts: &Positions) -> Result<(), SourceError> {
        let mine: Vec<(i32, i64)> = firsts
            .iter()
            .map(|(p, o)| (*p, *o))
            .filter(|(partition, _)| self.assigned.contains_key(partition))
            .collect();
        if mine.is_empty() {
            return Ok(());
        }
        let failed = |error: KafkaError| {
            SourceError::Retriable(anyhow::Error::new(error).context("could not go back to the committed offsets"))
        };
        // The broker's word counts, not ours: a commit whose answer was lost may have happened.
        let committed = self.committed(mine.iter().map(|(partition, _)| *partition)).map_err(failed)?;
        let targets = mine.iter().map(|(partition, first)| {
            let committed = committed.get(partition).copied();
            (*partition, committed.unwrap_or(*first))
        });
        let targets: Vec<(i32, i64)> = targets.collect();
        // librdkafka has stopped to fetch those whose offset is out of range; settling that begins at the target.
        let seekable = targets.iter().filter(|(partition, _)| !self.out_of_range.contains_key(partition));
        let list = self.partitions(seekable.map(|(p, o)| (*p, Offset::Offset(*o)))).map_err(failed)?;
        if list.count() > 0 {
            let sought = self.consumer.seek_partitions(list, OFFSETS_LIMIT).map_err(failed)?;
            sought.elements().iter().try_for_each(|element| element.error()).map_err(failed)?;
        }
        for (partition, offset) in targets {
            if let Some(displaced) = self.out_of_range.get_mut(&partition) {
                displaced.offset = offset;
            }
            self.assigned.insert(partition, Assigned { next: Some(offset), ..Assigned::new(Offset::Offset(offset)) });
            if let Some(until) = &self.input.until {
                until.unreach(partition);
            }
        }
        Ok(())
    }

    fn commit_ends(&mut self) -> Result<bool, SourceError> {
        let failures = self.consumer.context().failed_commits();
        let (ends, failures_before) = std::mem::take(&mut self.committed_ends);
        if failures != failures_before {
            ends.keys().for_each(|partition| self.member.forget_committed(*partition));
        }
        let ends: Positions = self
            .assigned
            .iter()
            .filter_map(|(partition, assigned)| {
                let end = assigned.end.filter(|end| assigned.next.is_none_or(|next| next <= *end))?;
                (end > self.member.committed(*partition).unwrap_or(0)).then_some((*partition, end))
            })
            .collect();
        let commits = !ends.is_empty();
        if commits {
            let failed = |error: KafkaError| {
                SourceError::Retriable(anyhow::Error::new(error).context("could not commit the ends of partitions"))
            };
            let offsets = self.member.offsets(&self.input.topic, &ends).map_err(failed)?;
            // Nobody waits for it: it is tried again when it fails.
            self.consumer.commit(&offsets, CommitMode::Async).map_err(failed)?;
            self.member.note_committed(&ends);
        }
        self.committed_ends = (ends, failures);
        Ok(commits)
    }

    fn finished(&mut self) -> Option<Positions> {
        let until = self.input.until.clone()?;
        if !until.all_reached() {
            return None;
        }
        // Behind the last record there may be markers of transactions: the group's offset is moved over these.
        let committed = self.committed(self.assigned.keys().copied()).ok()?;
        let ends = self.assigned.iter().filter_map(|(partition, assigned)| {
            let at = assigned.next.max(committed.get(partition).copied())?;
            let end = until.end(*partition)?;
            (at < end).then_some((*partition, end))
        });
        Some(ends.collect())
    }

    fn places(&self) -> SourcePositions {
        self.assigned.iter().map(|(partition, assigned)| (*partition, assigned.next)).collect()
    }
}
