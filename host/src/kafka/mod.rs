//! Everything about Kafka: the source and sink of the pipeline, and what must be there before they start. Only this room
//! imports rdkafka.

mod client;
pub mod embedded;
mod files;
mod fit;
mod native;
mod peek;
mod produce;
mod read;
pub mod setup;
mod sink;
mod source;
mod until;

#[cfg(test)]
mod tests;

pub use client::KafkaSettings;
pub use peek::Peek;
pub use produce::TopicProducer;
pub use read::TopicReader;
pub use sink::KafkaSink;
pub use source::{GroupConsumer, KafkaSource};
pub use until::Until;
