//! The source of the pipeline on Kafka: a member of a consumer group.
//!
//! Records come through a queue apart from everything else, so a rebalance is only ever met between two batches, and is
//! carried out when the pipeline says so: it commits what is done first.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::CString;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use super::call_thread::destroy_within;
use super::client::{self, KafkaSettings};
use super::limits::{CLOSE_LIMIT, OFFSETS_LIMIT};
use super::native::{RecordQueue, end_heard_of};
use super::permissions::{Missing, Operation, Resource};
use super::until::Until;
use crate::pipeline::{Fetched, Source, Trouble};
use crate::record::{Batch, Places, Positions};
use crate::shutdown::Halt;
use crate::telemetry::Telemetry;

/// A batch is handed on once it has this many bytes, however few records that are.
const BATCH_BYTES: usize = 1 << 20;
/// How often it is told where this worker is in its partitions.
const TELL_EVERY: Duration = Duration::from_millis(500);

enum Rebalance {
    Assign(TopicPartitionList),
    Revoke { partitions: TopicPartitionList, lost: bool },
}

/// Keeps rebalances until the pipeline has time for them.
#[derive(Default)]
pub struct GroupContext {
    rebalances: Mutex<VecDeque<Rebalance>>,
    closing: AtomicBool,
}

impl GroupContext {
    fn rebalances(&self) -> MutexGuard<'_, VecDeque<Rebalance>> {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::report(&error, reason);
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let partitions = partitions.clone();
        let rebalance = if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            Rebalance::Assign(partitions)
        } else {
            Rebalance::Revoke { partitions, lost: consumer.assignment_lost() }
        };
        if !self.closing.load(Ordering::Relaxed) {
            self.rebalances().push_back(rebalance);
        } else if let Err(error) = carry_out(consumer, &rebalance) {
            // The consumer is being dropped; the group notices by itself that it is gone.
            tracing::debug!(%error, "a rebalance at the end");
        }
    }
}

fn carry_out(consumer: &BaseConsumer<GroupContext>, rebalance: &Rebalance) -> KafkaResult<()> {
    let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
    match rebalance {
        Rebalance::Assign(partitions) if cooperative => consumer.incremental_assign(partitions),
        Rebalance::Assign(partitions) => consumer.assign(partitions),
        Rebalance::Revoke { partitions, .. } if cooperative => consumer.incremental_unassign(partitions),
        Rebalance::Revoke { .. } => consumer.unassign(),
    }
}

/// A consumer in a group.
pub type GroupConsumer = BaseConsumer<GroupContext>;

/// Records of one topic, from the partitions that the group gives this worker.
pub struct KafkaSource {
    // Before the consumer, so that it is dropped first.
    queue: RecordQueue<GroupContext>,
    consumer: Arc<GroupConsumer>,
    topic: Arc<str>,
    group: String,
    native_topic: CString,
    number: usize,
    telemetry: Arc<Telemetry>,
    told: Instant,
    /// The partitions that this worker has, and the offset after the last record fetched, once there is one.
    assigned: BTreeMap<i32, Option<i64>>,
    until: Option<Arc<Until>>,
    events: Vec<(i32, i64, RDKafkaErrorCode)>,
}

impl KafkaSource {
    /// Joins the group, for the worker of that number. With `until`, it ends where that says.
    ///
    /// # Errors
    /// When librdkafka refuses a property.
    pub fn new(
        settings: &KafkaSettings,
        topic: &Arc<str>,
        until: Option<Arc<Until>>,
        (number, telemetry): (usize, Arc<Telemetry>),
    ) -> KafkaResult<Self> {
        let config = settings.consumer(until.is_some());
        let consumer = Arc::new(GroupConsumer::from_config_and_context(&config, GroupContext::default())?);
        consumer.subscribe(&[topic])?;
        let queue = RecordQueue::new(consumer.clone());
        Ok(Self {
            queue,
            consumer,
            topic: topic.clone(),
            group: settings.group.clone(),
            native_topic: CString::new(&**topic)?,
            number,
            telemetry,
            told: Instant::now(),
            assigned: BTreeMap::new(),
            until,
            events: Vec::new(),
        })
    }

    /// The consumer, for the sink: offsets are committed in its name.
    pub fn consumer(&self) -> Arc<GroupConsumer> {
        self.consumer.clone()
    }

    /// Leaves the group, and destroys the consumer unless somebody else has it. Neither is waited for longer than a few seconds: the
    /// group notices by itself that a member is gone.
    pub fn close(self) {
        let consumer = self.consumer.clone();
        drop(self);
        if !destroy_within("consumer-close", consumer, CLOSE_LIMIT) {
            let limit = CLOSE_LIMIT.as_secs();
            tracing::warn!(target: "kafka", "the consumer did not leave the group within {limit} s; the group waits for its session timeout");
        }
    }

    /// Serves everything that is not records; the rebalances among it are kept by the context. Waits for the first.
    fn serve_events(&self, wait: Duration) -> Result<(), Trouble> {
        let mut wait = wait;
        while let Some(event) = self.consumer.poll(std::mem::take(&mut wait)) {
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
        Ok(())
    }

    fn announced(&self) -> Option<Fetched> {
        self.consumer.context().rebalances().front().map(|rebalance| match rebalance {
            Rebalance::Assign(_) => Fetched::Assigned,
            Rebalance::Revoke { lost, .. } => Fetched::Revoked { lost: *lost },
        })
    }

    /// Tells where it is, now and then, or at once after a rebalance.
    fn tell(&mut self, at_once: bool) {
        if !at_once && self.told.elapsed() < TELL_EVERY {
            return;
        }
        self.told = Instant::now();
        let places = self.assigned.iter().map(|(partition, position)| {
            (*partition, *position, end_heard_of(&self.consumer, &self.native_topic, *partition))
        });
        self.telemetry.workers.worker(self.number).is_at(places);
    }

    fn partitions(&self, of: impl Iterator<Item = (i32, Offset)>) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in of {
            list.add_partition_offset(&self.topic, partition, offset)?;
        }
        Ok(list)
    }

    fn committed(&self, partitions: impl Iterator<Item = i32>) -> KafkaResult<BTreeMap<i32, i64>> {
        client::committed(&self.consumer, &self.topic, partitions, OFFSETS_LIMIT)
    }

    fn complain(&self, what: &str, code: Option<RDKafkaErrorCode>) -> Result<(), Trouble> {
        complain((&self.topic, &self.group), what, code)
    }

    fn take_events(&mut self) -> Result<(), Trouble> {
        for (partition, offset, code) in std::mem::take(&mut self.events) {
            match (code, &self.until) {
                (RDKafkaErrorCode::PartitionEOF, Some(until)) => until.reach(partition, offset),
                (RDKafkaErrorCode::PartitionEOF, None) => {}
                _ => self.complain(&format!("partition {partition}: {code}"), Some(code))?,
            }
        }
        Ok(())
    }
}

/// An error that a consumer of the group reports about a topic: most pass, and librdkafka goes on by itself.
fn complain((topic, group): (&str, &str), what: &str, code: Option<RDKafkaErrorCode>) -> Result<(), Trouble> {
    let refused = |why: String| Err(Halt::kafka(format!("Kafka refuses to let this host read: {what}{why}")).into());
    match code {
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            refused(format!(": {}", Missing::new([Operation::Describe, Operation::Read], Resource::Topic(topic))))
        }
        Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {
            refused(format!(": {}", Missing::new([Operation::Read], Resource::Group(group))))
        }
        Some(
            RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::Fatal
            | RDKafkaErrorCode::FencedInstanceId
            | RDKafkaErrorCode::AutoOffsetReset,
        ) => refused(String::new()),
        _ => {
            tracing::warn!(target: "kafka", "the consumer reports: {what}");
            Ok(())
        }
    }
}

impl Drop for KafkaSource {
    /// From here on rebalances are carried out at once, as there is no pipeline to wait for. One that waits would keep the consumer
    /// from leaving the group, and whoever destroys it waits for that.
    fn drop(&mut self) {
        self.consumer.context().closing.store(true, Ordering::Relaxed);
        for rebalance in self.consumer.context().rebalances().drain(..) {
            let _ = carry_out(&self.consumer, &rebalance);
        }
    }
}

impl Source for KafkaSource {
    fn fetch(&mut self, batch: &mut Batch, most: usize, wait: Duration) -> Result<Fetched, Trouble> {
        batch.clear();
        self.serve_events(Duration::ZERO)?;
        if let Some(announced) = self.announced() {
            return Ok(announced);
        }
        let Self { queue, assigned, until, events, .. } = self;
        let mut left = most;
        queue.fetch(wait, |fetched| {
            let (partition, offset) = (fetched.partition(), fetched.offset());
            if let Some(code) = fetched.error() {
                events.push((partition, offset, code));
                return ControlFlow::Continue(());
            }
            if until.as_ref().is_none_or(|until| !until.is_beyond(partition, offset)) {
                assigned.insert(partition, Some(offset + 1));
                let headers = fetched.headers();
                batch.push((partition, offset), fetched.timestamp_ms(), fetched.key(), fetched.value(), headers);
                if let Some(until) = until {
                    until.reach(partition, offset + 1);
                }
            }
            left -= 1;
            if left > 0 && batch.bytes() < BATCH_BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        self.take_events()?;
        self.tell(false);
        Ok(if batch.is_empty() { Fetched::Idle } else { Fetched::Records })
    }

    fn attend(&mut self, wait: Duration) -> Result<Fetched, Trouble> {
        self.serve_events(Duration::ZERO)?;
        if self.announced().is_none() && !wait.is_zero() {
            // A rebalance is no event, so it doesn't cut this short.
            self.serve_events(wait)?;
        }
        self.tell(false);
        Ok(self.announced().unwrap_or(Fetched::Idle))
    }

    fn settle(&mut self) -> Result<(), Trouble> {
        let Some(rebalance) = self.consumer.context().rebalances().pop_front() else { return Ok(()) };
        let failed = |error: KafkaError| Trouble::Again(format!("a rebalance could not be carried out: {error}"));
        match &rebalance {
            Rebalance::Assign(partitions) => {
                for partition in partitions.elements().iter().map(|element| element.partition()) {
                    self.queue.route(&self.topic, partition).map_err(failed)?;
                    self.assigned.insert(partition, None);
                }
            }
            Rebalance::Revoke { partitions, .. } => {
                for partition in partitions.elements().iter().map(|element| element.partition()) {
                    self.assigned.remove(&partition);
                    // What of it was given up is done again by whoever has it next, and who then sees its end.
                    if let Some(until) = &self.until {
                        until.unreach(partition);
                    }
                }
            }
        }
        // Who loses its partitions was put out of the group.
        let member = !matches!(rebalance, Rebalance::Revoke { lost: true, .. });
        let kind = if matches!(rebalance, Rebalance::Assign(_)) { "assigned" } else { "revoked" };
        tracing::debug!(target: "kafka", partitions = ?self.assigned.keys(), "{kind}");
        carry_out(&self.consumer, &rebalance).map_err(|error| {
            // It is still to be done.
            self.consumer.context().rebalances().push_front(rebalance);
            failed(error)
        })?;
        self.telemetry.workers.set_member(&self.telemetry.health, self.number, member);
        self.tell(true);
        Ok(())
    }

    fn rewind(&mut self, firsts: &Positions) -> Result<(), Trouble> {
        let mine: Vec<(i32, i64)> = firsts
            .iter()
            .map(|(p, o)| (*p, *o))
            .filter(|(partition, _)| self.assigned.contains_key(partition))
            .collect();
        if mine.is_empty() {
            return Ok(());
        }
        let failed = |error: KafkaError| Trouble::Again(format!("could not go back to the committed offsets: {error}"));
        // The broker's word counts, not ours: a commit whose answer was lost may have happened.
        let committed = self.committed(mine.iter().map(|(partition, _)| *partition)).map_err(failed)?;
        let targets = mine.iter().map(|(partition, first)| {
            let committed = committed.get(partition).copied();
            (*partition, committed.unwrap_or(*first))
        });
        let targets: Vec<(i32, i64)> = targets.collect();
        let list = self.partitions(targets.iter().map(|(p, o)| (*p, Offset::Offset(*o)))).map_err(failed)?;
        let sought = self.consumer.seek_partitions(list, OFFSETS_LIMIT).map_err(failed)?;
        sought.elements().iter().try_for_each(|element| element.error()).map_err(failed)?;
        for (partition, offset) in targets {
            self.assigned.insert(partition, Some(offset));
            if let Some(until) = &self.until {
                until.unreach(partition);
            }
        }
        Ok(())
    }

    fn finished(&mut self) -> Option<Positions> {
        let until = self.until.as_ref()?;
        if !until.all_reached() {
            return None;
        }
        // Behind the last record there may be markers of transactions: the group's offset is moved over these.
        let committed = self.committed(self.assigned.keys().copied()).ok()?;
        let ends = self.assigned.iter().filter_map(|(partition, next)| {
            let at = (*next).max(committed.get(partition).copied())?;
            let end = until.end(*partition)?;
            (at < end).then_some((*partition, end))
        });
        Some(ends.collect())
    }

    fn places(&self) -> Places {
        self.assigned.clone()
    }
}
