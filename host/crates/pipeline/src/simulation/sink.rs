//! The sink of a pipeline on the simulated cluster: a producer that buffers records, with or without transactions.

use std::collections::VecDeque;
use std::time::Duration;

use super::log::{Producer, StoredRecord};
use super::network::{CallError, Request};
use super::{BrokerError, Connection, Member};
use crate::contracts::{Outgoing, Rejection, Sink, SinkError};
use mapper_core::decision::{RouteIndex, TopicLimits};
use mapper_core::record::{Header, Position, Positions};
use mapper_core::shutdown::Halt;

/// A producer that is fenced this often within [`FENCED_WITHIN`] has a rival of the same transactional id.
const MOST_FENCED: usize = 3;
const FENCED_WITHIN: Duration = Duration::from_secs(60);

/// Produces to the output topics, and commits in the name of a member.
pub struct SimulatedSink {
    connection: Connection,
    member: Member,
    /// `None`: at least once.
    transactional_id: Option<String>,
    producer: Option<Producer>,
    in_transaction: bool,
    /// A request that ends the transaction may still be on its way: a new producer fences it.
    is_spent: bool,
    has_rejection: bool,
    buffered: Vec<(RouteIndex, StoredRecord)>,
    fenced: VecDeque<Duration>,
}

impl SimulatedSink {
    /// A sink that commits exactly once if it has a transactional id.
    pub fn new(connection: Connection, member: Member, transactional_id: Option<String>) -> Self {
        Self {
            connection,
            member,
            transactional_id,
            producer: None,
            in_transaction: false,
            is_spent: false,
            has_rejection: false,
            buffered: Vec::new(),
            fenced: VecDeque::new(),
        }
    }

    fn connect(&mut self) -> Result<(), SinkError> {
        let Some(id) = self.transactional_id.clone().filter(|_| self.producer.is_none()) else { return Ok(()) };
        let answer = self.connection.call(Request::InitProducer, move |cluster, _| cluster.init_producer(&id));
        let producer = answer.map_err(|error| SinkError::from(error.into_source_error("init_producer")))?;
        self.producer = Some(producer);
        Ok(())
    }

    fn forget_producer(&mut self) {
        (self.producer, self.in_transaction, self.is_spent) = (None, false, false);
        self.buffered.clear();
    }

    fn classify(&mut self, error: CallError, call: &str) -> SinkError {
        match error {
            CallError::TimedOut => self.is_spent = true,
            CallError::Broker(BrokerError::Fenced) => {
                if let Some(halt) = self.fenced_again() {
                    return halt.into();
                }
            }
            CallError::Broker(BrokerError::InvalidTransactionState) => self.forget_producer(),
            CallError::Broker(_) | CallError::Dead => {}
        }
        error.into_source_error(call).into()
    }

    fn fenced_again(&mut self) -> Option<Halt> {
        self.forget_producer();
        let now = self.connection.network.now();
        self.fenced.retain(|at| now.saturating_sub(*at) < FENCED_WITHIN);
        self.fenced.push_back(now);
        let id = self.transactional_id.as_deref().unwrap_or_default();
        let reason = format!("the transactional id '{id}' was taken over {MOST_FENCED} times: another host uses it");
        (self.fenced.len() >= MOST_FENCED).then(|| Halt::kafka(reason))
    }

    /// Sends what is buffered, one request a topic.
    fn flush(&mut self) -> Result<(), SinkError> {
        if self.buffered.is_empty() {
            return Ok(());
        }
        let buffered = std::mem::take(&mut self.buffered);
        let (producer, mut rejections) = (self.producer, Vec::new());
        let (routes, is_named) = {
            let cluster = self.connection.cluster.borrow();
            (cluster.limits().len(), cluster.settings().names_rejected)
        };
        for route in 0..routes {
            let records: Vec<StoredRecord> =
                buffered.iter().filter(|(to, _)| *to == route).map(|(_, record)| record.clone()).collect();
            if records.is_empty() {
                continue;
            }
            let inputs: Vec<Position> = records.iter().filter_map(|record| record.input).collect();
            let answer = self
                .connection
                .call(Request::Produce, move |cluster, now| cluster.produce(producer, route, &records, now));
            let rejected = answer.map_err(|error| self.classify(error, "produce"))?;
            let rejection = |inputs, cause| Rejection { route, inputs, cause, reason: format!("{cause:?}") };
            if is_named {
                rejections.extend(rejected.iter().map(|record| rejection(vec![inputs[record.index]], record.cause)));
            } else if let Some(first) = rejected.first() {
                let mut inputs = inputs;
                inputs.dedup();
                rejections.push(rejection(inputs, first.cause));
            }
        }
        if rejections.is_empty() {
            return Ok(());
        }
        self.has_rejection = true;
        Err(SinkError::RecordsRejected(rejections))
    }

    fn commit_exactly_once(&mut self, next: &Positions) -> Result<(), SinkError> {
        let Some(producer) = self.producer else {
            return Err(SinkError::Retriable(anyhow::anyhow!("the producer is gone")));
        };
        if !next.is_empty() {
            let (offsets, metadata) = (next.clone(), self.member.metadata());
            if metadata.member.is_none() || metadata.generation.is_none() {
                return Err(SinkError::Retriable(anyhow::anyhow!("this worker is not in the group")));
            }
            let added = self
                .connection
                .call(Request::AddOffsets, move |cluster, now| cluster.add_offsets(producer, &offsets, metadata, now));
            added.map_err(|error| self.classify(error, "send_offsets_to_transaction"))?;
        }
        self.flush()?;
        let ended = self
            .connection
            .call(Request::EndTransaction, move |cluster, now| cluster.end_transaction(producer, true, now));
        ended.map_err(|error| self.classify(error, "commit_transaction"))
    }

    fn commit_at_least_once(&mut self, next: &Positions) -> Result<(), SinkError> {
        self.flush()?;
        if next.is_empty() {
            return Ok(());
        }
        let (offsets, metadata) = (next.clone(), self.member.metadata());
        let committed =
            self.connection.call(Request::CommitOffsets, move |cluster, _| cluster.commit_offsets(&offsets, metadata));
        committed.map_err(|error| error.into_source_error("a commit of offsets").into())
    }
}

impl Sink for SimulatedSink {
    fn begin(&mut self) -> Result<(), SinkError> {
        self.connect()?;
        self.in_transaction = true;
        Ok(())
    }

    fn send<'h>(
        &mut self,
        record: Outgoing<'_>,
        headers: &mut dyn Iterator<Item = Header<'h>>,
    ) -> Result<(), SinkError> {
        if self.transactional_id.is_some() && self.producer.is_none() {
            return Err(SinkError::Retriable(anyhow::anyhow!("the producer is gone")));
        }
        let stored = StoredRecord {
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: headers.map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect(),
            timestamp_ms: record.timestamp_ms,
            input: Some(record.input),
            process: self.connection.process,
        };
        self.buffered.push((record.route, stored));
        if self.connection.network.sends_early(self.connection.process) { self.flush() } else { Ok(()) }
    }

    fn commit(&mut self, next: &Positions) -> Result<(), SinkError> {
        if self.transactional_id.is_some() {
            self.commit_exactly_once(next)?;
        } else {
            self.commit_at_least_once(next)?;
        }
        self.member.record_committed(next);
        self.in_transaction = false;
        Ok(())
    }

    fn abort(&mut self) -> Result<(), SinkError> {
        self.buffered.clear();
        if self.is_spent {
            self.forget_producer();
        }
        if let Some(producer) = self.producer.filter(|_| self.in_transaction) {
            let ended = self
                .connection
                .call(Request::EndTransaction, move |cluster, now| cluster.end_transaction(producer, false, now));
            match ended {
                Ok(()) => {}
                Err(CallError::Dead) => return Err(CallError::Dead.into_source_error("abort_transaction").into()),
                // A new producer aborts it.
                Err(CallError::TimedOut | CallError::Broker(_)) => self.forget_producer(),
            }
        }
        if std::mem::take(&mut self.has_rejection) {
            self.forget_producer();
        }
        self.in_transaction = false;
        self.connect()
    }

    fn topic_limits(&mut self) -> Vec<Option<TopicLimits>> {
        let answer = self.connection.call(Request::DescribeTopics, |cluster, _| Ok(cluster.limits().to_vec()));
        match answer {
            Ok(limits) => limits.into_iter().map(Some).collect(),
            Err(_) => vec![None; self.connection.cluster.borrow().limits().len()],
        }
    }
}
