//! Fingerprints group failures with the same cause.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::verdict::Failure;

/// The size of the cache. Most failures repeat a few messages.
const MAX_CACHED: usize = 1024;
/// The number of innermost functions in a fingerprint. The outer callers are always the same.
const FRAMES: usize = 3;

/// A cache of fingerprints by the text of the failure.
#[derive(Default)]
pub(super) struct Fingerprints(HashMap<String, String>);

impl Fingerprints {
    /// `text` is the complete text of the failure.
    pub(super) fn get(&mut self, text: &str, failure: &Failure<'_>) -> &str {
        if !self.0.contains_key(text) {
            if self.0.len() >= MAX_CACHED {
                self.0.clear();
            }
            self.0.insert(text.to_owned(), fingerprint_of(failure));
        }
        &self.0[text]
    }
}

/// The fingerprint of a failure: 16 hexadecimal digits.
pub fn fingerprint_of(failure: &Failure<'_>) -> String {
    fingerprint(failure.kind.name(), &failure.message, &failure.details, parse_function)
}

/// The fingerprint of a failure that another program describes. Its backtrace is that of Java.
pub(super) fn foreign_fingerprint(kind: &str, message: &str, trace: &str) -> String {
    fingerprint(kind, message, trace, parse_java_function)
}

/// The first 16 hexadecimal digits of a SHA-256. It covers the kind, the normalized message, and the innermost functions.
fn fingerprint(kind: &str, message: &str, details: &str, parse: impl Fn(&str) -> Option<&str>) -> String {
    let mut text = format!("{kind}\n{}", normalize(message));
    for frame in details.lines().filter_map(parse).take(FRAMES) {
        text.push('\n');
        text.push_str(frame);
    }
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The shortest word of hexadecimal digits that counts as a number: the length of the short groups of a UUID.
const MIN_HEX_DIGITS: usize = 4;

/// Replaces numbers and quoted texts in a message, because they differ from record to record.
fn normalize(message: &str) -> String {
    let mut normal = String::new();
    let mut rest = message;
    while let Some(character) = rest.chars().next() {
        let length = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        let quoted = || rest[1..].find(character).map(|end| end + 2);
        let taken = match character {
            // An apostrophe within a word is not a quote.
            '"' | '\'' | '`' if !normal.ends_with(char::is_alphanumeric) => quoted().inspect(|_| normal.push('?')),
            _ if length > 0 => {
                push_word(&mut normal, &rest[..length]);
                Some(length)
            }
            _ => None,
        };
        let taken = taken.unwrap_or_else(|| {
            normal.push(character);
            character.len_utf8()
        });
        rest = &rest[taken..];
    }
    normal
}

fn push_word(normal: &mut String, word: &str) {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit()) && word.bytes().any(|byte| byte.is_ascii_digit());
    if is_hex && word.len() >= MIN_HEX_DIGITS {
        return normal.push('#');
    }
    let mut in_number = false;
    for character in word.chars() {
        let digit = character.is_ascii_digit();
        if !digit || !in_number {
            normal.push(if digit { '#' } else { character });
        }
        in_number = digit;
    }
}

/// Parses the function in a line of a backtrace, `   0:   0x42 - module.wasm!function`. Drops the parts that differ from build to
/// build.
fn parse_function(line: &str) -> Option<&str> {
    let (frame, function) = line.trim_start().split_once(" - ")?;
    let (number, address) = frame.split_once(':')?;
    let is_frame = number.parse::<u32>().is_ok() && address.trim_start().starts_with("0x");
    let function = function.rsplit_once('!').map_or(function, |(_, name)| name);
    is_frame.then(|| strip_hash(function))
}

/// Parses the method in a line of a Java stack trace, `\tat package.Class.method(File.java:42)`.
fn parse_java_function(line: &str) -> Option<&str> {
    let (method, place) = line.trim_start().strip_prefix("at ")?.split_once('(')?;
    place.ends_with(')').then_some(method)
}

/// Removes the hash of a Rust name (`::h0123456789abcdef`) and the suffix of LLVM (`.llvm.42`).
fn strip_hash(function: &str) -> &str {
    let function = function.split_once(".llvm.").map_or(function, |(name, _)| name);
    let is_hash = |hash: &str| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    function.rsplit_once("::h").filter(|(_, hash)| is_hash(hash)).map_or(function, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::FailureKind;

    fn fingerprint_of(message: &str, details: &str) -> String {
        fingerprint(FailureKind::Trap.name(), message, details, parse_function)
    }

    #[test]
    fn fingerprint_ignores_values_of_a_record() {
        assert_eq!(
            fingerprint_of("bad time '2023' at column 17", ""),
            fingerprint_of("bad time 'soon' at column 9", "")
        );
        assert_ne!(fingerprint_of("bad time", ""), fingerprint_of("bad page", ""));
        assert_ne!(fingerprint_of("can't", ""), fingerprint_of("can", ""));
        let trap =
            |address: &str, name: &str| format!("error\n    0: {address} - m.wasm!{name}\n    at src/lib.rs:3\n");
        assert_eq!(fingerprint_of("boom", &trap("0x12", "reduce")), fingerprint_of("boom", &trap("0x99", "reduce")));
        assert_ne!(fingerprint_of("boom", &trap("0x12", "reduce")), fingerprint_of("boom", &trap("0x12", "parse")));
    }

    #[test]
    fn fingerprint_of_a_java_exception_covers_its_methods_but_no_line_numbers() {
        let trace = |line: u32, method: &str| {
            format!("E: boom\n\tat a.B.{method}(B.java:{line})\n\tat a.C.d(Unknown Source)\n")
        };
        let of = |trace: &str| foreign_fingerprint("a.E", "boom", trace);
        assert_eq!(of(&trace(3, "m")), of(&trace(99, "m")));
        assert_ne!(of(&trace(3, "m")), of(&trace(3, "n")));
        assert_ne!(of(&trace(3, "m")), foreign_fingerprint("a.F", "boom", &trace(3, "m")));
        assert_eq!(parse_java_function("at all (a remark)"), Some("all "));
        assert_eq!(parse_java_function("\tat a.B.m(B.java:3) ~[a.jar]"), None);
    }

    #[test]
    fn normalization_replaces_only_numbers_and_quotes() {
        for (message, normal) in [
            ("bad time '2023' at column 17", "bad time ? at column #"),
            ("can't read \"a\" and 'b", "can't read ? and 'b"),
            ("at 0xdeadbeef, id 6f1c2a90-77aa-4b1e-9c33-0123456789ab", "at #, id #-#-#-#-#"),
            ("the 3rd of 12.5 MB, i32 or utf8", "the #rd of #.# MB, i# or utf#"),
            ("größer als 5 €, dead beef, face", "größer als # €, dead beef, face"),
            ("", ""),
        ] {
            assert_eq!(normalize(message), normal);
        }
    }

    #[test]
    fn function_name_is_the_same_in_each_build() {
        for (line, name) in [
            ("    0:   0x1a2b - m.wasm!reduce::parse::h0123456789abcdef", Some("reduce::parse")),
            ("   12: 0x2 - core::str::from_utf8", Some("core::str::from_utf8")),
            ("    1:   0x99 - m.wasm!inner.llvm.8475629", Some("inner")),
            ("                    at src/lib.rs:3:5", None),
            ("                - an_inlined_one", None),
            ("a guest wrote: this - not a frame", None),
        ] {
            assert_eq!(parse_function(line), name);
        }
    }
}
