//! Avro: values in its binary encoding, to JSON text and back.

mod decimal;
mod decode;
mod defaults;
mod encode;
mod logical;
mod parse;
mod scalar;
mod time;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::error::{Failure, SchemaError};
use crate::json::Kind;
use crate::limits::Limits;

pub use logical::{Longs, Options, Times};

/// The index of a node of a schema.
type NodeId = usize;

/// A parsed schema. Nodes refer to each other by index, so a schema can contain itself.
#[derive(Debug)]
pub(crate) struct AvroSchema {
    nodes: Vec<Node>,
    root: NodeId,
    limits: Limits,
}

/// How a value is read and written. Logical types without a form of their own are the types that they are based on.
#[derive(Debug)]
enum Node {
    Null,
    Boolean,
    Int,
    Long,
    /// A long whose JSON form is a string.
    LongText,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Enum),
    Array(NodeId),
    Map(NodeId),
    Record(Record),
    Union(Union),
    Decimal(decimal::Decimal),
    Time(time::Form),
    /// A UUID of 16 bytes.
    Uuid,
    Duration,
}

#[derive(Debug)]
struct Enum {
    symbols: Vec<Box<str>>,
    by_name: HashMap<Box<str>, i64>,
}

#[derive(Debug, Default)]
struct Record {
    name: Box<str>,
    fields: Vec<Field>,
    by_name: HashMap<Box<str>, usize>,
}

#[derive(Debug)]
struct Field {
    name: Box<str>,
    /// The key with its quotes and its colon.
    key: Box<[u8]>,
    node: NodeId,
    default: Default,
}

/// The default of a field, in the binary encoding.
#[derive(Debug)]
enum Default {
    Missing,
    Encoded(Box<[u8]>),
    /// The default does not fit its type. It matters only when it is used: registries have such schemas.
    Invalid(Box<str>),
}

#[derive(Debug)]
struct Union {
    branches: Vec<Branch>,
    form: UnionForm,
}

#[derive(Debug)]
struct Branch {
    /// The name of the type, in the tagged form.
    name: Box<str>,
    /// The start of the tagged form.
    prefix: Box<[u8]>,
    node: NodeId,
}

#[derive(Debug)]
enum UnionForm {
    /// The kind of the JSON value names the branch: its index for each kind.
    Bare([Option<usize>; 6]),
    /// `{"type": value}`, and null alone.
    Tagged { null: Option<usize> },
}

impl Union {
    /// The accepted values, for messages.
    fn expected(&self) -> String {
        let names: Vec<&str> = self.branches.iter().map(|branch| &*branch.name).collect();
        match self.form {
            UnionForm::Bare(_) => format!("one of {}", names.join(", ")),
            UnionForm::Tagged { .. } => format!("an object with one key of {}", names.join(", ")),
        }
    }
}

/// A set of [`Kind`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kinds(u8);

impl Kinds {
    fn of(kinds: &[Kind]) -> Self {
        Self(kinds.iter().fold(0, |set, kind| set | 1 << *kind as u8))
    }

    fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl AvroSchema {
    /// Parses a schema. `references` are the schemas that it refers to by name, each after those that it refers to itself.
    pub(crate) fn parse(
        text: &str,
        references: &[&str],
        options: Options,
        limits: Limits,
    ) -> Result<Self, SchemaError> {
        parse::parse(text, references, options, limits)
    }

    /// Appends a value as JSON. After an error, `out` is as it was.
    pub(crate) fn decode(&self, value: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        let start = out.len();
        decode::decode(self, value, out).inspect_err(|_| out.truncate(start))
    }

    /// Appends a JSON value in the binary encoding. After an error, `out` is as it was.
    pub(crate) fn encode(&self, json: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        let start = out.len();
        encode::encode(self, json, out).inspect_err(|_| out.truncate(start))
    }

    /// The JSON kinds of the values of a node that is no union.
    fn kinds(&self, node: NodeId) -> Kinds {
        Kinds::of(match &self.nodes[node] {
            Node::Null => &[Kind::Null],
            Node::Boolean => &[Kind::Boolean],
            Node::Int | Node::Long => &[Kind::Number],
            // Those that are no number are strings.
            Node::Float | Node::Double => &[Kind::Number, Kind::String],
            Node::Array(_) => &[Kind::Array],
            Node::Map(_) | Node::Record(_) => &[Kind::Object],
            Node::Union(_) => &Kind::ALL,
            Node::LongText
            | Node::Bytes
            | Node::String
            | Node::Fixed(_)
            | Node::Enum(_)
            | Node::Decimal(_)
            | Node::Time(_)
            | Node::Uuid
            | Node::Duration => &[Kind::String],
        })
    }
}
