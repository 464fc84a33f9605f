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

/// A message with numbers and what is in quotes taken out: these are of the record, not of the mistake.
fn normalised(message: &str) -> String {
    let mut normal = String::new();
    let mut characters = message.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '0'..='9' => {
                while characters.next_if(char::is_ascii_digit).is_some() {}
                normal.push('#');
            }
            '"' | '\'' | '`' if characters.clone().any(|later| later == character) => {
                while characters.next().is_some_and(|later| later != character) {}
                normal.push('?');
            }
            other => normal.push(other),
        }
    }
    normal
}

/// The function of a line of a wasmtime backtrace: `   0:   0x42 - module.wasm!function`.
fn function(line: &str) -> Option<&str> {
    let (address, function) = line.trim_start().split_once(" - ")?;
    address.contains(": ").then(|| function.rsplit_once('!').map_or(function, |(_, name)| name))
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
}
