//! From the binary encoding to JSON text, in one pass and without a value in between.

use super::scalar::{write_base64, write_double, write_float, write_integer, write_uuid};
use super::{AvroSchema, Node, NodeId, Record, Union, UnionForm, time};
use crate::error::{Failure, ValueError};
use crate::json::write_string;
use crate::wire::{read_varint, zigzag};

pub(super) fn decode(schema: &AvroSchema, value: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
    let most = out.len().saturating_add(schema.limits.json_bytes);
    let mut decoder = Decoder { schema, input: value, at: 0, out, most, levels: schema.limits.depth, keys: Vec::new() };
    decoder.node(schema.root)?;
    match value.len() - decoder.at {
        0 => decoder.check_size(),
        rest => Err(ValueError::new(format!("bytes follow the value: {rest} of {}", value.len()))),
    }
}

struct Decoder<'a> {
    schema: &'a AvroSchema,
    input: &'a [u8],
    at: usize,
    out: &'a mut Vec<u8>,
    /// The size that `out` can have.
    most: usize,
    /// The levels that are left.
    levels: usize,
    /// The keys of the maps that are being read.
    keys: Vec<&'a str>,
}

impl<'a> Decoder<'a> {
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

    fn union(&mut self, union: &'a Union) -> Result<(), Failure> {
        let index = self.long()?;
        let branch = usize::try_from(index).ok().and_then(|index| Some((index, union.branches.get(index)?)));
        let (index, branch) = branch.ok_or_else(|| {
            ValueError::new(format!("the union has {} branches, and none at {index}", union.branches.len()))
        })?;
        match union.form {
            UnionForm::Tagged { null } if null != Some(index) => {
                self.out.extend_from_slice(&branch.prefix);
                self.node(branch.node)?;
                self.out.push(b'}');
            }
            _ => self.node(branch.node)?,
        }
        Ok(())
    }

    fn record(&mut self, record: &'a Record) -> Result<(), Failure> {
        self.enter()?;
        self.out.push(b'{');
        for (index, field) in record.fields.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(&field.key);
            self.node(field.node).map_err(|error| error.in_field(&field.name))?;
        }
        self.out.push(b'}');
        self.levels += 1;
        Ok(())
    }

    fn list(&mut self, items: NodeId) -> Result<(), Failure> {
        self.enter()?;
        self.out.push(b'[');
        let mut read = 0;
        self.blocks(|decoder| {
            if read > 0 {
                decoder.out.push(b',');
            }
            decoder.node(items).map_err(|error| error.in_index(read))?;
            read += 1;
            Ok(())
        })?;
        self.out.push(b']');
        self.levels += 1;
        Ok(())
    }

    fn map(&mut self, values: NodeId) -> Result<(), Failure> {
        self.enter()?;
        self.out.push(b'{');
        let first = self.keys.len();
        self.blocks(|decoder| {
            if decoder.keys.len() > first {
                decoder.out.push(b',');
            }
            let key = decoder.text()?;
            decoder.keys.push(key);
            write_string(key, decoder.out);
            decoder.out.push(b':');
            decoder.node(values).map_err(|error| error.in_key(key))
        })?;
        self.out.push(b'}');
        let keys = &mut self.keys[first..];
        keys.sort_unstable();
        if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ValueError::new("a map has this key twice").in_key(twice[0]));
        }
        self.keys.truncate(first);
        self.levels += 1;
        Ok(())
    }

    /// A value without parts.
    fn scalar(&mut self, node: &'a Node) -> Result<(), Failure> {
        match node {
            Node::Null => self.out.extend_from_slice(b"null"),
            Node::Boolean => match self.take(1)? {
                [0] => self.out.extend_from_slice(b"false"),
                [1] => self.out.extend_from_slice(b"true"),
                _ => return Err(ValueError::new("a boolean that is neither 0 nor 1")),
            },
            Node::Int => {
                let number = self.int()?;
                write_integer(number, self.out);
            }
            Node::Long => {
                let number = self.long()?;
                write_integer(number, self.out);
            }
            Node::LongText => {
                let number = self.long()?;
                self.out.push(b'"');
                write_integer(number, self.out);
                self.out.push(b'"');
            }
            Node::Float => {
                let bytes = self.array()?;
                write_float(f32::from_le_bytes(bytes), self.out);
            }
            Node::Double => {
                let bytes = self.array()?;
                write_double(f64::from_le_bytes(bytes), self.out);
            }
            Node::Bytes => {
                let bytes = self.bytes()?;
                write_base64(bytes, self.out);
            }
            Node::String => {
                let text = self.text()?;
                write_string(text, self.out);
            }
            Node::Fixed(size) => {
                let bytes = self.take(*size)?;
                write_base64(bytes, self.out);
            }
            Node::Uuid => {
                let bytes = self.array()?;
                write_uuid(&bytes, self.out);
            }
            Node::Duration => {
                let parts = [self.array()?, self.array()?, self.array()?].map(u32::from_le_bytes);
                time::write_duration(parts, self.out);
            }
            Node::Decimal(decimal) => {
                let bytes = match decimal.size {
                    Some(size) => self.take(size)?,
                    None => self.bytes()?,
                };
                decimal.write(bytes, self.out)?;
            }
            Node::Time(form) => {
                let number = if form.is_int() { self.int()? } else { self.long()? };
                form.write(number, self.out)?;
            }
            Node::Enum(declared) => {
                let index = self.long()?;
                let symbol = usize::try_from(index).ok().and_then(|index| declared.symbols.get(index));
                let symbol = symbol.ok_or_else(|| {
                    ValueError::new(format!("the enum has {} symbols, and none at {index}", declared.symbols.len()))
                })?;
                write_string(symbol, self.out);
            }
            Node::Record(_) | Node::Union(_) | Node::Array(_) | Node::Map(_) => {}
        }
        Ok(())
    }

    /// Reads the items of an array or a map. A count allocates nothing: memory grows with the bytes that were read.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Failure>) -> Result<(), Failure> {
        loop {
            let mut count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                // The size of the block follows, for readers that skip it.
                self.long()?;
                count = count.checked_neg().ok_or_else(|| ValueError::new("a block without a valid count"))?;
            }
            for _ in 0..count {
                item(self)?;
                // Items can have no bytes.
                self.check_size()?;
            }
        }
    }

    fn enter(&mut self) -> Result<(), Failure> {
        self.check_size()?;
        let levels = self.levels.checked_sub(1);
        self.levels =
            levels.ok_or_else(|| ValueError::new(format!("more than {} levels", self.schema.limits.depth)))?;
        Ok(())
    }

    fn check_size(&self) -> Result<(), Failure> {
        if self.out.len() > self.most {
            return Err(ValueError::new(format!("more than {} bytes of JSON", self.schema.limits.json_bytes)));
        }
        Ok(())
    }

    #[inline]
    fn long(&mut self) -> Result<i64, Failure> {
        if let Some(&byte) = self.input.get(self.at)
            && byte < 0x80
        {
            self.at += 1;
            return Ok(zigzag(u64::from(byte)));
        }
        let mut at = self.at;
        let Some(number) = read_varint(self.input, &mut at) else {
            let is_short = self.input.len() - self.at < 10;
            return Err(ValueError::new(if is_short {
                "the value ends early"
            } else {
                "an integer has more than 64 bits"
            }));
        };
        self.at = at;
        Ok(zigzag(number))
    }

    fn int(&mut self) -> Result<i64, Failure> {
        let number = self.long()?;
        if i32::try_from(number).is_err() {
            return Err(ValueError::new(format!("{number} is no integer of 32 bits")));
        }
        Ok(number)
    }

    fn take(&mut self, size: usize) -> Result<&'a [u8], Failure> {
        let rest = &self.input[self.at..];
        let bytes = rest
            .get(..size)
            .ok_or_else(|| ValueError::new(format!("the value ends early: {} of {size} bytes", rest.len())))?;
        self.at += size;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| ValueError::new("the value ends early"))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Failure> {
        let size = self.long()?;
        let size = usize::try_from(size).map_err(|_| ValueError::new(format!("the length {size}")))?;
        self.take(size)
    }

    fn text(&mut self) -> Result<&'a str, Failure> {
        let bytes = self.bytes()?;
        str::from_utf8(bytes).map_err(|error| ValueError::new(format!("a string is not UTF-8: {error}")))
    }
}
