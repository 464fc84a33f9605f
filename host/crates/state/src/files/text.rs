//! Text files as editors, shells and spreadsheets save them: UTF-8, with or without a byte order mark.

use std::io::{self, ErrorKind, Read};

/// The byte order mark in UTF-8, U+FEFF.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
/// The byte order marks of other encodings. The one of UTF-32 begins as the one of UTF-16, and so comes first.
const OTHER_MARKS: [(&[u8], &str); 4] =
    [(b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16")];
const LONGEST_MARK: usize = 4;

/// The text of these bytes of a file, without a byte order mark.
///
/// # Errors
/// When it is not UTF-8.
pub fn decode_text(mut bytes: Vec<u8>) -> Result<String, String> {
    bytes.drain(..mark_bytes(&bytes)?);
    String::from_utf8(bytes).map_err(|error| format!("it is not UTF-8: {}", error.utf8_error()))
}

/// How many bytes the byte order mark has at the start of a file.
fn mark_bytes(first: &[u8]) -> Result<usize, String> {
    if first.starts_with(UTF8_MARK) {
        return Ok(UTF8_MARK.len());
    }
    match OTHER_MARKS.iter().find(|(mark, _)| first.starts_with(mark)) {
        None => Ok(0),
        Some((_, encoding)) => Err(format!(
            "it is {encoding}, as its byte order mark says; only UTF-8 is read. Convert it, for example with: iconv -f {encoding} \
             -t UTF-8"
        )),
    }
}

/// Reads a file or a pipe without its byte order mark. A mark of another encoding is an error ([`ErrorKind::InvalidData`]).
pub struct WithoutMark<R> {
    inner: R,
    /// The first bytes, once they are read, and how many of them were handed on.
    first: Option<([u8; LONGEST_MARK], std::ops::Range<usize>)>,
}

impl<R: Read> WithoutMark<R> {
    /// Nothing is read yet.
    pub fn new(inner: R) -> Self {
        Self { inner, first: None }
    }

    /// Reads no more than what it takes to know that there is no mark: a person may be typing.
    fn read_first(&mut self) -> io::Result<([u8; LONGEST_MARK], std::ops::Range<usize>)> {
        let mut first = [0; LONGEST_MARK];
        let mut length = 0;
        let marks = || OTHER_MARKS.iter().map(|(mark, _)| *mark).chain([UTF8_MARK]);
        while length < LONGEST_MARK && marks().any(|mark| mark.len() > length && mark.starts_with(&first[..length])) {
            match self.inner.read(&mut first[length..]) {
                Ok(0) => break,
                Ok(bytes) => length += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let mark = mark_bytes(&first[..length]).map_err(|reason| io::Error::new(ErrorKind::InvalidData, reason))?;
        Ok((first, mark..length))
    }
}

impl<R: Read> Read for WithoutMark<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.first.is_none() {
            self.first = Some(self.read_first()?);
        }
        if let Some((first, left)) = self.first.as_mut().filter(|(_, left)| !left.is_empty()) {
            let bytes = left.len().min(buffer.len());
            buffer[..bytes].copy_from_slice(&first[left.start..left.start + bytes]);
            left.start += bytes;
            return Ok(bytes);
        }
        self.inner.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands on a byte at a time, as a slow pipe does.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let bytes = self.0.len().min(buffer.len()).min(1);
            buffer[..bytes].copy_from_slice(&self.0[..bytes]);
            self.0 = &self.0[bytes..];
            Ok(bytes)
        }
    }

    fn all_ways(bytes: &[u8]) -> Result<String, String> {
        let read = |mut reader: Box<dyn Read + '_>| {
            let mut text = Vec::new();
            reader.read_to_end(&mut text).map_err(|error| error.to_string())?;
            String::from_utf8(text).map_err(|error| format!("it is not UTF-8: {}", error.utf8_error()))
        };
        let decoded = decode_text(bytes.to_vec());
        assert_eq!(read(Box::new(WithoutMark::new(bytes))), decoded, "{bytes:?}");
        assert_eq!(read(Box::new(WithoutMark::new(Slow(bytes)))), decoded, "{bytes:?}");
        decoded
    }

    #[test]
    fn mark_of_utf_8_is_skipped_at_the_start_only() {
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
            assert_eq!(all_ways(bytes).as_deref(), Ok(text), "{bytes:?}");
        }
    }

    #[test]
    fn other_encoding_is_named_with_the_way_out() {
        for (bytes, encoding) in [
            (&b"\xff\xfe{\0}\0"[..], "UTF-16"),
            (b"\xfe\xff\0{\0}", "UTF-16"),
            (b"\xff\xfe", "UTF-16"),
            (b"\xff\xfe\0\0{\0\0\0", "UTF-32"),
            (b"\0\0\xfe\xff\0\0\0{", "UTF-32"),
        ] {
            let error = all_ways(bytes).unwrap_err();
            assert!(error.starts_with(&format!("it is {encoding}, ")), "{error}");
            assert!(error.ends_with(&format!("iconv -f {encoding} -t UTF-8")), "{error}");
        }
        assert!(all_ways(b"a\xff").unwrap_err().starts_with("it is not UTF-8: "));
        assert!(all_ways(b"\xef\xbb").unwrap_err().starts_with("it is not UTF-8: "));
    }
}
