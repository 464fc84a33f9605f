//! A reader of JSON text, one token at a time: numbers keep their digits, and nothing is allocated for text without escapes.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::error::{Failure, ValueError, shortened};
use crate::limits::Limits;

/// The kind of a JSON value, which its first byte shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::Null, Self::Boolean, Self::Number, Self::String, Self::Array, Self::Object];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// The caller limits the depth: the reader has no recursion.
pub(crate) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Fails unless only white space is left.
    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        match self.next_byte() {
            None => Ok(()),
            Some(_) => Err(self.invalid("more text follows the value")),
        }
    }

    /// The kind of the next value.
    pub(crate) fn peek(&mut self) -> Result<Kind, Failure> {
        match self.next_byte() {
            Some(b'"') => Ok(Kind::String),
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Boolean),
            Some(b'n') => Ok(Kind::Null),
            Some(_) => Err(self.invalid("a value is expected")),
            None => Err(self.invalid("the text ends early")),
        }
    }

    pub(crate) fn null(&mut self) -> Result<(), Failure> {
        self.expect(Kind::Null)?;
        self.literal(b"null")
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, Failure> {
        self.expect(Kind::Boolean)?;
        let value = self.text[self.at] == b't';
        self.literal(if value { b"true" } else { b"false" })?;
        Ok(value)
    }

    /// The text of a number.
    pub(crate) fn number(&mut self) -> Result<&'a str, Failure> {
        self.expect(Kind::Number)?;
        let start = self.at;
        self.take(|byte| byte == b'-', 1);
        match self.text.get(self.at) {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.take(|byte| byte == b'.', 1) {
            self.digits()?;
        }
        if self.take(|byte| matches!(byte, b'e' | b'E'), 1) {
            self.take(|byte| matches!(byte, b'+' | b'-'), 1);
            self.digits()?;
        }
        str::from_utf8(&self.text[start..self.at]).map_err(|_| self.invalid("a number is expected"))
    }

    /// The content of a string.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Failure> {
        self.expect(Kind::String)?;
        self.quoted()
    }

    /// Whether an array has an item, behind those that have been read. The first call also reads its start.
    pub(crate) fn next_item(&mut self, first: bool) -> Result<bool, Failure> {
        if first {
            self.expect(Kind::Array)?;
            self.at += 1;
        }
        self.next_of(first, b']')
    }

    /// The next key of an object, if it has one, behind those that have been read. The first call also reads its start.
    pub(crate) fn next_key(&mut self, first: bool) -> Result<Option<Cow<'a, str>>, Failure> {
        if self.next_member(first)? { self.key().map(Some) } else { Ok(None) }
    }

    /// Whether an object has a key, behind those that have been read. The first call also reads its start.
    pub(crate) fn next_member(&mut self, first: bool) -> Result<bool, Failure> {
        if first {
            self.expect(Kind::Object)?;
            self.at += 1;
        }
        self.next_of(first, b'}')
    }

    /// Reads a key with its colon if it is this one: the usual case, without the cost of a string.
    pub(crate) fn take_key(&mut self, quoted: &[u8]) -> bool {
        self.next_byte();
        let is_next = self.text[self.at..].starts_with(quoted);
        self.at += if is_next { quoted.len() } else { 0 };
        is_next
    }

    /// Reads a key with its colon.
    pub(crate) fn key(&mut self) -> Result<Cow<'a, str>, Failure> {
        if self.next_byte() != Some(b'"') {
            return Err(self.invalid("a key is expected"));
        }
        let key = self.quoted()?;
        if self.next_byte() != Some(b':') {
            return Err(self.invalid("a colon is expected"));
        }
        self.at += 1;
        Ok(key)
    }

    fn next_of(&mut self, first: bool, end: u8) -> Result<bool, Failure> {
        match self.next_byte() {
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if !first => {
                self.at += 1;
                Ok(true)
            }
            Some(_) if first => Ok(true),
            Some(_) => Err(self.invalid("a comma is expected")),
            None => Err(self.invalid("the text ends early")),
        }
    }

    fn expect(&mut self, expected: Kind) -> Result<(), Failure> {
        let kind = self.peek()?;
        if kind == expected { Ok(()) } else { Err(unexpected(expected.name(), kind)) }
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), Failure> {
        if !self.text[self.at..].starts_with(literal) {
            return Err(self.invalid("a value is expected"));
        }
        self.at += literal.len();
        Ok(())
    }

    /// Skips bytes, at most so many; whether there was one.
    fn take(&mut self, of: impl Fn(u8) -> bool, most: usize) -> bool {
        let length = self.text[self.at..].iter().take(most).take_while(|byte| of(**byte)).count();
        self.at += length;
        length > 0
    }

    fn digits(&mut self) -> Result<(), Failure> {
        if self.take(|byte| byte.is_ascii_digit(), usize::MAX) {
            Ok(())
        } else {
            Err(self.invalid("a digit is expected"))
        }
    }

    fn quoted(&mut self) -> Result<Cow<'a, str>, Failure> {
        self.at += 1;
        let plain = self.until_special()?;
        if self.text[self.at] == b'"' {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut content = plain.to_owned();
        while self.text[self.at] == b'\\' {
            content.push(self.escape()?);
            content.push_str(self.until_special()?);
        }
        self.at += 1;
        Ok(Cow::Owned(content))
    }

    /// The text before the next quote or backslash.
    fn until_special(&mut self) -> Result<&'a str, Failure> {
        let start = self.at;
        let length = self.text[start..].iter().position(|&byte| matches!(byte, b'"' | b'\\' | 0..0x20));
        let Some(length) = length else {
            self.at = self.text.len();
            return Err(self.invalid("the text ends early"));
        };
        self.at += length;
        if self.text[self.at] < 0x20 {
            return Err(self.invalid("a string has a control character without an escape"));
        }
        str::from_utf8(&self.text[start..self.at]).map_err(|_| self.invalid("a string is not UTF-8"))
    }

    fn escape(&mut self) -> Result<char, Failure> {
        let escaped = self.text.get(self.at + 1).copied();
        self.at += 2;
        Ok(match escaped {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.hex()?;
                let code = if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with(b"\\u") {
                    self.at += 2;
                    let second = self.hex()?;
                    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400);
                    low.map_or(first, |low| 0x10000 + ((first - 0xd800) << 10) + low)
                } else {
                    first
                };
                char::from_u32(code).ok_or_else(|| self.invalid("a string has half of a surrogate pair"))?
            }
            _ => return Err(self.invalid("a string has an unknown escape")),
        })
    }

    fn hex(&mut self) -> Result<u32, Failure> {
        let digits = self.text.get(self.at..self.at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.at += 4;
        code.ok_or_else(|| self.invalid("a string has an escape without four hexadecimal digits"))
    }

    fn next_byte(&mut self) -> Option<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn invalid(&self, reason: &str) -> Failure {
        ValueError::new(format!("invalid JSON at byte {}: {reason}", self.at.min(self.text.len())))
    }
}

/// The levels of arrays and objects. Fails for a text with too many of them, before a parser with recursion reads it.
pub(crate) fn check_levels(json: &[u8], limits: Limits) -> Result<usize, Failure> {
    if json.len() > limits.json_bytes {
        return Err(ValueError::new(format!("more than {} bytes of JSON", limits.json_bytes)));
    }
    let (mut levels, mut deepest) = (0_usize, 0);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => levels += 1,
            b'}' | b']' => levels = levels.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next()
                    && *byte != b'"'
                {
                    if *byte == b'\\' {
                        bytes.next();
                    }
                }
            }
            _ => continue,
        }
        deepest = deepest.max(levels);
        if levels > limits.depth {
            return Err(ValueError::new(format!("more than {} levels", limits.depth)));
        }
    }
    Ok(deepest)
}

/// A value of another kind.
pub(crate) fn unexpected(expected: &str, found: Kind) -> Failure {
    ValueError::new(format!("expected {expected}, found {}", found.name()))
}

/// A text that does not have the form that its type needs.
pub(crate) fn malformed(expected: &str, found: &str) -> Failure {
    ValueError::new(format!("expected {expected}, found {:?}", shortened(found)))
}

/// Appends a text as a JSON string.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain = 0;
    for (index, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain..index]);
        plain = index + 1;
        let short = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            _ => {
                let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.push(b'"');
}
