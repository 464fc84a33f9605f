//! Whether a file that someone may still be writing is a whole plugin: its sections are walked, not read.

/// What can be said of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wholeness {
    /// They end where a section ends.
    Whole,
    /// They end within a section, or before the first.
    Cut,
    /// They are no WebAssembly, whatever may still come.
    Other,
}

const MAGIC: &[u8] = b"\0asm";
const HEADER_BYTES: usize = 8;

/// Looks at the outermost sections: an id, a length in LEB128 of 32 bits, and as many bytes
/// (WebAssembly core specification, section 5.5.2; components have the same form).
pub fn wholeness(bytes: &[u8]) -> Wholeness {
    if !bytes.starts_with(&MAGIC[..MAGIC.len().min(bytes.len())]) {
        return Wholeness::Other;
    }
    let Some(mut rest) = bytes.get(HEADER_BYTES..) else { return Wholeness::Cut };
    if rest.is_empty() {
        return Wholeness::Cut;
    }
    while let Some((_id, after_id)) = rest.split_first() {
        let Some((length, length_bytes)) = leb128(after_id) else {
            // Five bytes that don't end a number never will.
            return if after_id.len() < 5 { Wholeness::Cut } else { Wholeness::Other };
        };
        let Some(next) = after_id.get(length_bytes..).and_then(|payload| payload.get(length..)) else {
            return Wholeness::Cut;
        };
        rest = next;
    }
    Wholeness::Whole
}

/// The number, and how many bytes it takes.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0_usize;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        number |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";

    fn section(id: u8, payload: &[u8]) -> Vec<u8> {
        let length = [(payload.len() as u8 & 0x7f) | 0x80, (payload.len() >> 7) as u8];
        [&[id][..], &length, payload].concat()
    }

    #[test]
    fn only_the_whole_is_whole() {
        let plugin = [HEADER, &section(0, b"name"), &section(1, &[7; 300])].concat();
        assert_eq!(wholeness(&plugin), Wholeness::Whole);
        let ends = [HEADER.len() + 3 + 4, plugin.len()];
        for cut in 0..plugin.len() {
            let expected = if ends.contains(&cut) { Wholeness::Whole } else { Wholeness::Cut };
            assert_eq!(wholeness(&plugin[..cut]), expected, "{cut}");
        }
    }

    #[test]
    fn what_is_something_else_is_told_at_once() {
        for other in [&b"<html>"[..], b"\x7fELF", b"\0asX"] {
            assert_eq!(wholeness(other), Wholeness::Other);
        }
        assert_eq!(wholeness(&[HEADER, &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]].concat()), Wholeness::Other);
    }
}
