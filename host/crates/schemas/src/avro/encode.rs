//! From JSON text to the binary encoding, in one pass.

use super::scalar::{read_base64, read_float, read_integer, read_uuid};
use super::{AvroSchema, Default, Field, Node, NodeId, Record, Union, UnionForm, time};
use crate::error::{Failure, ValueError, shortened};
use crate::json::{Kind, Reader, malformed, unexpected};
use crate::wire::write_varint;

pub(super) fn encode(schema: &AvroSchema, json: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
    if json.len() > schema.limits.json_bytes {
        return Err(ValueError::new(format!("more than {} bytes of JSON", schema.limits.json_bytes)));
    }
    let most = out.len().saturating_add(schema.limits.json_bytes);
    let mut encoder = Encoder { schema, json: Reader::new(json), out, most, levels: schema.limits.depth };
    encoder.node(schema.root)?;
    encoder.json.end()
}

pub(super) fn write_long(number: i64, out: &mut Vec<u8>) {
    write_varint((number << 1 ^ number >> 63) as u64, out);
}

pub(super) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

/// Writes the number of items before the items, which start at `start`: it is known after the last of them.
pub(super) fn finish_block(start: usize, count: usize, out: &mut Vec<u8>) {
    if count > 0 {
        let end = out.len();
        write_long(count as i64, out);
        let size = out.len() - end;
        out[start..].rotate_right(size);
    }
    out.push(0);
}

struct Encoder<'a> {
    schema: &'a AvroSchema,
    json: Reader<'a>,
    out: &'a mut Vec<u8>,
    /// The size that `out` can have. Defaults can be larger than the JSON text that lacks them.
    most: usize,
    /// The levels that are left.
    levels: usize,
}

impl<'a> Encoder<'a> {
    // Only these functions are called by each other: their frames are small, because the stack is.
    fn node(&mut self, node: NodeId) -> Result<(), Failure> {
        let schema = self.schema;
        match &schema.nodes[node] {
            Node::Record(record) => self.record(record),
            Node::Union(union) => self.union(union),
            Node::Array(items) => self.list(*items),
            Node::Map(values) => self.map(*values),
            scalar => self.scalar(scalar),
        }
    }

    fn list(&mut self, items: NodeId) -> Result<(), Failure> {
        self.enter()?;
        let start = self.out.len();
        let mut count = 0;
        while self.json.next_item(count == 0)? {
            self.node(items).map_err(|error| error.in_index(count))?;
            count += 1;
        }
        finish_block(start, count, self.out);
        self.levels += 1;
        Ok(())
    }

    fn map(&mut self, values: NodeId) -> Result<(), Failure> {
        self.enter()?;
        let start = self.out.len();
        let mut keys = Vec::new();
        while let Some(key) = self.json.next_key(keys.is_empty())? {
            write_bytes(key.as_bytes(), self.out);
            self.node(values).map_err(|error| error.in_key(&key))?;
            keys.push(key);
        }
        finish_block(start, keys.len(), self.out);
        keys.sort_unstable();
        if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ValueError::new("an object has this key twice").in_key(&twice[0]));
        }
        self.levels += 1;
        Ok(())
    }

    /// A value without parts.
    fn scalar(&mut self, node: &'a Node) -> Result<(), Failure> {
        match node {
            Node::Null => self.json.null()?,
            Node::Boolean => {
                let value = self.json.boolean()?;
                self.out.push(value.into());
            }
            Node::Int => {
                let text = self.json.number()?;
                let number = read_integer(text)?;
                i32::try_from(number).map_err(|_| malformed("an integer of 32 bits", text))?;
                write_long(number, self.out);
            }
            Node::Long => {
                let number = read_integer(self.json.number()?)?;
                write_long(number, self.out);
            }
            Node::LongText => {
                let text = self.json.string()?;
                let number = text.parse().map_err(|_| malformed("a string with an integer of 64 bits", &text))?;
                write_long(number, self.out);
            }
            Node::Float => {
                let number: f32 = read_float(&mut self.json)?;
                self.out.extend_from_slice(&number.to_le_bytes());
            }
            Node::Double => {
                let number: f64 = read_float(&mut self.json)?;
                self.out.extend_from_slice(&number.to_le_bytes());
            }
            Node::Bytes => {
                let bytes = read_base64(&self.json.string()?)?;
                write_bytes(&bytes, self.out);
            }
            Node::String => {
                let text = self.json.string()?;
                write_bytes(text.as_bytes(), self.out);
            }
            Node::Fixed(size) => {
                let bytes = read_base64(&self.json.string()?)?;
                if bytes.len() != *size {
                    return Err(ValueError::new(format!("expected {size} bytes as base64, found {}", bytes.len())));
                }
                self.out.extend_from_slice(&bytes);
            }
            Node::Uuid => {
                let bytes = read_uuid(&self.json.string()?)?;
                self.out.extend_from_slice(&bytes);
            }
            Node::Duration => {
                let parts = time::read_duration(&self.json.string()?)?;
                parts.iter().for_each(|part| self.out.extend_from_slice(&part.to_le_bytes()));
            }
            Node::Decimal(decimal) => {
                let bytes = decimal.read(&self.json.string()?)?;
                match decimal.size {
                    Some(_) => self.out.extend_from_slice(&bytes),
                    None => write_bytes(&bytes, self.out),
                }
            }
            Node::Time(form) => {
                let number = form.read(&self.json.string()?)?;
                write_long(number, self.out);
            }
            Node::Enum(declared) => {
                let symbol = self.json.string()?;
                let index = declared.by_name.get(&*symbol);
                let index = index.ok_or_else(|| malformed("a symbol of the enum", &symbol))?;
                write_long(*index, self.out);
            }
            Node::Record(_) | Node::Union(_) | Node::Array(_) | Node::Map(_) => {}
        }
        Ok(())
    }

    fn union(&mut self, union: &'a Union) -> Result<(), Failure> {
        let kind = self.json.peek()?;
        match &union.form {
            UnionForm::Bare(by_kind) => {
                let index = by_kind[kind as usize].ok_or_else(|| unexpected(&union.expected(), kind))?;
                write_long(index as i64, self.out);
                self.node(union.branches[index].node)
            }
            UnionForm::Tagged { null: Some(null) } if kind == Kind::Null => {
                write_long(*null as i64, self.out);
                self.json.null()
            }
            UnionForm::Tagged { .. } => {
                if kind != Kind::Object {
                    return Err(unexpected(&union.expected(), kind));
                }
                let wrong = |found: &str| malformed(&union.expected(), found);
                let tag = self.json.next_key(true)?.ok_or_else(|| wrong("{}"))?;
                let index = union.branches.iter().position(|branch| *branch.name == *tag);
                let index =
                    index.filter(|index| !matches!(union.form, UnionForm::Tagged { null } if null == Some(*index)));
                let index = index.ok_or_else(|| wrong(&tag))?;
                write_long(index as i64, self.out);
                self.node(union.branches[index].node).map_err(|error| error.in_field(&tag))?;
                match self.json.next_key(false)? {
                    None => Ok(()),
                    Some(second) => Err(wrong(&second)),
                }
            }
        }
    }

    fn record(&mut self, record: &'a Record) -> Result<(), Failure> {
        self.enter()?;
        let mut next = 0;
        let mut first = true;
        // The usual case: the fields come in their order.
        while self.json.next_member(first)? {
            first = false;
            let expected = record.fields.get(next);
            let field = match expected.filter(|field| self.json.take_key(&field.key)) {
                Some(field) => field,
                None => {
                    let key = self.json.key()?;
                    match expected {
                        Some(field) if *field.name == *key => field,
                        _ => return self.record_in_other_order(record, next, key.into()),
                    }
                }
            };
            self.node(field.node).map_err(|error| error.in_field(&field.name))?;
            next += 1;
        }
        for field in &record.fields[next..] {
            write_default(field, self.out)?;
        }
        self.levels += 1;
        Ok(())
    }

    /// Continues a record behind its first fields, from a key that is not the next field.
    fn record_in_other_order(&mut self, record: &'a Record, done: usize, key: Box<str>) -> Result<(), Failure> {
        let mut spans = vec![None; record.fields.len() - done];
        let in_order = self.out.len();
        let mut next = Some(key);
        while let Some(key) = next {
            let Some(index) = record.by_name.get(&key) else {
                let reason = format!("the record {} has no such field", shortened(&record.name));
                return Err(ValueError::new(reason).in_field(&key));
            };
            let span = index.checked_sub(done).map(|index| &mut spans[index]).filter(|span| span.is_none());
            let span = span.ok_or_else(|| ValueError::new("an object has this key twice").in_field(&key))?;
            let from = self.out.len();
            self.node(record.fields[*index].node).map_err(|error| error.in_field(&key))?;
            *span = Some(from..self.out.len());
            next = self.json.next_key(false)?.map(Into::into);
        }
        let mut ordered = Vec::with_capacity(self.out.len() - in_order);
        for (field, span) in record.fields[done..].iter().zip(spans) {
            match span {
                Some(span) => ordered.extend_from_slice(&self.out[span]),
                None => write_default(field, &mut ordered)?,
            }
        }
        self.out.truncate(in_order);
        self.out.extend_from_slice(&ordered);
        self.levels += 1;
        Ok(())
    }

    fn enter(&mut self) -> Result<(), Failure> {
        if self.out.len() > self.most {
            return Err(ValueError::new(format!("more than {} bytes", self.schema.limits.json_bytes)));
        }
        let levels = self.levels.checked_sub(1);
        self.levels =
            levels.ok_or_else(|| ValueError::new(format!("more than {} levels", self.schema.limits.depth)))?;
        Ok(())
    }
}

/// Writes a field that the JSON object does not have.
pub(super) fn write_default(field: &Field, out: &mut Vec<u8>) -> Result<(), Failure> {
    let reason = match &field.default {
        Default::Encoded(bytes) => {
            out.extend_from_slice(bytes);
            return Ok(());
        }
        Default::Missing => "the field is missing and has no default".to_owned(),
        Default::Invalid(reason) => format!("the field is missing, and its default is invalid: {reason}"),
    };
    Err(ValueError::new(reason).in_field(&field.name))
}
