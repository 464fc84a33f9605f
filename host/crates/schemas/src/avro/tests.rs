//! Every type in both directions, against another implementation of Avro and against an expectation built from its values.

mod defaults;
mod forms;
mod generate;
mod limits;
mod properties;
mod schemas;

use super::{AvroSchema, Longs, Options, Times};
use crate::error::{Failure, SchemaError};
use crate::limits::Limits;

const EPOCH: Options = Options { times: Times::Epoch, longs: Longs::Number };

fn parse_with(text: &str, options: Options) -> Result<AvroSchema, SchemaError> {
    AvroSchema::parse(text, &[], options, Limits::default())
}

fn parse(text: &str) -> AvroSchema {
    parse_with(text, Options::default()).unwrap()
}

fn decode(schema: &AvroSchema, value: &[u8]) -> Result<String, Failure> {
    let mut out = b"before".to_vec();
    let result = schema.decode(value, &mut out);
    let text = String::from_utf8(out).unwrap();
    let written = text.strip_prefix("before").unwrap();
    assert!(result.is_ok() || written.is_empty(), "an error leaves nothing behind");
    result.map(|()| written.to_owned())
}

fn encode(schema: &AvroSchema, json: &str) -> Result<Vec<u8>, Failure> {
    let mut out = b"before".to_vec();
    let result = schema.encode(json.as_bytes(), &mut out);
    let written = out.strip_prefix(b"before").unwrap().to_vec();
    assert!(result.is_ok() || written.is_empty(), "an error leaves nothing behind");
    result.map(|()| written)
}

fn refused(schema: &AvroSchema, json: &str) -> String {
    encode(schema, json).unwrap_err().to_string()
}
