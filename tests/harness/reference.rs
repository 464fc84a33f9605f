//! The reference data: records of the reference generator, each with the result of the reference job.

use std::path::Path;

use serde::Deserialize;

use crate::topics::NewRecord;

/// One record and its verdict: `reduced` or `error`.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    /// The key of the record.
    pub key: Option<String>,
    /// Its value.
    pub value: String,
    /// The reduced visit, as JSON.
    pub reduced: Option<String>,
    /// The message of its dead letter.
    pub error: Option<String>,
}

impl Case {
    /// The record, to be produced.
    pub fn record(&self) -> NewRecord {
        let record = NewRecord::value(self.value.as_str());
        self.key.iter().fold(record, |record, key| record.key(key.as_str()))
    }
}

/// All cases, in order.
pub fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/visits.jsonl");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}
