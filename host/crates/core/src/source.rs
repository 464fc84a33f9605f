//! The input record that an output or a dead letter is made of, as a header names it.

use std::io::Write as _;

use crate::record::Header;

/// The header of an output: `TOPIC/PARTITION@OFFSET`, and `#N` for the outputs of a record after the first one.
pub const INPUT_HEADER: &[u8] = b"mapper-host.input";
/// The most bytes of the value: a topic has 249, a partition and the number of an output 10 each, an offset 19.
pub const MAX_INPUT_BYTES: usize = 249 + 1 + 10 + 1 + 19 + 1 + 10;

/// The position of an input record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordSource<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    /// The number of the output among those of the record, from 0.
    pub output: u32,
}

impl<'a> RecordSource<'a> {
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (topic, rest) = std::str::from_utf8(text).ok()?.split_once('/')?;
        let (partition, rest) = rest.split_once('@')?;
        let (offset, output) =
            rest.split_once('#').map_or((rest, Some(0)), |(offset, output)| (offset, output.parse().ok()));
        Some(Self { topic, partition: partition.parse().ok()?, offset: offset.parse().ok()?, output: output? })
    }

    /// Replaces the value of the header.
    pub fn write(&self, value: &mut Vec<u8>) {
        let Self { topic, partition, offset, output } = self;
        value.clear();
        let written = match output {
            0 => write!(value, "{topic}/{partition}@{offset}"),
            output => write!(value, "{topic}/{partition}@{offset}#{output}"),
        };
        written.expect("a vector grows");
    }

    /// The input of an output, if its headers name it.
    pub fn of_output(mut headers: impl Iterator<Item = Header<'a>>) -> Option<Self> {
        Self::parse(headers.find(|(name, _)| *name == INPUT_HEADER)?.1?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_read_as_it_was_written() {
        let mut value = Vec::new();
        for (output, text) in [(0, "visits/3@17"), (2, "visits/3@17#2")] {
            let source = RecordSource { topic: "visits", partition: 3, offset: 17, output };
            source.write(&mut value);
            assert_eq!((std::str::from_utf8(&value), RecordSource::parse(&value)), (Ok(text), Some(source)));
        }
        for wrong in ["", "visits", "visits/3", "visits/x@1", "visits/3@", "visits/3@1#", "visits/3@1#x"] {
            assert_eq!(RecordSource::parse(wrong.as_bytes()), None, "{wrong}");
        }
        let headers = [(&b"a"[..], None), (INPUT_HEADER, Some(&b"t/0@5"[..]))];
        assert_eq!(RecordSource::of_output(headers.into_iter()).unwrap().offset, 5);
        assert_eq!(RecordSource::of_output([(INPUT_HEADER, None)].into_iter()), None);
    }

    #[test]
    fn longest_source_has_the_documented_size() {
        let topic = "t".repeat(249);
        let source = RecordSource { topic: &topic, partition: i32::MAX, offset: i64::MAX, output: u32::MAX };
        let mut value = Vec::new();
        source.write(&mut value);
        assert_eq!(value.len(), MAX_INPUT_BYTES);
    }
}
