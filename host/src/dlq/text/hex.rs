//! Bytes for people.

/// Lines of 16 bytes: offset, hexadecimal digits and printable ASCII.
pub(super) fn dump(bytes: &[u8]) -> impl Iterator<Item = String> {
    bytes.chunks(16).enumerate().map(|(line, bytes)| {
        let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String =
            bytes.iter().map(|&byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '.' }).collect();
        format!("{:08x}  {:<47}  {text}", line * 16, digits.join(" "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dump_shows_bytes_and_printable_characters() {
        let lines: Vec<String> = dump(b"\x00\xffvisit 42 \x1b[31m..").collect();
        assert_eq!(
            lines,
            [
                "00000000  00 ff 76 69 73 69 74 20 34 32 20 1b 5b 33 31 6d  ..visit 42 .[31m",
                "00000010  2e 2e                                            ..",
            ]
        );
    }
}
