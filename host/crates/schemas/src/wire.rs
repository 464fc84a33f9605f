//! The wire format of Confluent's serializers: the id of a schema, before a value or in a header.
//!
//! A value starts with the byte 0 and the id of its schema, 4 bytes, big-endian. A Protobuf message follows its message indexes, the
//! path of its type in the file: a zigzag varint with their number, and one for each. The list `[0]` is written as the number 0 alone.
//! Newer serializers leave the value as it is, and write a header: the byte 1 and the 16 bytes of a GUID, and the message indexes.

use std::fmt;

use crate::error::{Failure, ValueError};

/// The header of a value that has the GUID of its schema.
pub const VALUE_HEADER: &str = "__value_schema_id";
/// The header of a key that has the GUID of its schema.
pub const KEY_HEADER: &str = "__key_schema_id";

const MAGIC_ID: u8 = 0;
const MAGIC_GUID: u8 = 1;
/// Messages that are declared within each other; protoc has a similar limit.
const MAX_INDEXES: usize = 32;

/// The identifier of a schema in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaId {
    Id(u32),
    Guid([u8; 16]),
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Guid(guid) => write_guid(guid, f),
        }
    }
}

/// The usual text of 16 bytes: 8-4-4-4-12 hexadecimal digits.
pub(crate) fn write_guid(guid: &[u8; 16], to: &mut impl fmt::Write) -> fmt::Result {
    for (index, byte) in guid.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            to.write_char('-')?;
        }
        write!(to, "{byte:02x}")?;
    }
    Ok(())
}

/// Reads the text of [`write_guid`], with digits in either case.
pub(crate) fn parse_guid(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 || [8, 13, 18, 23].iter().any(|&dash| bytes[dash] != b'-') {
        return None;
    }
    let mut digits = bytes.iter().filter(|byte| **byte != b'-').map(|&byte| (byte as char).to_digit(16));
    let mut guid = [0; 16];
    for byte in &mut guid {
        *byte = (digits.next()?? << 4 | digits.next()??) as u8;
    }
    digits.next().is_none().then_some(guid)
}

/// A value without the id of its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Framed<'a> {
    pub schema: SchemaId,
    /// The bytes behind the id: they start with message indexes if the schema is one of Protobuf.
    pub rest: &'a [u8],
    /// The value, if a header names the schema.
    pub beside: Option<&'a [u8]>,
}

impl<'a> Framed<'a> {
    /// Reads the id before a value, or in its header if it has one.
    pub(crate) fn parse(value: &'a [u8], header: Option<&'a [u8]>) -> Result<Self, Failure> {
        match header {
            Some(header) => {
                let (schema, rest) =
                    read_id(header).map_err(|reason| ValueError::new(format!("the header: {reason}")))?;
                Ok(Self { schema, rest, beside: Some(value) })
            }
            None => {
                let (schema, rest) = read_id(value).map_err(ValueError::new)?;
                Ok(Self { schema, rest, beside: None })
            }
        }
    }

    /// The value, if its schema is not one of Protobuf.
    pub(crate) fn payload(&self) -> Result<&'a [u8], Failure> {
        match self.beside {
            None => Ok(self.rest),
            Some(value) if self.rest.is_empty() => Ok(value),
            Some(_) => Err(ValueError::new(format!("the header: bytes follow the id: {}", self.rest.len()))),
        }
    }

    /// The message indexes, as they are written, and the message.
    pub(crate) fn message(&self) -> Result<(&'a [u8], &'a [u8]), Failure> {
        let indexes = indexes_len(self.rest)?;
        let (indexes, rest) = self.rest.split_at(indexes);
        match self.beside {
            None => Ok((indexes, rest)),
            Some(value) if rest.is_empty() => Ok((indexes, value)),
            Some(_) => Err(ValueError::new(format!("the header: bytes follow the message indexes: {}", rest.len()))),
        }
    }
}

fn read_id(bytes: &[u8]) -> Result<(SchemaId, &[u8]), String> {
    let (magic, rest) = bytes.split_first().ok_or("it is empty, so it has no schema id")?;
    let short = |needed: usize| format!("the schema id ends early: {} of {needed} bytes", rest.len());
    match *magic {
        MAGIC_ID => {
            let (id, rest) = rest.split_first_chunk().ok_or_else(|| short(4))?;
            Ok((SchemaId::Id(u32::from_be_bytes(*id)), rest))
        }
        MAGIC_GUID => {
            let (guid, rest) = rest.split_first_chunk().ok_or_else(|| short(16))?;
            Ok((SchemaId::Guid(*guid), rest))
        }
        other => Err(format!("it starts with the byte {other:#04x}, not with a schema id (0x00 or 0x01)")),
    }
}

/// Appends the byte and the id that come before a value, or are in its header.
pub(crate) fn write_id(schema: SchemaId, out: &mut Vec<u8>) {
    match schema {
        SchemaId::Id(id) => {
            out.push(MAGIC_ID);
            out.extend_from_slice(&id.to_be_bytes());
        }
        SchemaId::Guid(guid) => {
            out.push(MAGIC_GUID);
            out.extend_from_slice(&guid);
        }
    }
}

/// The size of the message indexes at the start of these bytes.
fn indexes_len(bytes: &[u8]) -> Result<usize, Failure> {
    let mut at = 0;
    let count = read_index(bytes, &mut at)?;
    if count as usize > MAX_INDEXES {
        return Err(ValueError::new(format!("{count} message indexes: more than {MAX_INDEXES}")));
    }
    for _ in 0..count {
        read_index(bytes, &mut at)?;
    }
    Ok(at)
}

/// The path of a message type in its file, from the bytes that [`Framed::message`] returns.
pub(crate) fn read_indexes(bytes: &[u8]) -> Result<Vec<u32>, Failure> {
    let mut at = 0;
    let count = read_index(bytes, &mut at)?;
    if count == 0 {
        return Ok(vec![0]);
    }
    (0..count.min(MAX_INDEXES as u32)).map(|_| read_index(bytes, &mut at)).collect()
}

/// Appends the path of a message type in its file.
pub(crate) fn write_indexes(indexes: &[u32], out: &mut Vec<u8>) {
    if indexes == [0] {
        out.push(0);
        return;
    }
    for number in std::iter::once(indexes.len() as u32).chain(indexes.iter().copied()) {
        write_varint(u64::from(number) << 1, out);
    }
}

fn read_index(bytes: &[u8], at: &mut usize) -> Result<u32, Failure> {
    let number = read_varint(bytes, at).ok_or_else(|| ValueError::new("the message indexes end early"))?;
    let number = zigzag(number);
    u32::try_from(number)
        .ok()
        .filter(|number| *number <= i32::MAX as u32)
        .ok_or_else(|| ValueError::new(format!("the message index {number} is out of range")))
}

/// Reads a varint of at most 64 bits.
pub(crate) fn read_varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if shift == 63 && byte > 1 {
            return None;
        }
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

pub(crate) fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(crate) fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GUID: [u8; 16] = [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 1, 2, 3, 4, 5, 6, 7, 8];

    fn failure(value: &[u8], header: Option<&[u8]>) -> String {
        Framed::parse(value, header).and_then(|framed| framed.message()).unwrap_err().to_string()
    }

    #[test]
    fn value_with_an_id_is_split_behind_it() {
        let framed = Framed::parse(b"\0\0\0\x01\x02payload", None).unwrap();
        assert_eq!((framed.schema, framed.payload().unwrap()), (SchemaId::Id(258), &b"payload"[..]));
    }

    #[test]
    fn header_with_a_guid_leaves_the_value_as_it_is() {
        let mut header = Vec::new();
        write_id(SchemaId::Guid(GUID), &mut header);
        assert_eq!((header.len(), header[0]), (17, 1));
        let framed = Framed::parse(b"\0value", Some(&header)).unwrap();
        assert_eq!((framed.schema, framed.payload().unwrap()), (SchemaId::Guid(GUID), &b"\0value"[..]));
        assert_eq!(framed.schema.to_string(), "12345678-9abc-def0-0102-030405060708");
        // A Protobuf message has its indexes in the header.
        write_indexes(&[1, 0], &mut header);
        let framed = Framed::parse(b"\0value", Some(&header)).unwrap();
        assert_eq!(framed.message().unwrap(), (&[4, 2, 0][..], &b"\0value"[..]));
        assert_eq!(framed.payload().unwrap_err().to_string(), "the header: bytes follow the id: 3");
    }

    #[test]
    fn message_indexes_have_a_short_form_and_a_list() {
        let framed = Framed::parse(b"\0\0\0\0\x07\0message", None).unwrap();
        let (indexes, message) = framed.message().unwrap();
        assert_eq!((read_indexes(indexes).unwrap(), message), (vec![0], &b"message"[..]));
        let framed = Framed::parse(b"\0\0\0\0\x07\x04\x02\x80\x01message", None).unwrap();
        let (indexes, message) = framed.message().unwrap();
        assert_eq!((read_indexes(indexes).unwrap(), message), (vec![1, 64], &b"message"[..]));
    }

    #[test]
    fn malformed_frame_is_an_error_with_its_reason() {
        assert_eq!(failure(b"", None), "it is empty, so it has no schema id");
        assert_eq!(failure(b"{}", None), "it starts with the byte 0x7b, not with a schema id (0x00 or 0x01)");
        assert_eq!(failure(b"\0\0\0\x01", None), "the schema id ends early: 3 of 4 bytes");
        assert_eq!(failure(b"", Some(b"\x01abc")), "the header: the schema id ends early: 3 of 16 bytes");
        assert_eq!(failure(b"\0\0\0\0\x01", None), "the message indexes end early");
        assert_eq!(failure(b"\0\0\0\0\x01\x04\x02", None), "the message indexes end early");
        assert_eq!(failure(b"\0\0\0\0\x01\x02\x01", None), "the message index -1 is out of range");
        assert_eq!(failure(b"\0\0\0\0\x01\x01", None), "the message index -1 is out of range");
        assert_eq!(failure(b"\0\0\0\0\x01\x80\x80\x80\x80\x10", None), "the message index 2147483648 is out of range");
        assert_eq!(failure(b"\0\0\0\0\x01\xfe\xff\xff\xff\x0f", None), "2147483647 message indexes: more than 32");
        assert_eq!(failure(&[b"\0\0\0\0\x01".as_slice(), &[0xff; 11]].concat(), None), "the message indexes end early");
        let header = [&[1][..], &GUID, &[0, 9]].concat();
        assert_eq!(failure(b"", Some(&header)), "the header: bytes follow the message indexes: 1");
    }

    #[test]
    fn guid_text_is_read_in_either_case() {
        assert_eq!(parse_guid("12345678-9ABC-def0-0102-030405060708"), Some(GUID));
        for wrong in [
            "",
            "12345678-9abc-def0-0102-03040506070",
            "12345678-9abc-def0-0102-0304050607080",
            "1234567-89abc-def0-0102-030405060708",
            "g2345678-9abc-def0-0102-030405060708",
            "12345678--abc-def0-0102-030405060708",
        ] {
            assert_eq!(parse_guid(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn frame_is_read_as_it_was_written(id in any::<u32>(), guid in any::<[u8; 16]>(), indexes in proptest::collection::vec(0..=i32::MAX as u32, 1..8), message in any::<Vec<u8>>()) {
            for schema in [SchemaId::Id(id), SchemaId::Guid(guid)] {
                let mut bytes = Vec::new();
                write_id(schema, &mut bytes);
                write_indexes(&indexes, &mut bytes);
                let header = bytes.clone();
                bytes.extend_from_slice(&message);
                for framed in [Framed::parse(&bytes, None).unwrap(), Framed::parse(&message, Some(&header)).unwrap()] {
                    let (written, rest) = framed.message().unwrap();
                    prop_assert_eq!((framed.schema, read_indexes(written).unwrap(), rest), (schema, indexes.clone(), &message[..]));
                }
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(value in any::<Vec<u8>>(), header in proptest::option::of(any::<Vec<u8>>())) {
            if let Ok(framed) = Framed::parse(&value, header.as_deref()) {
                let _ = framed.payload();
                if let Ok((indexes, _)) = framed.message() {
                    read_indexes(indexes).unwrap();
                }
            }
        }
    }
}
