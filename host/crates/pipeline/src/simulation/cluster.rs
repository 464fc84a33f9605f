//! The simulated cluster: topics, the group and its offsets, and transactions over both. It does everything at once and by
//! the time that it is given; what is late or lost is decided by the network.

use std::time::Duration;

use super::group::{GroupCoordinator, GroupMetadata, MemberId};
use super::log::{Partition, Producer, StoredRecord};
use super::transactions::{EndedTransaction, TransactionCoordinator};
use crate::contracts::RejectionCause;
use mapper_core::decision::{RouteIndex, TopicLimits};
use mapper_core::record::{NO_TIMESTAMP, Positions};

/// Why a broker does not carry out a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerError {
    /// It cannot at the moment.
    NotAvailable,
    /// The last transaction of this producer is not ended completely.
    ConcurrentTransactions,
    /// A transaction that is not ended has offsets of the partition.
    UnstableOffsets,
    /// There is a newer epoch of the producer id.
    Fenced,
    InvalidTransactionState,
    UnknownMember,
    IllegalGeneration,
    RebalanceInProgress,
}

impl BrokerError {
    pub(super) fn is_retriable(self) -> bool {
        matches!(self, Self::NotAvailable | Self::ConcurrentTransactions | Self::UnstableOffsets)
    }
}

/// How the cluster is set up.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    pub input_partitions: i32,
    /// Per route: the output topics, then the dead-letter topic.
    pub limits: Vec<TopicLimits>,
    pub output_partitions: usize,
    pub session_timeout: Duration,
    /// `max.poll.interval.ms` of the members, for which a rebalance waits as well.
    pub max_poll_interval: Duration,
    pub transaction_timeout: Duration,
    /// How long it takes from the decision about a transaction to its markers.
    pub marker_delay: Duration,
    /// Whether the broker names the records of a request that it rejects.
    pub names_rejected: bool,
}

impl ClusterSettings {
    /// Partitions of an input topic, an output topic and a dead-letter topic, and the usual timeouts.
    pub fn new(input_partitions: i32) -> Self {
        Self {
            input_partitions,
            limits: vec![TopicLimits::default(); 2],
            output_partitions: 1,
            session_timeout: Duration::from_secs(10),
            max_poll_interval: Duration::from_secs(60),
            transaction_timeout: Duration::from_secs(60),
            marker_delay: Duration::from_millis(5),
            names_rejected: true,
        }
    }
}

/// A record that a broker rejects, by its index in the request.
pub(super) struct RejectedRecord {
    pub(super) index: usize,
    pub(super) cause: RejectionCause,
}

/// What readers of the output topics and of the committed offsets see change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Records and offsets of a transaction.
    Transaction { records: Vec<(RouteIndex, StoredRecord)>, offsets: Positions },
    /// A record outside of a transaction.
    Record { route: RouteIndex, record: StoredRecord },
    /// Offsets outside of a transaction.
    Offsets(Positions),
}

type LateRequest = Box<dyn FnOnce(&mut Cluster, Duration)>;

/// The cluster.
pub struct Cluster {
    settings: ClusterSettings,
    input: Vec<Partition>,
    /// Per route.
    outputs: Vec<Vec<Partition>>,
    group: GroupCoordinator,
    offsets: Positions,
    transactions: TransactionCoordinator,
    late: Vec<(Duration, LateRequest)>,
    changes: Vec<Change>,
}

impl Cluster {
    /// A cluster with empty topics.
    pub fn new(settings: ClusterSettings) -> Self {
        let partitions = |count: usize| (0..count).map(|_| Partition::default()).collect();
        Self {
            input: partitions(settings.input_partitions as usize),
            outputs: settings.limits.iter().map(|_| partitions(settings.output_partitions)).collect(),
            group: GroupCoordinator::new(
                settings.input_partitions,
                settings.session_timeout,
                settings.max_poll_interval,
            ),
            offsets: Positions::new(),
            transactions: TransactionCoordinator::new(settings.transaction_timeout),
            late: Vec::new(),
            changes: Vec::new(),
            settings,
        }
    }

    /// The settings.
    pub fn settings(&self) -> &ClusterSettings {
        &self.settings
    }

    /// Changes what the topic of a route accepts.
    pub fn set_limits(&mut self, route: usize, limits: TopicLimits) {
        self.settings.limits[route] = limits;
    }

    /// What the topics accept.
    pub fn limits(&self) -> &[TopicLimits] {
        &self.settings.limits
    }

    /// Appends a record to the input topic. Returns its offset.
    pub fn append_input(&mut self, partition: i32, record: StoredRecord) -> i64 {
        let partition = &mut self.input[partition as usize];
        let offset = partition.end();
        partition.append(record);
        offset
    }

    /// Appends a record to the input topic in a transaction of its own, which is committed or aborted. Returns its offset.
    pub fn append_input_transaction(&mut self, partition: i32, record: StoredRecord, is_commit: bool) -> i64 {
        let other = Producer { id: u64::MAX, epoch: 0 };
        let partition = &mut self.input[partition as usize];
        let offset = partition.end();
        let appended = partition.append_in_transaction(other, record);
        debug_assert_eq!(appended, Ok(()), "a producer of its own epoch is not fenced");
        partition.end_transaction(other, is_commit);
        offset
    }

    /// The committed records of an input partition from an offset on.
    pub fn input(&self, partition: i32, from: i64) -> impl Iterator<Item = (i64, &StoredRecord)> {
        self.input[partition as usize].read_committed(from)
    }

    /// The end of an input partition for a reader of committed records.
    pub fn input_end(&self, partition: i32) -> i64 {
        self.input[partition as usize].last_stable_offset()
    }

    /// The committed records of the topic of a route, partition by partition.
    pub fn output(&self, route: usize) -> impl Iterator<Item = (usize, &StoredRecord)> {
        let all = self.outputs[route].iter().enumerate();
        all.flat_map(|(number, partition)| partition.read_committed(0).map(move |(_, record)| (number, record)))
    }

    /// The committed offsets of the group.
    pub fn committed(&self) -> &Positions {
        &self.offsets
    }

    /// What has changed since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Does what is due at this time: late requests, markers, timeouts of transactions and of sessions.
    pub fn advance(&mut self, now: Duration) {
        while let Some(next) =
            self.late.iter().enumerate().filter(|(_, (at, _))| *at <= now).min_by_key(|(_, (at, _))| *at)
        {
            let (at, request) = self.late.remove(next.0);
            request(self, at);
        }
        for ended in self.transactions.advance(now) {
            self.complete(ended);
        }
        self.group.advance(now);
    }

    pub(super) fn postpone(&mut self, at: Duration, request: impl FnOnce(&mut Self, Duration) + 'static) {
        self.late.push((at, Box::new(request)));
    }

    fn complete(&mut self, ended: EndedTransaction) {
        let mut records = Vec::new();
        for (route, partition) in ended.partitions {
            let committed = self.outputs[route][partition].end_transaction(ended.producer, ended.is_commit);
            records.extend(committed.into_iter().map(|record| (route, record)));
        }
        if ended.is_commit {
            self.offsets.extend(&ended.offsets);
            self.changes.push(Change::Transaction { records, offsets: ended.offsets });
        }
    }

    pub(super) fn init_producer(&mut self, transactional_id: &str) -> Result<Producer, BrokerError> {
        let (producer, aborted) = self.transactions.init_producer(transactional_id)?;
        if let Some(aborted) = aborted {
            self.complete(aborted);
        }
        Ok(producer)
    }

    /// Appends records to the topic of a route, all or none. Without a producer they are visible at once.
    pub(super) fn produce(
        &mut self,
        producer: Option<Producer>,
        route: usize,
        records: &[StoredRecord],
        now: Duration,
    ) -> Result<Vec<RejectedRecord>, BrokerError> {
        let limits = &self.settings.limits[route];
        let rejected = records.iter().enumerate();
        let rejected: Vec<_> = rejected
            .filter_map(|(index, record)| Some(RejectedRecord { index, cause: objection(limits, record, now)? }))
            .collect();
        if !rejected.is_empty() {
            return Ok(rejected);
        }
        for record in records {
            let partition = partition_of(record.key.as_deref(), self.settings.output_partitions);
            match producer {
                Some(producer) => {
                    self.transactions.add_partition(producer, (route, partition), now)?;
                    self.outputs[route][partition].append_in_transaction(producer, record.clone())?;
                }
                None => {
                    self.outputs[route][partition].append(record.clone());
                    self.changes.push(Change::Record { route, record: record.clone() });
                }
            }
        }
        Ok(rejected)
    }

    /// Takes offsets of the group into a transaction, in the name of a member.
    pub(super) fn add_offsets(
        &mut self,
        producer: Producer,
        offsets: &Positions,
        metadata: GroupMetadata,
        now: Duration,
    ) -> Result<(), BrokerError> {
        self.group.check_commit(metadata, true)?;
        self.transactions.add_offsets(producer, offsets, now)
    }

    pub(super) fn end_transaction(
        &mut self,
        producer: Producer,
        is_commit: bool,
        now: Duration,
    ) -> Result<(), BrokerError> {
        self.transactions.end(producer, is_commit, now + self.settings.marker_delay)
    }

    /// Commits offsets without a transaction, in the name of a member.
    pub(super) fn commit_offsets(&mut self, offsets: &Positions, metadata: GroupMetadata) -> Result<(), BrokerError> {
        self.group.check_commit(metadata, false)?;
        self.offsets.extend(offsets);
        self.changes.push(Change::Offsets(offsets.clone()));
        Ok(())
    }

    /// The committed offsets of some partitions, once no open transaction can change them.
    pub(super) fn stable_offsets(&self, partitions: &[i32]) -> Result<Positions, BrokerError> {
        if partitions.iter().any(|partition| self.transactions.has_pending_offset(*partition)) {
            return Err(BrokerError::UnstableOffsets);
        }
        let committed = partitions.iter().filter_map(|partition| Some((*partition, *self.offsets.get(partition)?)));
        Ok(committed.collect())
    }

    pub(super) fn join(&mut self, member: Option<MemberId>, now: Duration) -> Result<MemberId, BrokerError> {
        let member = self.group.join(member, now)?;
        self.group.advance(now);
        Ok(member)
    }

    pub(super) fn sync(&mut self, member: MemberId, now: Duration) -> Result<Option<(u32, Vec<i32>)>, BrokerError> {
        self.group.sync(member, now)
    }

    pub(super) fn heartbeat(&mut self, member: MemberId, generation: u32, now: Duration) -> Result<(), BrokerError> {
        self.group.heartbeat(member, generation, now)
    }

    pub(super) fn leave(&mut self, member: MemberId, now: Duration) {
        self.group.leave(member, now);
        self.group.advance(now);
    }
}

/// Why a broker rejects a record.
fn objection(limits: &TopicLimits, record: &StoredRecord, now: Duration) -> Option<RejectionCause> {
    let bytes = record.key.as_deref().map_or(0, <[u8]>::len) + record.value.as_deref().map_or(0, <[u8]>::len);
    if bytes > limits.max_record_bytes {
        return Some(RejectionCause::TooLarge);
    }
    let (now_ms, timestamp_ms) = (now.as_millis() as i64, record.timestamp_ms.unwrap_or(NO_TIMESTAMP));
    if timestamp_ms != NO_TIMESTAMP && !limits.accepts_timestamp(timestamp_ms, now_ms) {
        return Some(RejectionCause::Timestamp);
    }
    (limits.needs_key && record.key.is_none()).then_some(RejectionCause::Other)
}

/// FNV-1a of the key: the same key goes to the same partition.
fn partition_of(key: Option<&[u8]>, partitions: usize) -> usize {
    let hash = key
        .unwrap_or_default()
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash as usize % partitions
}
