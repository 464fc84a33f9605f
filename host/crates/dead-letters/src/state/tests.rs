use std::collections::BTreeMap;

use mapper_core::record::Batch;
use serde::Serialize;

use super::*;
use crate::groups::tests::{Sample, batch};

fn resolution(outcome: Outcome, letters: &[(i32, i64)]) -> Resolution {
    Resolution {
        v: VERSION,
        outcome,
        letters: letters.iter().copied().collect(),
        at: "2026-11-27T10:00:00Z".to_owned(),
        by: "ada@desk".to_owned(),
        reason: None,
        version: None,
        outputs: BTreeMap::new(),
    }
}

fn action(mark: Mark) -> Action {
    let (at, by, reason) = ("2026-11-27T10:00:00Z".to_owned(), "ada@desk".to_owned(), "known".to_owned());
    Action { mark, at, by, reason, until: None, version: None }
}

fn apply(table: &mut StateTable, key: &str, value: Option<&[u8]>) -> Result<(), StateError> {
    let mut batch = Batch::new("visits_dlq.state");
    batch.push((0, 0), 0, Some(key.as_bytes()), value, std::iter::empty());
    table.apply(batch.record(0))
}

fn put(table: &mut StateTable, key: &str, value: &impl Serialize) {
    apply(table, key, Some(&serde_json::to_vec(value).unwrap())).unwrap();
}

/// Whether each letter of these failed records in the partition 0 is open.
fn open(table: &StateTable, sources: &[i64]) -> Vec<bool> {
    let samples: Vec<_> = sources.iter().map(|source| Sample { source: *source, ..Sample::default() }).collect();
    batch(&samples).records().map(|record| table.is_open(&DeadLetter::read(record).unwrap())).collect()
}

#[test]
fn letter_is_open_until_it_is_resolved() {
    let mut table = StateTable::default();
    put(&mut table, "letter visits/0@11", &resolution(Outcome::Redriven, &[(0, 1)]));
    put(&mut table, "letter visits/0@12", &resolution(Outcome::Redriven, &[(1, 99)]));
    put(&mut table, "letter visits/1@10", &resolution(Outcome::Redriven, &[(0, 99)]));
    table.finish();
    assert_eq!(open(&table, &[10, 11, 12]), [true, false, true]);
}

#[test]
fn later_letter_of_a_resolved_record_is_open() {
    let mut table = StateTable::default();
    put(&mut table, "letter visits/0@10", &resolution(Outcome::FailedAgain, &[(0, 1)]));
    table.finish();
    assert_eq!(open(&table, &[10, 10, 10]), [false, false, true]);
    put(&mut table, "letter visits/0@10", &resolution(Outcome::Redriven, &[(0, 2), (3, 7)]));
    table.finish();
    assert_eq!(open(&table, &[10, 10, 10, 10]), [false, false, false, true]);
    let source = Position::parse("visits/0@10").unwrap();
    assert_eq!(table.resolved_letters(&source).collect::<BTreeMap<_, _>>(), BTreeMap::from([(0, 2), (3, 7)]));
    assert_eq!(table.outcomes(), OutcomeCounts { redriven: 1, ..OutcomeCounts::default() });
}

#[test]
fn tombstone_removes_what_was_done() {
    let mut table = StateTable::default();
    put(&mut table, "letter visits/0@10", &resolution(Outcome::Discarded, &[(0, 5)]));
    put(&mut table, "group aaaa", &GroupRecord::new(action(Mark::Muted), None));
    apply(&mut table, "letter visits/0@10", None).unwrap();
    apply(&mut table, "group aaaa", None).unwrap();
    table.finish();
    assert_eq!((open(&table, &[10]), table.group("aaaa")), (vec![true], None));
    assert_eq!(table.outcomes(), OutcomeCounts::default());
}

#[test]
fn outcomes_are_counted_by_failed_record() {
    let mut table = StateTable::default();
    for (source, outcome) in
        [(1, Outcome::Redriven), (2, Outcome::Redriven), (3, Outcome::Discarded), (1, Outcome::FailedAgain)]
    {
        put(&mut table, &format!("letter visits/0@{source}"), &resolution(outcome, &[(0, 1), (1, 1)]));
    }
    table.finish();
    let expected = OutcomeCounts { redriven: 1, failed_again: 1, discarded: 1, returned: 0 };
    assert_eq!(table.outcomes(), expected);
}

#[test]
fn record_of_a_newer_version_is_refused_and_a_foreign_one_is_named() {
    let mut table = StateTable::default();
    let newer = apply(&mut table, "group aaaa", Some(br#"{"v": 2, "new": true}"#)).unwrap_err();
    assert_eq!(newer, StateError::Newer { key: "group aaaa".to_owned(), version: 2 });
    for (key, value) in [
        ("group aaaa", &b"text"[..]),
        ("group aaaa", br#"{"v": 1}"#),
        ("other", b"{}"),
        ("letter visits", br#"{"v": 1}"#),
        ("", br#"{"v": 1}"#),
    ] {
        let error = apply(&mut table, key, Some(value)).unwrap_err();
        assert!(matches!(error, StateError::Foreign { .. }), "{key}: {error}");
    }
}

#[test]
fn key_is_parsed_from_its_text() {
    let letter = StateKey::Letter(Position::parse("visits/0@17").unwrap());
    for key in [letter, StateKey::Group("9b3e4dc526d2ea64".to_owned()), StateKey::Redrive] {
        assert_eq!(StateKey::parse(key.to_string().as_bytes()), Some(key));
    }
}

#[test]
fn group_remembers_its_last_decisions() {
    let first = GroupRecord::new(action(Mark::Acknowledged), None);
    let second = GroupRecord::new(action(Mark::Muted), Some(&first));
    assert_eq!((second.last.mark, second.history.len()), (Mark::Muted, 1));
    let last = (0..50).fold(second, |before, _| GroupRecord::new(action(Mark::Reopened), Some(&before)));
    assert_eq!(last.history.len(), 20);
}

#[test]
fn only_a_later_letter_of_another_version_is_a_regression() {
    let resolved = |version: Option<&str>| GroupRecord {
        ends: BTreeMap::from([(0, 1)]),
        failed_versions: vec!["abc123".to_owned()],
        ..GroupRecord::new(Action { version: version.map(str::to_owned), ..action(Mark::Resolved) }, None)
    };
    let samples = [
        Sample { source: 1, plugin: "m 2.0.0 fixed0", ..Sample::default() },
        Sample { source: 2, ..Sample::default() },
        Sample { source: 3, plugin: "m 2.0.0 fixed0", ..Sample::default() },
        Sample { source: 4, plugin: "m 3.0.0 later0", ..Sample::default() },
    ];
    let batch = batch(&samples);
    let regressions = |record: &GroupRecord| {
        batch.records().map(|letter| record.is_regression(&DeadLetter::read(letter).unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(regressions(&resolved(Some("fixed0"))), [false, false, true, true]);
    assert_eq!(regressions(&resolved(None)), [false, true, true, true], "without a version, each later letter is one");
    assert_eq!(regressions(&GroupRecord::new(action(Mark::Muted), None)), [false; 4]);
}
