//! Between the wire format of topics and a mapper: the mapper gets JSON, and its outputs are encoded.
//!
//! [`CodecMapper`] is a mapper around another one, so whatever maps records has the same schemas: the loop, a try-out, a redrive, and
//! the commands of an author. A dead letter is written from the record as it came, so it keeps the original bytes.

#![forbid(unsafe_code)]

mod decoded;
mod encoders;
mod mapper;
#[cfg(test)]
mod tests;

pub use encoders::{Encoders, TopicEncoders};
pub use mapper::{Codec, CodecMapper};

/// A cache of the schemas of any registry.
pub type Schemas = mapper_schemas::SchemaCache<std::sync::Arc<dyn mapper_schemas::SchemaSource>>;
