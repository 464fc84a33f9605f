//! Values of topics with a schema registry: Avro, Protobuf and JSON Schema, to JSON and back.
//!
//! A [`Decoder`] is between a source and a mapper, an [`Encoder`] between a mapper and a sink. Both take the schema of a value from a
//! [`SchemaCache`], which asks a registry through the trait [`SchemaSource`]. [`RestRegistry`] is one over HTTP, whose [`Transport`] is a
//! trait, too: this crate has no I/O.
//!
//! Values and schemas come from others. Every call ends with a value or an error: a length costs no memory before its bytes are there,
//! and the levels and the size of a value and of a schema have [`Limits`].

#![forbid(unsafe_code)]

mod avro;
mod cache;
mod calendar;
mod codec;
#[cfg(test)]
mod damage;
mod error;
mod json;
mod json_schema;
mod limits;
mod protobuf;
mod registry;
mod rest;
mod schema;
mod wire;

pub use avro::{Longs, Options as AvroOptions, Times};
pub use cache::{Lookup, SchemaCache};
pub use codec::{CodecError, DecodeError, Decoded, Decoder, Encoder, Identifier, InputFormat};
pub use error::{SchemaError, ValueError};
pub use limits::{Limits, MAX_DEPTH};
pub use protobuf::UnknownFields;
pub use registry::{Format, LookupError, Reference, SchemaSource, SchemaText, SubjectVersion, UnusableSchema};
pub use rest::{Answer, MEDIA_TYPE, RestRegistry, Transport};
pub use schema::{Resolved, Schema, SchemaSettings};
pub use wire::{KEY_HEADER, SchemaId, VALUE_HEADER};
