//! Decodes UTF-8 text files, with or without a byte order mark (BOM).

use std::io::{self, ErrorKind, Read};

/// U+FEFF in UTF-8.
const UTF8_BOM: &[u8] = b"\xef\xbb\xbf";
/// The BOM of UTF-32 starts with that of UTF-16, so it comes first.
const OTHER_BOMS: [(&[u8], &str); 4] =
    [(b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16")];
const MAX_BOM_BYTES: usize = 4;

/// Decodes the content of a file, without its BOM.
///
/// # Errors
/// The content is not UTF-8.
pub fn decode_text(mut bytes: Vec<u8>) -> Result<String, String> {
    bytes.drain(..bom_bytes(&bytes)?);
    String::from_utf8(bytes).map_err(|error| format!("not UTF-8: {}", error.utf8_error()))
}

/// Length of the UTF-8 BOM at the start of a file.
fn bom_bytes(first: &[u8]) -> Result<usize, String> {
    if first.starts_with(UTF8_BOM) {
        return Ok(UTF8_BOM.len());
    }
    match OTHER_BOMS.iter().find(|(bom, _)| first.starts_with(bom)) {
        None => Ok(0),
        Some((_, encoding)) => Err(format!(
            "not UTF-8: the byte order mark of {encoding}. Convert the file, for example with: iconv -f {encoding} -t UTF-8"
        )),
    }
}

/// Skips the UTF-8 BOM of a stream. The BOM of another encoding is an error ([`ErrorKind::InvalidData`]).
pub struct WithoutBom<R> {
    inner: R,
    /// The first bytes of the stream, and the range that is not returned yet.
    first: Option<([u8; MAX_BOM_BYTES], std::ops::Range<usize>)>,
}

impl<R: Read> WithoutBom<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, first: None }
    }

    /// Reads only as many bytes as needed to exclude a BOM, because the input may be interactive.
    fn read_first(&mut self) -> io::Result<([u8; MAX_BOM_BYTES], std::ops::Range<usize>)> {
        let mut first = [0; MAX_BOM_BYTES];
        let mut length = 0;
        let boms = || OTHER_BOMS.iter().map(|(bom, _)| *bom).chain([UTF8_BOM]);
        while length < MAX_BOM_BYTES && boms().any(|bom| bom.len() > length && bom.starts_with(&first[..length])) {
            match self.inner.read(&mut first[length..]) {
                Ok(0) => break,
                Ok(bytes) => length += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let bom = bom_bytes(&first[..length]).map_err(|reason| io::Error::new(ErrorKind::InvalidData, reason))?;
        Ok((first, bom..length))
    }
}

impl<R: Read> Read for WithoutBom<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.first.is_none() {
            self.first = Some(self.read_first()?);
        }
        if let Some((first, remaining)) = self.first.as_mut().filter(|(_, remaining)| !remaining.is_empty()) {
            let bytes = remaining.len().min(buffer.len());
            buffer[..bytes].copy_from_slice(&first[remaining.start..remaining.start + bytes]);
            remaining.start += bytes;
            return Ok(bytes);
        }
        self.inner.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns one byte per read, like a slow pipe.
    struct SlowReader<'a>(&'a [u8]);

    impl Read for SlowReader<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let bytes = self.0.len().min(buffer.len()).min(1);
            buffer[..bytes].copy_from_slice(&self.0[..bytes]);
            self.0 = &self.0[bytes..];
            Ok(bytes)
        }
    }

    fn decode_all_ways(bytes: &[u8]) -> Result<String, String> {
        let read = |mut reader: Box<dyn Read + '_>| {
            let mut text = Vec::new();
            reader.read_to_end(&mut text).map_err(|error| error.to_string())?;
            String::from_utf8(text).map_err(|error| format!("not UTF-8: {}", error.utf8_error()))
        };
        let decoded = decode_text(bytes.to_vec());
        assert_eq!(read(Box::new(WithoutBom::new(bytes))), decoded, "{bytes:?}");
        assert_eq!(read(Box::new(WithoutBom::new(SlowReader(bytes)))), decoded, "{bytes:?}");
        decoded
    }

    #[test]
    fn utf8_bom_is_skipped_at_the_start_only() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"a", "a"),
            (b"\xef\xbb\xbf", ""),
            (b"\xef\xbb\xbf{}", "{}"),
            (b"\xef\xbb\xbf\xef\xbb\xbf{}", "\u{feff}{}"),
            (b"{}\xef\xbb\xbf", "{}\u{feff}"),
            ("ïx".as_bytes(), "ïx"),
            (b"\0\0x", "\0\0x"),
        ] {
            assert_eq!(decode_all_ways(bytes).as_deref(), Ok(text), "{bytes:?}");
        }
    }

    #[test]
    fn other_encoding_is_rejected_with_a_conversion_hint() {
        for (bytes, encoding) in [
            (&b"\xff\xfe{\0}\0"[..], "UTF-16"),
            (b"\xfe\xff\0{\0}", "UTF-16"),
            (b"\xff\xfe", "UTF-16"),
            (b"\xff\xfe\0\0{\0\0\0", "UTF-32"),
            (b"\0\0\xfe\xff\0\0\0{", "UTF-32"),
        ] {
            let error = decode_all_ways(bytes).unwrap_err();
            assert!(error.starts_with(&format!("not UTF-8: the byte order mark of {encoding}. ")), "{error}");
            assert!(error.ends_with(&format!("iconv -f {encoding} -t UTF-8")), "{error}");
        }
        assert!(decode_all_ways(b"a\xff").unwrap_err().starts_with("not UTF-8: "));
        assert!(decode_all_ways(b"\xef\xbb").unwrap_err().starts_with("not UTF-8: "));
    }
}
