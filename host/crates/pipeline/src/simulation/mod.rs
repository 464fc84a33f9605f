//! A simulated Kafka cluster for the pipeline, in virtual time and without threads: a group coordinator, a log with transactions, a
//! transaction coordinator, and a [`Source`](crate::contracts::Source) and a [`Sink`](crate::contracts::Sink) which behave as the real ones do.
//!
//! Nothing here is random. A [`Network`] decides how long a request takes, which one is lost, and when a process dies.

mod cluster;
pub mod contract;
mod group;
mod log;
mod member;
mod network;
mod sink;
mod source;
mod transactions;

pub use cluster::{BrokerError, Change, Cluster, ClusterSettings};
pub use log::StoredRecord;
pub use member::Member;
pub use network::{Connection, Fate, Network, Request};
pub use sink::SimulatedSink;
pub use source::SimulatedSource;

#[cfg(test)]
mod tests;
