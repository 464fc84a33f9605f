//! What a dead letter keeps of its record if not everything fits.

use crate::record::Record;

/// The longest beginning of a cut key.
pub(super) const MAX_SOURCE_KEY_BYTES: usize = 256;

/// The parts of a record that a dead letter keeps beside the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) text: bool,
    pub(super) key: bool,
    pub(super) headers: bool,
}

impl Kept {
    pub(super) const ALL: Self = Self { text: true, key: true, headers: true };
    pub(super) const NOTHING: Self = Self { text: false, key: false, headers: false };
    /// In the order of the attempts: parts of the record itself are dropped last.
    pub(super) const CHOICES: [Self; 5] = [
        Self::ALL,
        Self { text: false, ..Self::ALL },
        Self { text: false, headers: false, ..Self::ALL },
        Self { text: false, key: false, ..Self::ALL },
        Self::NOTHING,
    ];
}

/// The beginning of the key, if the dead letter does not keep the key.
pub(super) fn source_key<'a>(record: Record<'a>, kept: Kept) -> Option<&'a [u8]> {
    let key = record.key().filter(|_| !kept.key)?;
    Some(&key[..key.len().min(MAX_SOURCE_KEY_BYTES)])
}
