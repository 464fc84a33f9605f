//! The results of the records in the topics and in the reports of the pipeline.

use std::collections::BTreeMap;

/// A committed record of an output topic, and its input.
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

/// The counts of the transactions whose commit the sink has confirmed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CommittedCounts {
    pub(super) transactions: u64,
    pub(super) records_in: u64,
    pub(super) records_out: u64,
    pub(super) skipped: u64,
    pub(super) dead_letters: BTreeMap<String, u64>,
}
