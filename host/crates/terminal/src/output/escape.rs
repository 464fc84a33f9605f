//! Escapes control characters in untrusted text.
//!
//! Records, errors, plugin names and settings are untrusted. The terminal would execute an escape sequence in them. A line break could
//! forge a log line. A bidirectional mark would reorder the displayed text.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Control characters, bidirectional marks (<https://trojansource.codes>), zero-width characters, Unicode line separators, tags and
/// noncharacters.
pub fn is_unsafe(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    matches!(
        c,
        '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fdd0}'..='\u{fdef}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    ) || u32::from(c) & 0xfffe == 0xfffe
}

/// Escapes text for one line, including line breaks and tabs.
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, is_unsafe, push_escaped)
}

/// Escapes text for several lines: keeps LF and tabs.
pub fn text(text: &str) -> Cow<'_, str> {
    escape(text, |c| is_unsafe(c) && !is_layout(c), push_escaped)
}

/// Escapes JSON without changing its meaning. LF and tabs are whitespace, because JSON strings can't contain them.
pub fn json(text: &str) -> Cow<'_, str> {
    escape(
        text,
        |c| is_unsafe(c) && !is_layout(c),
        |to, c| {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string can't fail.
                let _ = write!(to, "\\u{unit:04x}");
            }
        },
    )
}

/// Escapes bytes as text for several lines. Invalid UTF-8 becomes `\xff`.
pub fn bytes(bytes: &[u8]) -> String {
    let mut escaped = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        escaped.push_str(&text(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(escaped, "\\x{byte:02x}");
        }
    }
    escaped
}

fn is_layout(c: char) -> bool {
    matches!(c, '\n' | '\t')
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool, push: impl Fn(&mut String, char)) -> Cow<'_, str> {
    let Some(first) = text.find(&is_escaped) else { return Cow::Borrowed(text) };
    let mut escaped = String::with_capacity(text.len() + 16);
    escaped.push_str(&text[..first]);
    for c in text[first..].chars() {
        if is_escaped(c) {
            push(&mut escaped, c);
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

fn push_escaped(to: &mut String, c: char) {
    let _ = match c {
        '\n' => write!(to, "\\n"),
        '\r' => write!(to, "\\r"),
        '\t' => write!(to, "\\t"),
        c if c.is_ascii() => write!(to, "\\x{:02x}", u32::from(c)),
        c => write!(to, "\\u{{{:x}}}", u32::from(c)),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One example for each kind of escaped character.
    const ESCAPED: [(char, &str); 22] = [
        ('\0', "\\x00"),
        ('\u{7}', "\\x07"),
        ('\u{8}', "\\x08"),
        ('\r', "\\r"),
        ('\u{1b}', "\\x1b"),
        ('\u{7f}', "\\x7f"),
        ('\u{85}', "\\u{85}"),
        ('\u{9b}', "\\u{9b}"),
        ('\u{9d}', "\\u{9d}"),
        ('\u{ad}', "\\u{ad}"),
        ('\u{61c}', "\\u{61c}"),
        ('\u{200b}', "\\u{200b}"),
        ('\u{200e}', "\\u{200e}"),
        ('\u{200f}', "\\u{200f}"),
        ('\u{2028}', "\\u{2028}"),
        ('\u{2029}', "\\u{2029}"),
        ('\u{202e}', "\\u{202e}"),
        ('\u{2066}', "\\u{2066}"),
        ('\u{feff}', "\\u{feff}"),
        ('\u{fffe}', "\\u{fffe}"),
        ('\u{e0041}', "\\u{e0041}"),
        ('\u{10ffff}', "\\u{10ffff}"),
    ];

    #[test]
    fn unsafe_characters_are_escaped() {
        for (c, escaped) in ESCAPED {
            let given = format!("a{c}b");
            assert_eq!(line(&given), format!("a{escaped}b"));
            assert_eq!(text(&given), format!("a{escaped}b"));
            assert_eq!(bytes(given.as_bytes()), format!("a{escaped}b"));
        }
        for c in ('\0'..=char::MAX).filter(|c| c.is_control()) {
            assert!(!line(&c.to_string()).contains(c), "{c:?}");
        }
    }

    #[test]
    fn only_text_and_bytes_keep_line_breaks_and_tabs() {
        assert_eq!(line("a\n\tb"), "a\\n\\tb");
        assert_eq!(text("a\n\tb"), "a\n\tb");
        assert_eq!(bytes(b"a\n\tb"), "a\n\tb");
    }

    #[test]
    fn plain_text_is_borrowed_unchanged() {
        for plain in ["", "plain", "Größe 10 µs → ✓ \u{1f600}", "\\x1b is text", "日本語", "فارسی"] {
            assert!(matches!(line(plain), Cow::Borrowed(same) if same == plain), "{plain}");
        }
    }

    #[test]
    fn invalid_utf8_is_shown_as_hex_bytes() {
        assert_eq!(bytes(b"a\xff\xc3(\x9bz"), "a\\xff\\xc3(\\x9bz");
    }

    #[test]
    fn escaped_json_has_the_same_meaning() {
        let given: String = ESCAPED.iter().map(|(c, _)| *c).collect();
        let written = serde_json::to_string(&given).unwrap();
        let escaped = json(&written);
        assert!(!escaped.contains(is_unsafe), "{escaped}");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), given);
        assert_eq!(json("{\n\t\"a\": 1\n}"), "{\n\t\"a\": 1\n}");
    }
}
