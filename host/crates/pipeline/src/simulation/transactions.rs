//! The transaction coordinator: producer ids and epochs, and the state of the transaction of each transactional id.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::BrokerError;
use super::log::Producer;
use mapper_core::record::Positions;

/// The index of a route, and a partition of its topic.
pub(super) type TopicPartition = (usize, usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Empty,
    Open {
        since: Duration,
    },
    /// The result is decided. The markers are written at this time.
    Ending {
        is_commit: bool,
        at: Duration,
    },
    Ended {
        is_commit: bool,
    },
}

#[derive(Debug)]
struct Transaction {
    producer: Producer,
    phase: Phase,
    partitions: BTreeSet<TopicPartition>,
    offsets: Positions,
}

/// A transaction whose result is decided, and what it changes.
#[derive(Debug)]
pub(super) struct EndedTransaction {
    pub(super) producer: Producer,
    pub(super) is_commit: bool,
    pub(super) partitions: BTreeSet<TopicPartition>,
    pub(super) offsets: Positions,
}

/// The transactions by their transactional ids.
#[derive(Debug)]
pub(super) struct TransactionCoordinator {
    timeout: Duration,
    transactions: BTreeMap<String, Transaction>,
}

impl TransactionCoordinator {
    /// Transactions that are open for longer than the timeout are aborted.
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, transactions: BTreeMap::new() }
    }

    /// Gives the next epoch of a transactional id, which fences the producers before it, and aborts what they left open.
    pub(super) fn init_producer(&mut self, id: &str) -> Result<(Producer, Option<EndedTransaction>), BrokerError> {
        let next_id = self.transactions.len() as u64;
        let transaction = self.transactions.entry(id.to_owned()).or_insert_with(|| Transaction {
            producer: Producer { id: next_id, epoch: 0 },
            phase: Phase::Empty,
            partitions: BTreeSet::new(),
            offsets: Positions::new(),
        });
        if matches!(transaction.phase, Phase::Ending { .. }) {
            return Err(BrokerError::ConcurrentTransactions);
        }
        let is_open = matches!(transaction.phase, Phase::Open { .. });
        transaction.producer.epoch += 1;
        let aborted = is_open.then(|| transaction.end(false));
        transaction.phase = Phase::Empty;
        Ok((transaction.producer, aborted))
    }

    /// Takes a partition into the transaction of this producer, or begins one with it.
    pub(super) fn add_partition(
        &mut self,
        producer: Producer,
        partition: TopicPartition,
        now: Duration,
    ) -> Result<(), BrokerError> {
        self.open(producer, now)?.partitions.insert(partition);
        Ok(())
    }

    /// Takes offsets of the group into the transaction of this producer, or begins one with them.
    pub(super) fn add_offsets(
        &mut self,
        producer: Producer,
        offsets: &Positions,
        now: Duration,
    ) -> Result<(), BrokerError> {
        self.open(producer, now)?.offsets.extend(offsets);
        Ok(())
    }

    fn open(&mut self, producer: Producer, now: Duration) -> Result<&mut Transaction, BrokerError> {
        let transaction = self.current(producer)?;
        match transaction.phase {
            Phase::Open { .. } => {}
            Phase::Empty | Phase::Ended { .. } => transaction.phase = Phase::Open { since: now },
            Phase::Ending { .. } => return Err(BrokerError::ConcurrentTransactions),
        }
        Ok(transaction)
    }

    fn current(&mut self, producer: Producer) -> Result<&mut Transaction, BrokerError> {
        let transaction = self.transactions.values_mut().find(|known| known.producer.id == producer.id);
        transaction.filter(|known| known.producer.epoch == producer.epoch).ok_or(BrokerError::Fenced)
    }

    /// Decides the result of a transaction; the markers are written later. The same request again has the same answer.
    pub(super) fn end(&mut self, producer: Producer, is_commit: bool, at: Duration) -> Result<(), BrokerError> {
        let transaction = self.current(producer)?;
        match transaction.phase {
            Phase::Open { .. } => {
                transaction.phase = Phase::Ending { is_commit, at };
                Ok(())
            }
            Phase::Empty => Ok(()),
            Phase::Ending { is_commit: before, .. } | Phase::Ended { is_commit: before } if before == is_commit => {
                Ok(())
            }
            Phase::Ending { .. } | Phase::Ended { .. } => Err(BrokerError::InvalidTransactionState),
        }
    }

    /// Whether a transaction that is not ended yet has an offset of this partition.
    pub(super) fn has_pending_offset(&self, partition: i32) -> bool {
        let is_open = |phase| matches!(phase, Phase::Open { .. } | Phase::Ending { .. });
        self.transactions.values().any(|known| is_open(known.phase) && known.offsets.contains_key(&partition))
    }

    /// The transactions whose markers are due, and those that timed out, which are fenced and aborted.
    pub(super) fn advance(&mut self, now: Duration) -> Vec<EndedTransaction> {
        let mut ended = Vec::new();
        for transaction in self.transactions.values_mut() {
            match transaction.phase {
                Phase::Ending { is_commit, at } if at <= now => ended.push(transaction.end(is_commit)),
                Phase::Open { since } if now.saturating_sub(since) >= self.timeout => {
                    transaction.producer.epoch += 1;
                    ended.push(transaction.end(false));
                }
                _ => {}
            }
        }
        ended
    }
}

impl Transaction {
    fn end(&mut self, is_commit: bool) -> EndedTransaction {
        self.phase = Phase::Ended { is_commit };
        EndedTransaction {
            producer: self.producer,
            is_commit,
            partitions: std::mem::take(&mut self.partitions),
            offsets: std::mem::take(&mut self.offsets),
        }
    }
}
