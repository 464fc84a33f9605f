//! The source of the pipeline on Kafka: a member of a consumer group.
//!
//! Records have a queue of their own. So a rebalance occurs only between two batches. The source applies it after the pipeline has
//! committed.

mod batches;
mod dead_letters;
mod leaving;
mod numbers;
mod position;
mod receive;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::{self, KafkaSettings};
use super::input::Input;
use super::limits::OFFSETS_LIMIT;
use super::member::{GroupConsumer, GroupContext, Member, Rebalance, join};
use super::native::RecordQueue;
use super::start::ResetPolicy;
use mapper_core::dead_letter::DeadLetterDetector;
use mapper_core::record::{Batch, Positions, SourcePositions};
use mapper_core::shutdown::Halt;
use mapper_core::topic_table::TopicNames;
use mapper_core::topics::TopicId;
use mapper_pipeline::contracts::{CommittedRange, Fetched, PartitionPosition, Source, SourceError, SourceObserver};
use state::{Announcement, Assigned, Event, Gap, NewTopic, OutOfRangeOffset, handle_error};

/// The interval in which the source reports its positions.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// Reads the partitions that the group assigns to this worker.
pub struct KafkaSource {
    // Before the consumer, so that Rust drops it first.
    queue: RecordQueue<GroupContext>,
    consumer: Arc<GroupConsumer>,
    member: Member,
    settings: KafkaSettings,
    reset: ResetPolicy,
    input: Arc<Input>,
    /// The input topics, as far as this worker has seen them.
    topics: TopicNames,
    /// The names for librdkafka, by index.
    native_topics: Vec<CString>,
    observer: Arc<dyn SourceObserver>,
    last_report: Instant,
    assigned: BTreeMap<i32, Assigned>,
    events: Vec<Event>,
    announced: Option<Announcement>,
    /// The number of topic id changes that the source has checked.
    topic_id_changes: u64,
    new_topic: Option<NewTopic>,
    /// Deleted topics that the source read. A broker with old metadata can still return them.
    retired: BTreeSet<TopicId>,
    out_of_range: BTreeMap<i32, OutOfRangeOffset>,
    gaps: BTreeMap<i32, Gap>,
    /// By the index of the topic.
    detectors: BTreeMap<usize, DeadLetterDetector>,
    /// The mean size of a record of the last batch, if that was full: then the queue has more of them.
    backlog_record_bytes: Option<usize>,
}

impl KafkaSource {
    /// Joins the group.
    ///
    /// # Errors
    /// If librdkafka refuses a property.
    pub fn new(settings: &KafkaSettings, input: Arc<Input>, observer: Arc<dyn SourceObserver>) -> KafkaResult<Self> {
        let (queue, consumer) = join(settings, &input.topics)?;
        Ok(Self {
            queue,
            member: Member::new(consumer.clone()),
            consumer,
            settings: settings.clone(),
            reset: ResetPolicy::from_properties(&settings.properties),
            topics: TopicNames::new(Vec::<String>::new()),
            native_topics: Vec::new(),
            detectors: BTreeMap::new(),
            backlog_record_bytes: None,
            input,
            observer,
            last_report: Instant::now(),
            assigned: BTreeMap::new(),
            events: Vec::new(),
            announced: None,
            topic_id_changes: 0,
            new_topic: None,
            retired: BTreeSet::new(),
            out_of_range: BTreeMap::new(),
            gaps: BTreeMap::new(),
        })
    }

    /// The group membership; the sink commits with it.
    pub fn member(&self) -> Member {
        self.member.clone()
    }

    /// Serves all events except records. The context queues the rebalances. Waits only for the first event.
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
                // A partition is routed to the record queue before its first fetch. Otherwise the host ends, and no record is lost.
                Ok(record) => {
                    let (topic, partition, offset) = (record.topic(), record.partition(), record.offset());
                    let mistake =
                        anyhow::anyhow!("{topic}, partition {partition}, offset {offset} is not in the record queue");
                    return Err(Halt::internal(mistake).into());
                }
                Err(error) => self.handle_error(&error.to_string(), error.rdkafka_error_code())?,
            }
        }
    }

    fn announced_rebalance(&mut self) -> Option<Fetched> {
        let announced = self.consumer.context().rebalances().front().map(|rebalance| match rebalance {
            Rebalance::Assign(_) => Fetched::Assigned,
            Rebalance::Revoke { lost, .. } => Fetched::Revoked { lost: *lost },
        });
        self.announced = announced.is_some().then_some(Announcement::Rebalance);
        announced
    }

    /// An event that requires a commit before the next fetch.
    fn announce(&mut self) -> Option<Fetched> {
        let is_new = self.check_new_topic();
        match self.announced_rebalance() {
            // Partitions are revoked with the committed offsets of the old topic.
            Some(announced) if !is_new || announced != Fetched::Assigned => return Some(announced),
            _ => {}
        }
        if is_new {
            self.announced = Some(Announcement::NewTopic);
            return Some(Fetched::TopicRecreated { missing: self.missing_partitions() });
        }
        if self.out_of_range.is_empty() {
            return None;
        }
        self.announced = Some(Announcement::OutOfRange);
        Some(Fetched::OffsetOutOfRange)
    }

    /// Reports the positions: from time to time, or at once after a rebalance.
    fn report_positions(&mut self, at_once: bool) {
        if !at_once && self.last_report.elapsed() < REPORT_INTERVAL {
            return;
        }
        self.last_report = Instant::now();
        let positions = self.assigned.iter().map(|(partition, assigned)| {
            let end = self.cached_end(*partition);
            // After the last record there can be transaction markers, which a consumer does not return.
            let position = assigned.next.map(|next| assigned.end.map_or(next, |end| next.max(end)));
            PartitionPosition { partition: *partition, position, end }
        });
        self.observer.set_positions(&mut { positions });
    }

    fn partition_list(&self, offsets: impl Iterator<Item = (i32, Offset)>) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (number, offset) in offsets {
            list.add_partition_offset(self.topics.topic(number), self.topics.partition(number), offset)?;
        }
        Ok(list)
    }

    /// Reads the committed offsets. Offsets of a deleted topic are missing.
    fn read_committed(&self, partitions: impl Iterator<Item = i32>) -> KafkaResult<Positions> {
        let committed = client::read_committed(&self.consumer, &self.topics, partitions, OFFSETS_LIMIT)?;
        Ok(client::filter_by_topic(committed, |number| self.identity(self.topics.index(number))))
    }

    fn handle_error(&self, what: &str, code: Option<RDKafkaErrorCode>) -> Result<(), SourceError> {
        handle_error((&self.input.topics.to_string(), &self.settings.group), what, code)
    }
}

impl Source for KafkaSource {
    fn fetch(&mut self, batch: &mut Batch, max_records: usize, wait: Duration) -> Result<Fetched, SourceError> {
        batch.clear();
        self.serve_events(Duration::ZERO)?;
        if let Some(announced) = self.announce() {
            return Ok(announced);
        }
        if !batch.topics.is_same(&self.topics) {
            batch.topics = self.topics.clone();
        }
        if self.assigned.values().any(|assigned| assigned.seek.is_some()) {
            self.correct_positions()?;
        }
        self.receive(batch, max_records, wait)?;
        if batch.is_empty() && self.events.is_empty() {
            self.report_positions(false);
            return Ok(Fetched::Idle);
        }
        // Checked after the fetch: the event of a recreated topic precedes its records.
        if self.queue.has_events() {
            self.serve_events(Duration::ZERO)?;
        }
        if self.check_new_topic() {
            self.discard_batch(batch);
            return Ok(self.announce().unwrap_or(Fetched::Idle));
        }
        self.take_events()?;
        self.refuse_dead_letters(batch)?;
        self.report_positions(false);
        Ok(if batch.is_empty() { Fetched::Idle } else { Fetched::Records })
    }

    fn attend(&mut self, wait: Duration) -> Result<Fetched, SourceError> {
        self.serve_events(Duration::ZERO)?;
        let mut announced = self.announced_rebalance();
        if announced.is_none() && !wait.is_zero() {
            // A rebalance does not end this wait early.
            self.serve_events(wait)?;
            announced = self.announced_rebalance();
        }
        self.report_positions(false);
        Ok(announced.unwrap_or(Fetched::Idle))
    }

    fn settle(&mut self) -> Result<(), SourceError> {
        match self.announced.take() {
            Some(Announcement::Rebalance) => self.settle_rebalance(),
            Some(Announcement::NewTopic) => self.restart(),
            Some(Announcement::OutOfRange) => self.settle_out_of_range(),
            None => Ok(()),
        }
    }

    fn rewind(&mut self, firsts: &Positions) -> Result<(), SourceError> {
        let assigned: Vec<(i32, i64)> = firsts
            .iter()
            .map(|(p, o)| (*p, *o))
            .filter(|(partition, _)| self.assigned.contains_key(partition))
            .collect();
        if assigned.is_empty() {
            return Ok(());
        }
        let failed = |error: KafkaError| {
            SourceError::Retriable(anyhow::Error::new(error).context("failed to rewind to the committed offsets"))
        };
        // The broker has the valid offsets: a commit can have succeeded although its answer was lost.
        let committed = self.read_committed(assigned.iter().map(|(partition, _)| *partition)).map_err(failed)?;
        assigned.iter().for_each(|(partition, _)| self.member.remove_committed(*partition));
        self.member.record_committed(&committed);
        let targets = assigned.iter().map(|(partition, first)| {
            let committed = committed.get(partition).copied();
            (*partition, committed.unwrap_or(*first))
        });
        let targets: Vec<(i32, i64)> = targets.collect();
        // librdkafka does not fetch a partition whose offset is out of range. `settle_out_of_range` starts at the target.
        let seekable = targets.iter().filter(|(partition, _)| !self.out_of_range.contains_key(partition));
        self.seek(seekable.copied()).map_err(failed)?;
        for (partition, offset) in targets {
            if let Some(displaced) = self.out_of_range.get_mut(&partition) {
                displaced.offset = offset;
            }
            self.assigned.insert(partition, Assigned { next: Some(offset), ..Assigned::new(Offset::Offset(offset)) });
            if let Some(until) = &self.input.until {
                until.reopen(partition);
            }
        }
        Ok(())
    }

    fn uncommitted_ends(&mut self) -> Positions {
        let ends = self.assigned.iter().filter_map(|(partition, assigned)| {
            let end = assigned.end.filter(|end| assigned.next.is_none_or(|next| next <= *end))?;
            (end > self.member.committed(*partition).unwrap_or(0)).then_some((*partition, end))
        });
        ends.collect()
    }

    fn finished(&mut self) -> Option<Positions> {
        let until = self.input.until.clone()?;
        if !until.all_reached() {
            return None;
        }
        // After the last record there can be transaction markers. The committed offset moves beyond them.
        let committed = self.read_committed(self.assigned.keys().copied()).ok()?;
        let ends = self.assigned.iter().filter_map(|(partition, assigned)| {
            let at = assigned.next.max(committed.get(partition).copied())?;
            let end = until.end(*partition)?;
            (at < end).then_some((*partition, end))
        });
        Some(ends.collect())
    }

    fn positions(&self) -> SourcePositions {
        self.assigned.iter().map(|(partition, assigned)| (*partition, assigned.next)).collect()
    }

    fn committed_range(&self, partition: i32) -> CommittedRange {
        self.describe_committed(partition)
    }
}
