//! A short name for failures of the same making, so that a million dead letters are five groups.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::verdict::Failure;

/// How many are remembered, as the same few messages come again and again.
const MAX_REMEMBERED: usize = 1024;
/// How many functions of a backtrace count: the callers further out are always the same.
const FRAMES: usize = 3;

/// Fingerprints by what was said of the failure.
#[derive(Default)]
pub(super) struct Fingerprints(HashMap<String, String>);

impl Fingerprints {
    /// The fingerprint of a failure, of which `said` is all there is to say.
    pub(super) fn of(&mut self, said: &str, failure: &Failure<'_>) -> &str {
        if !self.0.contains_key(said) {
            if self.0.len() >= MAX_REMEMBERED {
                self.0.clear();
            }
            self.0.insert(said.to_owned(), fingerprint(failure));
        }
        &self.0[said]
    }
}

/// The first 16 hexadecimal digits of the SHA-256 of the kind, the message without what differs from record to record,
/// and the innermost functions.
fn fingerprint(failure: &Failure<'_>) -> String {
    let mut text = format!("{}\n{}", failure.kind, normalised(&failure.message));
    for frame in failure.details.lines().filter_map(function).take(FRAMES) {
        text.push('\n');
        text.push_str(frame);
    }
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The shortest word of hexadecimal digits that is taken for a number: the groups of a UUID have as many.
const SHORTEST_HEX: usize = 4;

/// A message with numbers and what is in quotes taken out: these are of the record, not of the mistake.
fn normalised(message: &str) -> String {
    let mut normal = String::new();
    let mut rest = message;
    while let Some(character) = rest.chars().next() {
        let length = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        let quoted = || rest[1..].find(character).map(|end| end + 2);
        let taken = match character {
            // Not the apostrophe of a word.
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
    if is_hex && word.len() >= SHORTEST_HEX {
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

/// The function of a line of a backtrace, without its module and what differs from build to build: `   0:   0x42 -
/// module.wasm!function`.
fn function(line: &str) -> Option<&str> {
    let (frame, function) = line.trim_start().split_once(" - ")?;
    let (number, address) = frame.split_once(':')?;
    let is_frame = number.parse::<u32>().is_ok() && address.trim_start().starts_with("0x");
    let function = function.rsplit_once('!').map_or(function, |(_, name)| name);
    is_frame.then(|| without_hash(function))
}

/// Without the hash of a Rust name (`::h0123456789abcdef`), and the number that LLVM puts to a copy (`.llvm.42`).
fn without_hash(function: &str) -> &str {
    let function = function.split_once(".llvm.").map_or(function, |(name, _)| name);
    let is_hash = |hash: &str| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    function.rsplit_once("::h").filter(|(_, hash)| is_hash(hash)).map_or(function, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::FailureKind;

    fn of(message: &str, details: &str) -> String {
        let mut failure = Failure::new(FailureKind::Trap, message);
        failure.details = details.into();
        fingerprint(&failure)
    }

    #[test]
    fn what_differs_from_record_to_record_does_not_count() {
        assert_eq!(of("bad time '2023' at column 17", ""), of("bad time 'soon' at column 9", ""));
        assert_ne!(of("bad time", ""), of("bad page", ""));
        assert_ne!(of("can't", ""), of("can", ""));
        let trap =
            |address: &str, name: &str| format!("error\n    0: {address} - m.wasm!{name}\n    at src/lib.rs:3\n");
        assert_eq!(of("boom", &trap("0x12", "reduce")), of("boom", &trap("0x99", "reduce")));
        assert_ne!(of("boom", &trap("0x12", "reduce")), of("boom", &trap("0x12", "parse")));
    }

    #[test]
    fn numbers_hashes_and_quotes_are_taken_out_and_nothing_else() {
        for (message, normal) in [
            ("bad time '2023' at column 17", "bad time ? at column #"),
            ("can't read \"a\" and 'b", "can't read ? and 'b"),
            ("at 0xdeadbeef, id 6f1c2a90-77aa-4b1e-9c33-0123456789ab", "at #, id #-#-#-#-#"),
            ("the 3rd of 12.5 MB, i32 or utf8", "the #rd of #.# MB, i# or utf#"),
            ("größer als 5 €, dead beef, face", "größer als # €, dead beef, face"),
            ("", ""),
        ] {
            assert_eq!(normalised(message), normal);
        }
    }

    #[test]
    fn functions_are_the_same_from_build_to_build() {
        for (line, name) in [
            ("    0:   0x1a2b - m.wasm!reduce::parse::h0123456789abcdef", Some("reduce::parse")),
            ("   12: 0x2 - core::str::from_utf8", Some("core::str::from_utf8")),
            ("    1:   0x99 - m.wasm!inner.llvm.8475629", Some("inner")),
            ("                    at src/lib.rs:3:5", None),
            ("                - an_inlined_one", None),
            ("a guest wrote: this - not a frame", None),
        ] {
            assert_eq!(function(line), name);
        }
    }
}
