use std::collections::BTreeMap;

use mapper_core::record::Batch;

use super::*;
use crate::groups::tests::{Sample, batch, now};
use crate::state::{Action, VERSION};

const A: &str = "aaaa000000000000";
const B: &str = "bbbb000000000000";

fn add_all(open: &mut OpenLetters, batch: &Batch) {
    batch.records().for_each(|record| open.add(&DeadLetter::read(record).unwrap()));
}

fn add(open: &mut OpenLetters, samples: &[Sample<'_>]) {
    add_all(open, &batch(samples));
}

fn resolution(outcome: Outcome, letters: &[(i32, i64)]) -> Resolution {
    let (at, by) = ("2026-11-27T10:00:00Z".to_owned(), "ada@desk".to_owned());
    Resolution {
        v: VERSION,
        outcome,
        letters: letters.iter().copied().collect(),
        at,
        by,
        reason: None,
        version: None,
        outputs: BTreeMap::new(),
    }
}

fn resolve(open: &mut OpenLetters, source: i64, outcome: Outcome, letters: &[(i32, i64)]) {
    let source = Position { topic: "visits".to_owned(), partition: 0, offset: source };
    assert!(open.apply(StateChange::Letter(source, Some(resolution(outcome, letters)))));
}

fn decide(open: &mut OpenLetters, fingerprint: &str, mark: Mark, ends: &[(i32, i64)]) {
    let (at, by, reason) = ("2026-11-27T10:00:00Z".to_owned(), "ada@desk".to_owned(), "known".to_owned());
    let mut record = GroupRecord::new(Action { mark, at, by, reason, until: None, version: None }, None);
    record.ends = ends.iter().copied().collect();
    assert!(open.apply(StateChange::Group(fingerprint.to_owned(), Some(record))));
}

/// The number of open letters and the state of each group.
fn counts(open: &OpenLetters) -> Vec<(String, u64, LetterGroupState)> {
    let mut groups: Vec<_> =
        open.summary(now()).groups.into_iter().map(|group| (group.fingerprint, group.open, group.state)).collect();
    groups.sort();
    groups
}

fn group(fingerprint: &str, open: u64, state: LetterGroupState) -> (String, u64, LetterGroupState) {
    (fingerprint.to_owned(), open, state)
}

#[test]
fn letters_are_open_until_their_record_is_resolved() {
    let mut open = OpenLetters::default();
    let second = |source| Sample { source, fingerprint: B, seconds: 9, ..Sample::default() };
    add(&mut open, &[Sample { source: 1, ..Sample::default() }, second(2), second(3)]);
    assert_eq!(counts(&open), [group(A, 1, LetterGroupState::New), group(B, 2, LetterGroupState::New)]);
    assert_eq!(open.summary(now()).oldest_ms, Some(1_705_119_710_000));
    resolve(&mut open, 1, Outcome::Redriven, &[(0, 0)]);
    resolve(&mut open, 2, Outcome::Discarded, &[(0, 0)]);
    resolve(&mut open, 3, Outcome::Redriven, &[(7, 99)]);
    let summary = open.summary(now());
    assert_eq!((summary.open, summary.oldest_ms, summary.is_estimate), (2, Some(1_705_119_719_000), false));
    assert_eq!(counts(&open), [group(B, 2, LetterGroupState::New)]);
    assert_eq!((open.take_counts(), open.take_counts()), ((2, 0), (0, 0)));
    // Its index was free, and belongs to another group now.
    add(&mut open, &[Sample { source: 4, fingerprint: "cccc000000000000", ..Sample::default() }]);
    assert_eq!(counts(&open).len(), 2);
}

#[test]
fn letter_that_fails_again_stays_open_and_the_older_one_is_closed() {
    let mut open = OpenLetters::default();
    add(&mut open, &[Sample { source: 1, ..Sample::default() }, Sample { source: 1, attempt: 2, ..Sample::default() }]);
    assert_eq!(open.summary(now()).open, 2);
    resolve(&mut open, 1, Outcome::FailedAgain, &[(0, 0)]);
    let summary = open.summary(now());
    assert_eq!((summary.open, summary.groups[0].samples.as_slice()), (1, &[(0, 1)][..]));
    assert_eq!(open.take_counts(), (0, 1));
    // A resolution that names no letter of a partition opens none of it.
    resolve(&mut open, 1, Outcome::FailedAgain, &[(1, 9)]);
    assert_eq!(open.summary(now()).open, 1);
    resolve(&mut open, 1, Outcome::Redriven, &[(0, 1)]);
    assert_eq!((open.summary(now()).open, open.entries.closed()), (0, 2));
}

#[test]
fn withdrawn_resolution_opens_its_letters_and_requires_a_new_read_if_they_have_no_entries() {
    let mut open = OpenLetters::with_limits(40, 10);
    let withdraw = |open: &mut OpenLetters, source| {
        open.apply(StateChange::Letter(Position { topic: "visits".to_owned(), partition: 0, offset: source }, None))
    };
    let letter = |source| Sample { source, ..Sample::default() };
    add(&mut open, &[0, 1, 2, 3].map(letter));
    [0, 1, 2, 3].into_iter().for_each(|source| resolve(&mut open, source, Outcome::Discarded, &[(0, source)]));
    assert!(withdraw(&mut open, 1));
    assert_eq!(counts(&open), [group(A, 1, LetterGroupState::New)]);
    resolve(&mut open, 1, Outcome::Discarded, &[(0, 1)]);
    assert!(open.is_complete());
    // There is room again without the closed ones.
    add(&mut open, &(10..50).map(letter).collect::<Vec<_>>());
    assert_eq!((open.letters(), open.is_complete(), open.summary(now()).is_estimate), (40, false, false));
    assert!(!withdraw(&mut open, 1));
}

#[test]
fn closed_letters_of_other_groups_make_room_for_a_further_group() {
    let mut open = OpenLetters::with_limits(100, 1);
    add(&mut open, &[Sample::default()]);
    resolve(&mut open, 0, Outcome::Redriven, &[(0, 0)]);
    add(&mut open, &[Sample { source: 1, fingerprint: B, ..Sample::default() }]);
    let summary = open.summary(now());
    assert_eq!((summary.open, summary.groups[0].fingerprint.as_str(), summary.in_other_groups), (1, B, 0));
    assert_eq!(open.counts(), None, "the closed letter can't be counted");
}

#[test]
fn decisions_determine_the_states_and_a_later_letter_is_a_regression() {
    let mut open = OpenLetters::default();
    let letters = [0, 1, 2].map(|source| Sample { source, seconds: source as u32, ..Sample::default() });
    add(&mut open, &letters[..2]);
    decide(&mut open, A, Mark::Acknowledged, &[]);
    assert_eq!(counts(&open), [group(A, 2, LetterGroupState::Acknowledged)]);
    decide(&mut open, A, Mark::Resolved, &[(0, 2)]);
    assert_eq!(counts(&open), [group(A, 2, LetterGroupState::Resolved)]);
    // The same positions again, and a third one.
    let mut open = OpenLetters::default();
    add(&mut open, &letters);
    decide(&mut open, A, Mark::Resolved, &[(0, 2)]);
    assert_eq!(counts(&open), [group(A, 3, LetterGroupState::Regressed)]);
    let regression = open.summary(now()).groups.remove(0).regression.unwrap();
    let at = Some(1_705_119_712_000);
    let resolved_at = "2026-11-27T10:00:00Z".to_owned();
    assert_eq!(regression, Regression { resolved_at, letters: 1, first: (0, 2), first_ms: at, last_ms: at });
    assert!(open.apply(StateChange::Group(A.to_owned(), None)));
    assert_eq!(counts(&open), [group(A, 3, LetterGroupState::New)]);
}

#[test]
fn letter_of_a_version_that_failed_before_is_no_regression() {
    let mut open = OpenLetters::default();
    add(&mut open, &[Sample::default(), Sample { source: 1, plugin: "m 2.0.0 def456", ..Sample::default() }]);
    let mut resolve_in = |digest: &str| {
        let (at, by, reason) = ("t".to_owned(), "ada".to_owned(), "fixed".to_owned());
        let version = Some(digest.to_owned());
        let action = Action { mark: Mark::Resolved, at, by, reason, until: None, version };
        let record = GroupRecord {
            ends: [(0, 0)].into(),
            failed_versions: vec!["abc123".to_owned()],
            ..GroupRecord::new(action, None)
        };
        assert!(open.apply(StateChange::Group(A.to_owned(), Some(record))));
        open.summary(now()).groups[0].regression.as_ref().map(|regression| regression.first)
    };
    assert_eq!(resolve_in("fffff"), Some((0, 1)));
    assert_eq!(resolve_in("abc123"), Some((0, 0)));
}

#[test]
fn message_of_a_group_is_that_of_its_earliest_letter_open_or_not() {
    let mut open = OpenLetters::default();
    let letter = |source, seconds, message| Sample { source, seconds, message, ..Sample::default() };
    add(&mut open, &[letter(0, 5, "second"), letter(1, 2, "first"), letter(2, 9, "third")]);
    resolve(&mut open, 1, Outcome::Redriven, &[(0, 1)]);
    let grouped = open.grouped(Scope::Open, now()).unwrap();
    assert_eq!((grouped.groups[0].1.message.as_str(), grouped.groups[0].1.count), ("first", 2));
}

#[test]
fn removed_letters_are_not_open() {
    let mut open = OpenLetters::default();
    add(&mut open, &[0, 1, 2].map(|source| Sample { source, ..Sample::default() }));
    open.remove_before(&[(0, 2), (1, 9)].into());
    assert_eq!(open.summary(now()).groups[0].samples, [(0, 2)]);
}

#[test]
fn groups_beyond_the_limit_are_counted_together() {
    let mut open = OpenLetters::with_limits(100, 1);
    add(&mut open, &[Sample::default(), Sample { source: 1, fingerprint: B, ..Sample::default() }]);
    let summary = open.summary(now());
    assert_eq!((summary.open, summary.groups.len(), summary.in_other_groups), (2, 1, 1));
    resolve(&mut open, 1, Outcome::Redriven, &[(0, 1)]);
    assert_eq!(open.summary(now()).in_other_groups, 0);
}

#[test]
fn beyond_the_limit_large_groups_are_counted_by_a_sample_and_small_ones_exactly() {
    const LETTERS: i64 = 20_000;
    let mut open = OpenLetters::with_limits(2_000, 10);
    let small = [0, 1, 2].map(|source| Sample { source, fingerprint: B, ..Sample::default() });
    add(&mut open, &small);
    let samples: Vec<_> = (0..LETTERS).map(|source| Sample { source: source + 10, ..Sample::default() }).collect();
    let letters = batch(&samples);
    add_all(&mut open, &letters);
    assert!(open.entries.len() <= 2_000);
    let near = |open: &OpenLetters, expected: f64| {
        let summary = open.summary(now());
        let large = summary.groups.iter().find(|group| group.fingerprint == A).map_or(0, |group| group.open);
        let small = summary.groups.iter().find(|group| group.fingerprint == B).map_or(0, |group| group.open);
        assert!(summary.is_estimate && small == 3, "{summary:?}");
        assert!((large as f64 - expected).abs() < expected * 0.15, "{large} of {expected}");
    };
    near(&open, LETTERS as f64);
    for source in 0..LETTERS / 2 {
        resolve(&mut open, source + 10, Outcome::Redriven, &[(0, source)]);
    }
    near(&open, LETTERS as f64 / 2.0);
}
