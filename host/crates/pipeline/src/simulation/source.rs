//! The source of a pipeline on the simulated cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use super::member::Rebalance;
use super::network::{CallError, Request};
use super::{Connection, Member};
use crate::contracts::{CommittedRange, Fetched, Source, SourceError};
use mapper_core::record::{Batch, Header, NO_TIMESTAMP, Positions, SourcePositions};

/// A partition that this worker has.
#[derive(Debug, Clone, Copy)]
struct Assigned {
    /// The offset of the next fetch.
    position: i64,
    has_fetched: bool,
}

/// Reads the committed records of the input topic, from the partitions that the group gives this worker.
pub struct SimulatedSource {
    connection: Connection,
    member: Member,
    assigned: BTreeMap<i32, Assigned>,
    fetches: usize,
}

impl SimulatedSource {
    /// A source of this member.
    pub fn new(connection: Connection, member: Member) -> Self {
        Self { connection, member, assigned: BTreeMap::new(), fetches: 0 }
    }

    /// Reads records of each partition in turn, beginning with another one in each fetch.
    fn read(&mut self, batch: &mut Batch, most: usize) {
        let first = self.fetches % self.assigned.len().max(1);
        self.fetches += 1;
        let Self { connection, assigned, .. } = self;
        connection.at_once(|cluster, _| {
            let (before, after): (Vec<_>, Vec<_>) =
                assigned.iter_mut().enumerate().partition(|(index, _)| *index < first);
            for (_, (&partition, assigned)) in after.into_iter().chain(before) {
                for (offset, record) in cluster.input(partition, assigned.position) {
                    if batch.len() == most {
                        break;
                    }
                    let headers = record.headers.iter();
                    let headers = headers.map(|(name, value)| -> Header<'_> { (name, value.as_deref()) });
                    let (key, value) = (record.key.as_deref(), record.value.as_deref());
                    let timestamp_ms = record.timestamp_ms.unwrap_or(NO_TIMESTAMP);
                    batch.push((partition, offset), timestamp_ms, key, value, headers);
                    *assigned = Assigned { position: offset + 1, has_fetched: true };
                }
            }
        });
    }

    /// The committed offsets of partitions, once no open transaction can change them.
    fn stable_offsets(&self, partitions: Vec<i32>) -> Result<Positions, SourceError> {
        let offsets =
            self.connection.call(Request::FetchOffsets, move |cluster, _| cluster.stable_offsets(&partitions));
        offsets.map_err(|error| error.into_source_error("reading the committed offsets"))
    }

    fn wait(&self, duration: Duration) -> Result<(), SourceError> {
        self.connection.idle(duration).map_err(|error| error.into_source_error("waiting"))
    }
}

impl Source for SimulatedSource {
    fn fetch(&mut self, batch: &mut Batch, most: usize, wait: Duration) -> Result<Fetched, SourceError> {
        batch.clear();
        // The time that a fetch takes is also when a rebalance may be noticed.
        match self.connection.call(Request::Fetch, |_, _| Ok(())) {
            Err(CallError::Dead) => return Err(CallError::Dead.into_source_error("a fetch")),
            // The client fetches again by itself; the application sees no records.
            Err(CallError::TimedOut | CallError::Broker(_)) => {
                self.member.polled();
                return Ok(self.member.announced().unwrap_or(Fetched::Idle));
            }
            Ok(()) => self.member.polled(),
        }
        if let Some(announced) = self.member.announced() {
            return Ok(announced);
        }
        self.read(batch, most);
        if !batch.is_empty() {
            return Ok(Fetched::Records);
        }
        self.wait(wait)?;
        self.member.polled();
        Ok(self.member.announced().unwrap_or(Fetched::Idle))
    }

    fn attend(&mut self, wait: Duration) -> Result<Fetched, SourceError> {
        if self.member.announced().is_none() {
            self.wait(wait)?;
        }
        self.member.polled();
        Ok(self.member.announced().unwrap_or(Fetched::Idle))
    }

    fn settle(&mut self) -> Result<(), SourceError> {
        match self.member.announced_rebalance() {
            Some(Rebalance::Assign(partitions)) => {
                let committed = self.stable_offsets(partitions.clone())?;
                for partition in partitions {
                    let position = committed.get(&partition).copied().unwrap_or(0);
                    self.assigned.insert(partition, Assigned { position, has_fetched: false });
                }
                self.member.record_committed(&committed);
            }
            Some(Rebalance::Revoke { .. }) => {
                self.assigned.clear();
            }
            None => return Ok(()),
        }
        self.member.settled();
        Ok(())
    }

    fn rewind(&mut self, firsts: &Positions) -> Result<(), SourceError> {
        let own: Vec<(i32, i64)> = firsts
            .iter()
            .map(|(p, o)| (*p, *o))
            .filter(|(partition, _)| self.assigned.contains_key(partition))
            .collect();
        if own.is_empty() {
            return Ok(());
        }
        let committed = self.stable_offsets(own.iter().map(|(partition, _)| *partition).collect())?;
        for (partition, first) in own {
            let position = committed.get(&partition).copied().unwrap_or(first);
            self.assigned.insert(partition, Assigned { position, has_fetched: true });
        }
        self.member.record_committed(&committed);
        Ok(())
    }

    fn uncommitted_ends(&mut self) -> Positions {
        let Self { connection, member, assigned, .. } = self;
        connection.at_once(|cluster, _| {
            let ends = assigned.iter().filter_map(|(partition, assigned)| {
                let is_read = cluster.input(*partition, assigned.position).next().is_none();
                let end = cluster.input_end(*partition);
                (is_read && end > member.committed(*partition).unwrap_or(0).max(assigned.position))
                    .then_some((*partition, end))
            });
            ends.collect()
        })
    }

    fn finished(&mut self) -> Option<Positions> {
        None
    }

    fn positions(&self) -> SourcePositions {
        let places = self.assigned.iter();
        places.map(|(partition, assigned)| (*partition, assigned.has_fetched.then_some(assigned.position))).collect()
    }

    fn committed_range(&self, partition: i32) -> CommittedRange {
        CommittedRange { committed: self.member.committed(partition), ..CommittedRange::default() }
    }
}
