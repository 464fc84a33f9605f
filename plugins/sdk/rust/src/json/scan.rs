//! A fast scanner for the fields of an object. It returns `None` for unusual and for invalid documents: `serde_fields` reads or rejects them.
//!
//! The code is written for wasmtime, where each iteration of a loop and each call also checks the deadline, and arguments by reference
//! are in memory and not in registers. Therefore functions take and return positions by value. The position after an error is
//! [`NOWHERE`], beyond the end of every document.

use super::Value;

/// The maximum nesting depth of a value: one bit of a word per level.
const MAX_DEPTH: u32 = u64::BITS;
/// The position after an error.
const NOWHERE: usize = usize::MAX / 2;

/// The fields, or `None` if `serde_fields` must read the document.
pub(super) fn fields<'a, const N: usize>(json: &'a [u8], names: &[&str; N]) -> Option<[Option<Value<'a>>; N]> {
    let mut found = [None; N];
    let mut at = space(json, expect(json, space(json, 0), b'{'));
    if byte(json, at) == b'}' {
        at += 1;
    } else {
        loop {
            let key_start = expect(json, at, b'"');
            let key_end = key(json, key_start);
            let start = colon(json, key_end);
            at = value(json, start);
            let key = json.get(key_start..key_end - 1)?;
            if let Some(index) = names.iter().position(|name| same(name.as_bytes(), key)) {
                found[index] = Some(Value(text(json.get(start..at)?)?));
            }
            at = space(json, at);
            match byte(json, at) {
                b',' => at = space(json, at + 1),
                b'}' => break,
                _ => return None,
            }
        }
        at += 1;
    }
    (space(json, at) == json.len()).then_some(found)
}

/// Does the work of `str::from_utf8`, which checks short texts byte by byte.
#[inline(always)]
fn text(bytes: &[u8]) -> Option<&str> {
    let (words, rest) = bytes.as_chunks::<8>();
    let all = words.iter().fold(0, |all, word| all | u64::from_le_bytes(*word));
    let all = rest.iter().fold(all, |all, byte| all | u64::from(*byte));
    if all & HIGH == 0 {
        // SAFETY: no byte has its high bit set, so all are ASCII.
        return Some(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    std::str::from_utf8(bytes).ok()
}

/// Compares length and first byte before it calls `memcmp`: most keys differ there.
#[inline(always)]
fn same(name: &[u8], key: &[u8]) -> bool {
    name.len() == key.len() && name.first() == key.first() && name == key
}

/// The byte at this position, or 0 beyond the end: no JSON has this byte outside of strings.
#[inline(always)]
fn byte(json: &[u8], at: usize) -> u8 {
    json.get(at).copied().unwrap_or(0)
}

#[inline(always)]
fn expect(json: &[u8], at: usize, wanted: u8) -> usize {
    if byte(json, at) == wanted { at + 1 } else { NOWHERE }
}

/// Skips white space. Most documents have one blank or none.
#[inline(always)]
fn space(json: &[u8], at: usize) -> usize {
    let at = if byte(json, at) == b' ' { at + 1 } else { at };
    if matches!(byte(json, at), b' ' | b'\n' | b'\r' | b'\t') { more_space(json, at) } else { at }
}

#[cold]
fn more_space(json: &[u8], mut at: usize) -> usize {
    while matches!(byte(json, at), b' ' | b'\n' | b'\r' | b'\t') {
        at += 1;
    }
    at
}

#[inline(always)]
fn colon(json: &[u8], at: usize) -> usize {
    space(json, expect(json, space(json, at), b':'))
}

const ONES: u64 = u64::MAX / 255;
const HIGH: u64 = ONES << 7;

/// Sets the high bit of each byte of the word that equals `byte`. The lowest set bit is exact. Higher ones may be wrong ("Determine if a
/// word has a zero byte", Sean Anderson, Bit Twiddling Hacks).
#[inline(always)]
fn marks_of(word: u64, byte: u8) -> u64 {
    let differs = word ^ (ONES * u64::from(byte));
    differs.wrapping_sub(ONES) & !differs
}

/// Sets the high bit of each byte of the word that is special in a string: a quote, a backslash or a control character (RFC 8259, section 7).
#[inline(always)]
fn special_marks(word: u64) -> u64 {
    let control = word.wrapping_sub(ONES * u64::from(b' ')) & !word;
    (marks_of(word, b'"') | marks_of(word, b'\\') | control) & HIGH
}

/// The position after the closing quote of a key that begins at `at`. A key with an escape or a byte that is not ASCII is an error here: it
/// may be one of the names in another form.
#[inline(always)]
fn key(json: &[u8], mut at: usize) -> usize {
    while let Some(word) = json.get(at..at + 8).and_then(|chunk| chunk.first_chunk()) {
        let word = u64::from_le_bytes(*word);
        let special = special_marks(word) | word & HIGH;
        if special != 0 {
            return expect(json, at + (special.trailing_zeros() / 8) as usize, b'"');
        }
        at += 8;
    }
    let length = json
        .get(at..)
        .and_then(|rest| rest.iter().position(|byte| !matches!(byte, b' '..=b'~' if *byte != b'"' && *byte != b'\\')));
    length.map_or(NOWHERE, |length| expect(json, at + length, b'"'))
}

/// The position after the closing quote of a string that begins at `at`.
#[inline(always)]
fn string(json: &[u8], mut at: usize) -> usize {
    loop {
        let Some(word) = json.get(at..at + 8).and_then(|chunk| chunk.first_chunk()) else {
            return string_at_end(json, at);
        };
        let word = u64::from_le_bytes(*word);
        let special = special_marks(word);
        if special == 0 {
            at += 8;
            continue;
        }
        at += (special.trailing_zeros() / 8) as usize;
        if byte(json, at) == b'"' {
            return at + 1;
        }
        at = escape(json, at);
    }
}

/// Does the work of `string` byte by byte when fewer than eight bytes are left.
#[cold]
fn string_at_end(json: &[u8], mut at: usize) -> usize {
    loop {
        match byte(json, at) {
            b'"' => return at + 1,
            b'\\' | 0..b' ' => at = escape(json, at),
            _ => at += 1,
        }
        if at >= NOWHERE {
            return at;
        }
    }
}

#[cold]
fn escape(json: &[u8], at: usize) -> usize {
    match json.get(at..) {
        Some([b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..]) => at + 2,
        Some([b'\\', b'u', a, b, c, d, ..]) if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => at + 6,
        _ => NOWHERE,
    }
}

#[inline(always)]
fn word(json: &[u8], at: usize, wanted: &[u8]) -> usize {
    if json.get(at..at + wanted.len()) == Some(wanted) { at + wanted.len() } else { NOWHERE }
}

fn digits(json: &[u8], mut at: usize) -> usize {
    let start = at;
    while byte(json, at).is_ascii_digit() {
        at += 1;
    }
    if at > start { at } else { NOWHERE }
}

fn number(json: &[u8], at: usize) -> usize {
    let at = if byte(json, at) == b'-' { at + 1 } else { at };
    // Only a fraction or an exponent may follow a leading zero (RFC 8259, section 6).
    let mut at = if byte(json, at) == b'0' { at + 1 } else { digits(json, at) };
    if byte(json, at) == b'.' {
        at = digits(json, at + 1);
    }
    if matches!(byte(json, at), b'e' | b'E') {
        at += 1 + usize::from(matches!(byte(json, at + 1), b'+' | b'-'));
        at = digits(json, at);
    }
    at
}

/// The position after a value.
#[inline(always)]
fn value(json: &[u8], at: usize) -> usize {
    if matches!(byte(json, at), b'{' | b'[') { nested(json, at) } else { scalar(json, at) }
}

#[inline(always)]
fn scalar(json: &[u8], at: usize) -> usize {
    match byte(json, at) {
        b'"' => string(json, at + 1),
        b'n' => word(json, at, b"null"),
        b't' => word(json, at, b"true"),
        b'f' => word(json, at, b"false"),
        b'-' | b'0'..=b'9' => number(json, at),
        _ => NOWHERE,
    }
}

fn nested(json: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    // One bit per level, the innermost is the lowest: 1 is an object, 0 is an array.
    let mut objects = 0_u64;
    loop {
        let open = byte(json, at);
        if matches!(open, b'{' | b'[') {
            at = space(json, at + 1);
            if byte(json, at) == (if open == b'{' { b'}' } else { b']' }) {
                at += 1;
            } else if depth < MAX_DEPTH {
                depth += 1;
                objects = objects << 1 | u64::from(open == b'{');
                at = member(json, at, objects);
                continue;
            } else {
                return NOWHERE;
            }
        } else {
            at = scalar(json, at);
        }
        loop {
            if depth == 0 {
                return at;
            }
            at = space(json, at);
            match (byte(json, at), objects & 1) {
                (b',', _) => {
                    at = member(json, space(json, at + 1), objects);
                    break;
                }
                (b'}', 1) | (b']', 0) => {
                    at += 1;
                    objects >>= 1;
                    depth -= 1;
                }
                _ => return NOWHERE,
            }
        }
    }
}

/// The position of the next value: in an object it comes after the key and the colon.
#[inline(always)]
fn member(json: &[u8], at: usize, objects: u64) -> usize {
    if objects & 1 == 1 { colon(json, string(json, expect(json, at, b'"'))) } else { at }
}
