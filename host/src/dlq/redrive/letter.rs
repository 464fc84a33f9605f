//! A letter that a redrive has taken.

use mapper_core::dead_letter::{DeadLetter, FailedInput};
use mapper_dead_letters::selection::Position;

use super::plan::LetterAt;

/// A letter on its way through the pipeline.
#[derive(Debug, Clone)]
pub(super) struct TakenLetter {
    /// Its number in the order in which the pipeline gets the letters, from 0.
    pub(super) sequence: i64,
    pub(super) at: LetterAt,
    /// The record that failed.
    pub(super) source: Position,
    pub(super) attempt: u32,
    pub(super) fingerprint: String,
    /// The kind and the first line of the message.
    pub(super) failure: String,
    pub(super) input: FailedInput,
}

impl TakenLetter {
    /// `None` if the letter does not have the whole record.
    pub(super) fn new(letter: &DeadLetter<'_>) -> Option<Self> {
        let input = letter.input().ok().filter(|_| letter.is_complete())?;
        Some(Self::with_input(letter, input))
    }

    pub(super) fn with_input(letter: &DeadLetter<'_>, input: FailedInput) -> Self {
        let at = letter.position();
        Self {
            sequence: 0,
            at: (at.partition, at.offset),
            source: letter.source_or_self().into(),
            attempt: letter.attempt,
            fingerprint: letter.fingerprint.clone().into_owned(),
            failure: format!("{}: {}", letter.kind, letter.message().lines().next().unwrap_or_default()),
            input,
        }
    }

    /// The bytes of the record.
    pub(super) fn bytes(&self) -> usize {
        let FailedInput { key, value, headers, .. } = &self.input;
        let header = |(name, value): &(Vec<u8>, Option<Vec<u8>>)| name.len() + value.as_ref().map_or(0, Vec::len);
        let headers: usize = headers.iter().map(header).sum();
        key.as_ref().map_or(0, Vec::len) + value.as_ref().map_or(0, Vec::len) + headers
    }
}
