//! Checks whether a plugin file is complete, from the lengths of its sections. A writer may not have finished it.

/// The completeness of a WebAssembly file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// The bytes end at the end of a section.
    Complete,
    /// The bytes end inside of a section, or before the first one.
    Truncated,
    /// More bytes cannot make it WebAssembly.
    NotWasm,
}

const MAGIC: &[u8] = b"\0asm";
const HEADER_BYTES: usize = 8;

/// A section is an id, a length in LEB128 of 32 bits, and its bytes
/// (WebAssembly core specification, section 5.5.2; components have the same form).
pub fn check_completeness(bytes: &[u8]) -> Completeness {
    if !bytes.starts_with(&MAGIC[..MAGIC.len().min(bytes.len())]) {
        return Completeness::NotWasm;
    }
    let Some(mut rest) = bytes.get(HEADER_BYTES..) else { return Completeness::Truncated };
    if rest.is_empty() {
        return Completeness::Truncated;
    }
    while let Some((_id, after_id)) = rest.split_first() {
        let Some((length, length_bytes)) = parse_leb128(after_id) else {
            // A number of 32 bits has at most five bytes.
            return if after_id.len() < 5 { Completeness::Truncated } else { Completeness::NotWasm };
        };
        let Some(next) = after_id.get(length_bytes..).and_then(|payload| payload.get(length..)) else {
            return Completeness::Truncated;
        };
        rest = next;
    }
    Completeness::Complete
}

/// Returns the number and its length in bytes.
fn parse_leb128(bytes: &[u8]) -> Option<(usize, usize)> {
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
    fn file_is_complete_only_at_the_end_of_a_section() {
        let plugin = [HEADER, &section(0, b"name"), &section(1, &[7; 300])].concat();
        assert_eq!(check_completeness(&plugin), Completeness::Complete);
        let ends = [HEADER.len() + 3 + 4, plugin.len()];
        for cut in 0..plugin.len() {
            let expected = if ends.contains(&cut) { Completeness::Complete } else { Completeness::Truncated };
            assert_eq!(check_completeness(&plugin[..cut]), expected, "{cut}");
        }
    }

    #[test]
    fn other_format_is_not_wasm() {
        for other in [&b"<html>"[..], b"\x7fELF", b"\0asX"] {
            assert_eq!(check_completeness(other), Completeness::NotWasm);
        }
        assert_eq!(
            check_completeness(&[HEADER, &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]].concat()),
            Completeness::NotWasm
        );
    }
}
