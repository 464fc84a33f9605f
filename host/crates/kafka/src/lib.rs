//! Kafka: the source and the sink of the pipeline, and the checks before their start. Only this crate imports rdkafka.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod buffers;
mod call_thread;
mod client;
mod connection_errors;
mod deliveries;
mod delivery_errors;
mod describe;
mod diagnosis;
pub mod embedded;
mod error_class;
mod files;
mod fit;
mod follow;
mod groupless;
mod input;
mod limits;
mod member;
mod native;
mod peek;
mod permissions;
pub mod policy;
mod position_reader;
mod produce;
mod producer;
pub mod properties;
mod read;
mod record_reader;
mod reporting;
mod sample;
mod scan;
pub mod setup;
mod sink;
mod source;
mod start;
mod topic_events;
mod topic_limits;
mod until;

#[cfg(test)]
mod tests;

pub use buffers::BufferLimits;
pub use client::KafkaSettings;
pub use follow::{FollowerWaker, TopicFollower, TopicOffsets, TopicRange};
pub use input::{Input, InputContext};
pub use limits::step_limits;
pub use member::{GroupConsumer, Member};
pub use peek::{Peek, Peeked};
pub use position_reader::PositionReader;
pub use produce::TopicProducer;
pub use read::TopicReader;
pub use record_reader::RecordReader;
pub use scan::{OffsetRange, ScannedRecord, TopicScanner};
pub use sink::KafkaSink;
pub use source::KafkaSource;
pub use topic_events::TopicEvents;
pub use until::EndOffsets;
