//! The decisions about groups.

use std::collections::HashMap;

use crate::state::{Action, GroupRecord};

/// The most groups with a decision.
const MAX_DECISIONS: usize = 10_000;
/// The most bytes of all reasons and names. Beyond, new records have no history.
const MAX_BYTES: usize = 8 << 20;

#[derive(Debug)]
pub(super) struct Decisions {
    records: HashMap<String, GroupRecord>,
    bytes: usize,
    max_bytes: usize,
    /// Whether records are missing, or a part of one.
    is_cut: bool,
}

impl Default for Decisions {
    fn default() -> Self {
        Self { records: HashMap::new(), bytes: 0, max_bytes: MAX_BYTES, is_cut: false }
    }
}

fn bytes(action: &Action) -> usize {
    let Action { at, by, reason, until, version, .. } = action;
    let optional = until.iter().chain(version).map(String::len).sum::<usize>();
    size_of::<Action>() + at.len() + by.len() + reason.len() + optional
}

fn record_bytes(record: &GroupRecord) -> usize {
    bytes(&record.last) + record.history.iter().map(bytes).sum::<usize>()
}

impl Decisions {
    pub(super) fn set(&mut self, fingerprint: String, record: Option<GroupRecord>) {
        if let Some(before) = self.records.remove(&fingerprint) {
            self.bytes -= record_bytes(&before);
        }
        let Some(mut record) = record else { return };
        if self.records.len() >= MAX_DECISIONS {
            self.is_cut = true;
            return;
        }
        if self.bytes + record_bytes(&record) > self.max_bytes && !record.history.is_empty() {
            (record.history, self.is_cut) = (Vec::new(), true);
        }
        self.bytes += record_bytes(&record);
        self.records.insert(fingerprint, record);
    }

    pub(super) fn get(&self, fingerprint: &str) -> Option<&GroupRecord> {
        self.records.get(fingerprint)
    }

    /// Whether all decisions are known, with their histories.
    pub(super) fn is_complete(&self) -> bool {
        !self.is_cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Mark;

    fn record(before: Option<&GroupRecord>) -> GroupRecord {
        let (at, by, reason) = ("2026-11-27T10:00:00Z".to_owned(), "ada".to_owned(), "x".repeat(400));
        GroupRecord::new(Action { mark: Mark::Muted, at, by, reason, until: None, version: None }, before)
    }

    #[test]
    fn histories_beyond_the_limit_of_bytes_are_cut_and_the_last_decision_is_kept() {
        let one = record(None);
        let mut decisions = Decisions { max_bytes: record_bytes(&one) * 3, ..Decisions::default() };
        decisions.set("aa".to_owned(), Some(one.clone()));
        decisions.set("aa".to_owned(), Some(record(Some(&one))));
        assert!(decisions.is_complete() && decisions.get("aa").is_some_and(|record| record.history.len() == 1));
        decisions.set("bb".to_owned(), Some(record(Some(&one))));
        assert!(!decisions.is_complete() && decisions.get("bb").is_some_and(|record| record.history.is_empty()));
        decisions.set("aa".to_owned(), None);
        decisions.set("bb".to_owned(), None);
        assert_eq!((decisions.get("aa"), decisions.bytes), (None, 0));
    }
}
