//! Encodes the defaults of fields, which a schema has as JSON of another form: without tags, and with bytes as characters.

use serde_json::Value;

use super::encode::{finish_block, write_bytes, write_default, write_long};
use super::parse::Pending;
use super::{AvroSchema, Default, Node, NodeId};
use crate::error::{Failure, ValueError};
use crate::json::malformed;

/// The size of all defaults of a schema. A default can be a record whose fields have defaults again, so a small schema can have large ones.
const MAX_BYTES: usize = 4 << 20;
/// The values that are tried for all defaults of a schema: a union can have many branches that fit at first.
const MAX_STEPS: usize = 1 << 20;

pub(super) fn encode(schema: &mut AvroSchema, mut pending: Vec<Pending>) {
    let mut budget = Budget { bytes: MAX_BYTES, steps: MAX_STEPS };
    // A default can need that of a field behind it, if its record contains itself: the second round has them all.
    for _ in 0..2 {
        pending.retain(|Pending { record, field, value }| {
            let default = one(schema, *record, *field, value, &mut budget);
            let is_invalid = matches!(default, Default::Invalid(_));
            if let Node::Record(declared) = &mut schema.nodes[*record] {
                declared.fields[*field].default = default;
            }
            is_invalid
        });
    }
}

struct Budget {
    bytes: usize,
    steps: usize,
}

fn one(schema: &AvroSchema, record: NodeId, field: usize, value: &Value, budget: &mut Budget) -> Default {
    let Node::Record(declared) = &schema.nodes[record] else { return Default::Missing };
    let mut writer = Writer { schema, budget, levels: schema.limits.depth, out: Vec::new() };
    match writer.node(declared.fields[field].node, value) {
        Ok(()) => {
            let encoded = writer.out;
            budget.bytes = budget.bytes.saturating_sub(encoded.len());
            Default::Encoded(encoded.into())
        }
        Err(error) => Default::Invalid(error.to_string().into()),
    }
}

struct Writer<'a> {
    schema: &'a AvroSchema,
    budget: &'a mut Budget,
    levels: usize,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn node(&mut self, node: NodeId, value: &Value) -> Result<(), Failure> {
        let steps = self.budget.steps.checked_sub(1);
        self.budget.steps = steps.ok_or_else(|| ValueError::new("the defaults of the schema are too complex"))?;
        if self.out.len() > self.budget.bytes {
            return Err(ValueError::new("the defaults of the schema are too large"));
        }
        let levels = self.levels;
        self.levels = levels.checked_sub(1).ok_or_else(|| ValueError::new("the default has too many levels"))?;
        self.value(node, value)?;
        self.levels = levels;
        Ok(())
    }

    fn value(&mut self, node: NodeId, value: &Value) -> Result<(), Failure> {
        let wrong = |expected: &str| malformed(expected, &value.to_string());
        let bytes = |size: Option<usize>| {
            let bytes: Option<Vec<u8>> =
                value.as_str().and_then(|text| text.chars().map(|char| u8::try_from(char).ok()).collect());
            let bytes = bytes.filter(|bytes| size.is_none_or(|size| size == bytes.len()));
            bytes.ok_or_else(|| wrong("a string with a character for each byte"))
        };
        let long = || value.as_i64().ok_or_else(|| wrong("an integer of 64 bits"));
        let int = || {
            long().ok().filter(|number| i32::try_from(*number).is_ok()).ok_or_else(|| wrong("an integer of 32 bits"))
        };
        let schema = self.schema;
        match &schema.nodes[node] {
            Node::Null => value.as_null().ok_or_else(|| wrong("null"))?,
            Node::Boolean => self.out.push(value.as_bool().ok_or_else(|| wrong("a boolean"))?.into()),
            Node::Int => write_long(int()?, &mut self.out),
            Node::Long | Node::LongText => write_long(long()?, &mut self.out),
            Node::Time(form) => write_long(if form.is_int() { int()? } else { long()? }, &mut self.out),
            Node::Float => {
                let number: f32 = number(value).ok_or_else(|| wrong("a number"))?;
                self.out.extend_from_slice(&number.to_le_bytes());
            }
            Node::Double => {
                let number: f64 = number(value).ok_or_else(|| wrong("a number"))?;
                self.out.extend_from_slice(&number.to_le_bytes());
            }
            Node::Bytes => write_bytes(&bytes(None)?, &mut self.out),
            Node::Decimal(decimal) => match decimal.size {
                None => write_bytes(&bytes(None)?, &mut self.out),
                size => self.out.extend(bytes(size)?),
            },
            Node::Fixed(size) => self.out.extend(bytes(Some(*size))?),
            Node::Uuid => self.out.extend(bytes(Some(16))?),
            Node::Duration => self.out.extend(bytes(Some(12))?),
            Node::String => {
                write_bytes(value.as_str().ok_or_else(|| wrong("a string"))?.as_bytes(), &mut self.out);
            }
            Node::Enum(declared) => {
                let index = value.as_str().and_then(|symbol| declared.by_name.get(symbol));
                write_long(*index.ok_or_else(|| wrong("a symbol of the enum"))?, &mut self.out);
            }
            Node::Array(items) => {
                let values = value.as_array().ok_or_else(|| wrong("an array"))?;
                let start = self.out.len();
                for (index, value) in values.iter().enumerate() {
                    self.node(*items, value).map_err(|error| error.in_index(index))?;
                }
                finish_block(start, values.len(), &mut self.out);
            }
            Node::Map(inner) => {
                let values = value.as_object().ok_or_else(|| wrong("an object"))?;
                let start = self.out.len();
                for (key, value) in values {
                    write_bytes(key.as_bytes(), &mut self.out);
                    self.node(*inner, value).map_err(|error| error.in_key(key))?;
                }
                finish_block(start, values.len(), &mut self.out);
            }
            Node::Record(record) => {
                let values = value.as_object().ok_or_else(|| wrong("an object"))?;
                if let Some(unknown) = values.keys().find(|key| !record.by_name.contains_key(key.as_str())) {
                    return Err(ValueError::new("the record has no such field").in_field(unknown));
                }
                for field in &record.fields {
                    match values.get(&*field.name) {
                        Some(value) => self.node(field.node, value).map_err(|error| error.in_field(&field.name))?,
                        None => write_default(field, &mut self.out)?,
                    }
                }
            }
            Node::Union(union) => {
                let (start, levels) = (self.out.len(), self.levels);
                for (index, branch) in union.branches.iter().enumerate() {
                    write_long(index as i64, &mut self.out);
                    if self.node(branch.node, value).is_ok() {
                        return Ok(());
                    }
                    self.out.truncate(start);
                    self.levels = levels;
                }
                return Err(wrong(&union.expected()));
            }
        }
        Ok(())
    }
}

/// A number, or the text of one that JSON does not have.
fn number<F: std::str::FromStr>(value: &Value) -> Option<F> {
    match value {
        Value::Number(number) => number.to_string().parse().ok(),
        Value::String(text) if matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity") => text.parse().ok(),
        _ => None,
    }
}
