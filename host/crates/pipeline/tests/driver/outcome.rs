//! What came of the records, as a reader of the topics and the pipeline itself see it.

use std::collections::BTreeMap;

/// A committed record of an output topic, and which input it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Produced {
    pub(super) of: (i32, i64),
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Vec<u8>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) timestamp_ms: Option<i64>,
}

impl Produced {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// What a pipeline was told is committed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) transactions: u64,
    pub(super) records_in: u64,
    pub(super) records_out: u64,
    pub(super) skipped: u64,
    pub(super) dead_letters: BTreeMap<String, u64>,
}
