//! What an audit finds.

mod redrives;

use std::collections::BTreeMap;

use crate::{Audit, AuditSettings, Extents, ResolutionOutcome, TopicExtent};
use mapper_api::audit::AuditReport;
use mapper_core::ledger::{LedgerCounts, LedgerRange, LedgerRecord, RangeStart};
use mapper_core::source::RecordSource;

/// The ranges of a ledger, each with all that its records have led to.
struct Case {
    settings: AuditSettings,
    /// A record of the ledger, and whether its transaction was committed before the topics were read.
    ledger: Vec<(LedgerRecord<'static>, bool)>,
    letters: Vec<(i64, &'static str)>,
    /// Offsets of inputs, and the numbers of outputs.
    outputs: Vec<(i64, u32)>,
    outputs_without_source: usize,
    letters_without_source: usize,
    /// Offsets of failed records, the outcomes of their resolutions, the numbers of outputs, and whether they are settled.
    resolutions: Vec<(i64, ResolutionOutcome, u64, bool)>,
    committed: (Option<i64>, Option<i64>),
    extents: Extents,
}

fn range(first: i64, next: i64) -> LedgerRange<'static> {
    LedgerRange {
        group: "readers".into(),
        topic: "visits".into(),
        partition: 0,
        topic_id: None,
        first,
        last: next - 1,
        start: if first == 0 { RangeStart::FirstRecord } else { RangeStart::Committed },
        records: u64::try_from(next - first).unwrap(),
        without_record: 0,
        missed: 0,
        counts: LedgerCounts::default(),
        plugin: "9b3e".into(),
        host: "a".into(),
    }
}

/// Of the records, the last one of each range is a dead letter, and the others have an output each.
fn mapped(first: i64, next: i64) -> LedgerRange<'static> {
    let outputs = u64::try_from(next - first - 1).unwrap();
    let counts = LedgerCounts {
        outputs: BTreeMap::from([("out".into(), outputs)]),
        dead_letters: BTreeMap::from([("rejected".into(), 1)]),
        skipped: 0,
    };
    LedgerRange { counts, ..range(first, next) }
}

impl Case {
    /// Three ranges of ten offsets: nothing is wrong.
    fn new(is_per_record: bool) -> Self {
        let outputs = vec!["out".to_owned()];
        let settings = AuditSettings {
            group: "readers".into(),
            outputs,
            dead_letters: "dlq".into(),
            states: "dlq.state".into(),
            since_ms: None,
            is_per_record,
        };
        let bounds = [(0, 10), (10, 20), (20, 30)];
        let ledger = bounds.map(|(first, next)| (LedgerRecord::Input(mapped(first, next)), true)).to_vec();
        Self {
            settings,
            ledger,
            letters: vec![(9, "rejected"), (19, "rejected"), (29, "rejected")],
            outputs: (0..30).filter(|offset| offset % 10 != 9).map(|offset| (offset, 0)).collect(),
            outputs_without_source: 0,
            letters_without_source: 0,
            resolutions: Vec::new(),
            committed: (Some(30), Some(30)),
            extents: Extents { topics: vec![TopicExtent::default(); 2], ..Extents::default() },
        }
    }

    fn range(&mut self, index: usize) -> &mut LedgerRange<'static> {
        match &mut self.ledger[index].0 {
            LedgerRecord::Input(range) => range,
            LedgerRecord::Redrive(_) => panic!("not a range"),
        }
    }

    fn report(self) -> AuditReport {
        let source = |offset, output| RecordSource { topic: "visits", partition: 0, offset, output };
        let mut audit = Audit::new(self.settings);
        self.letters.iter().for_each(|(offset, kind)| audit.add_letter(Some((source(*offset, 0), kind))));
        (0..self.letters_without_source).for_each(|_| audit.add_letter(None));
        self.outputs.iter().for_each(|(offset, number)| audit.add_output(0, Some(source(*offset, *number))));
        (0..self.outputs_without_source).for_each(|_| audit.add_output(0, None));
        for (offset, outcome, outputs, is_settled) in self.resolutions {
            let outputs = BTreeMap::from([("out".to_owned(), outputs)]);
            audit.add_resolution(source(offset, 0), outcome, &outputs, is_settled);
        }
        for (index, (record, is_settled)) in (0..).zip(&self.ledger) {
            audit.add_ledger(Some(record), Some(index * 100), *is_settled);
        }
        let at = ("visits".to_owned(), 0);
        let mut extents = self.extents;
        extents.committed_before = BTreeMap::from([(at.clone(), self.committed.0)]);
        extents.committed_after = BTreeMap::from([(at, self.committed.1)]);
        audit.finish(&extents)
    }

    fn findings(self) -> Vec<String> {
        self.report().findings.listed.iter().map(ToString::to_string).collect()
    }
}

/// The findings after a change of the case, by total or by record.
fn findings(is_per_record: bool, change: impl FnOnce(&mut Case)) -> Vec<String> {
    let mut case = Case::new(is_per_record);
    change(&mut case);
    case.findings()
}

#[track_caller]
fn assert_found(found: &[String], expected: &[&str]) {
    let all_match =
        found.len() == expected.len() && found.iter().zip(expected).all(|(found, text)| found.contains(text));
    assert!(all_match, "{found:#?}");
}

#[test]
fn audit_of_a_complete_pipeline_has_no_finding() {
    for is_per_record in [false, true] {
        let report = Case::new(is_per_record).report();
        assert!(report.findings.is_empty() && report.notes.is_empty(), "{report:#?}");
        assert_eq!(
            report.partitions[0].to_string(),
            "visits/0: offsets 0 to 29, ranges 3, records 30, outputs 27, dead letters 3, skipped 0, without a record 0; committed 30"
        );
        let topics: Vec<String> = report.topics.iter().map(ToString::to_string).collect();
        assert_eq!(topics, ["out: records 27, in the ledger 27", "dlq: records 3, in the ledger 3"]);
    }
}

#[test]
fn offsets_without_a_range_are_missing() {
    let found = findings(false, |case| {
        case.ledger.remove(1);
        (case.outputs, case.letters) = (vec![], vec![(9, "rejected"), (29, "rejected")]);
        case.outputs = (0..18).map(|offset| (offset, 0)).collect();
    });
    assert_found(&found, &["missing: visits/0@10..19: 10 offsets are committed without a range"]);
    // The committed offsets were moved forward by hand.
    assert_found(
        &findings(false, |case| case.committed = (Some(35), Some(35))),
        &["missing: visits/0@30..34: 5 offsets are committed without a range"],
    );
    // And the host went on from there.
    let found = findings(false, |case| {
        *case.range(2) = LedgerRange { first: 22, records: 8, ..mapped(20, 30) };
    });
    assert_found(&found, &["missing: visits/0@20..21: 2 offsets are committed without a range"]);
}

#[test]
fn offsets_in_two_ranges_are_duplicated() {
    let repeat = |case: &mut Case| {
        let again = case.ledger[1].clone();
        case.ledger.insert(2, again);
        case.letters.push((19, "rejected"));
        case.outputs.extend((10..19).map(|offset| (offset, 0)));
    };
    assert_found(
        &findings(false, repeat),
        &[
            "duplicated: visits/0@10..19: 10 offsets are in more than one range",
            "duplicated: dlq: the topic has 1 further",
        ],
    );
    let found = findings(true, repeat);
    assert!(
        found
            .iter()
            .any(|found| found.contains("visits/0@15: the topic 'out' has an output of this record more than once"))
    );
}

#[test]
fn ranges_beyond_the_committed_offset_are_unexplained() {
    let found = findings(false, |case| case.committed = (Some(20), Some(20)));
    assert_found(&found, &["unexplained: visits/0@20..29: 10 offsets are in the ledger and not committed"]);
    let found = findings(false, |case| case.committed = (None, None));
    assert_found(
        &found,
        &["unexplained: visits/0@0..29: 30 offsets are in the ledger, and the group has committed none"],
    );
    // A transaction that is committed while the audit reads.
    assert_found(&findings(false, |case| case.committed = (Some(20), Some(30))), &[]);
}

#[test]
fn range_that_does_not_explain_its_offsets_is_a_finding() {
    let found = findings(false, |case| case.range(1).records = 7);
    assert_found(&found, &["unexplained: visits/0@10..19: the ledger explains 7 of the 10 offsets"]);
    assert_found(&findings(false, |case| (case.range(1).records, case.range(1).without_record) = (7, 3)), &[]);
    assert_found(&findings(false, |case| (case.range(1).records, case.range(1).missed) = (7, 3)), &[]);
}

#[test]
fn deleted_and_repeated_outputs_are_found_in_the_sum_or_by_record() {
    let remove = |case: &mut Case| case.outputs.retain(|(offset, _)| *offset != 14);
    assert_found(&findings(false, remove), &["missing: out: the topic has 26 records, and the ledger counts 27"]);
    assert_found(
        &findings(true, remove),
        &["missing: visits/0@10..19: the topic 'out' has 8 records of this range, and the ledger counts 9"],
    );
    let repeat = |case: &mut Case| case.outputs.push((13, 0));
    assert_found(&findings(false, repeat), &["duplicated: out: the topic has 28 records, and the ledger counts 27"]);
    assert_found(
        &findings(true, repeat),
        &["duplicated: visits/0@13: the topic 'out' has an output of this record more"],
    );
    // A deleted record and a repeated one hide each other in the sum.
    let both = |case: &mut Case| {
        remove(case);
        repeat(case);
    };
    assert_found(&findings(false, both), &[]);
    assert_eq!(findings(true, both).len(), 2);
    assert_found(
        &findings(true, |case| case.outputs.push((13, 1))),
        &["unexplained: visits/0@10..19: the topic 'out' has 10 records of this range, and the ledger counts 9"],
    );
    assert_found(
        &findings(true, |case| case.outputs.push((50, 0))),
        &["unexplained: visits/0@50: output of an offset that no"],
    );
    assert_found(
        &findings(true, |case| case.outputs_without_source = 2),
        &["unexplained: out: the topic has 2 records that name no input"],
    );
}

#[test]
fn letter_must_lie_in_a_range_that_counted_it() {
    assert_found(
        &findings(false, |case| case.letters.retain(|(offset, _)| *offset != 19)),
        &["missing: visits/0@10..19 rejected: the topic 'dlq' has 0 records of this range, and the ledger counts 1"],
    );
    assert_found(
        &findings(false, |case| case.letters.push((15, "rejected"))),
        &[
            "unexplained: visits/0@10..19 rejected: the topic 'dlq' has 2 records of this range, and the ledger counts 1",
        ],
    );
    assert_eq!(findings(false, |case| case.letters[1].1 = "trap").len(), 2, "another kind");
    assert_found(
        &findings(false, |case| case.letters.push((77, "trap"))),
        &["unexplained: visits/0@77: dead letter of an offset that no range of the ledger has"],
    );
    assert_found(
        &findings(false, |case| case.letters_without_source = 1),
        &["unexplained: dlq: the topic has 1 records without the headers of a dead letter"],
    );
}

#[test]
fn records_that_retention_has_removed_are_a_note() {
    for is_per_record in [false, true] {
        let removed = |removed: u64| {
            let mut case = Case::new(is_per_record);
            case.outputs.drain(..4);
            case.letters.remove(0);
            case.extents.topics =
                vec![TopicExtent { removed, is_compacted: false }, TopicExtent { removed: 1, is_compacted: false }];
            case.report()
        };
        let report = removed(5);
        assert!(report.findings.is_empty() && report.notes.len() == 2, "{report:#?}");
        assert!(removed(4).findings.is_empty());
        assert!(!removed(3).findings.is_empty(), "more is missing than retention can have removed");
        let mut compacted = Case::new(is_per_record);
        compacted.outputs.drain(..20);
        compacted.extents.topics[0].is_compacted = true;
        let report = compacted.report();
        assert!(report.findings.is_empty() && report.notes.len() == 1, "{report:#?}");
    }
}

#[test]
fn ledger_that_begins_later_covers_only_from_there() {
    for is_per_record in [false, true] {
        let mut case = Case::new(is_per_record);
        case.ledger.remove(0);
        case.extents.ledger.removed = 1;
        let report = case.report();
        assert!(report.findings.is_empty(), "{report:#?}");
        assert_eq!(report.partitions[0].first, Some(10));
        assert_eq!(report.notes.len(), 3, "{report:#?}");
    }
}

#[test]
fn since_leaves_out_older_ranges() {
    for is_per_record in [false, true] {
        let mut case = Case::new(is_per_record);
        // The first range is not complete, and older.
        case.letters.remove(0);
        case.settings.since_ms = Some(100);
        let report = case.report();
        assert!(report.findings.is_empty(), "{report:#?}");
        assert_eq!((report.partitions[0].first, report.partitions[0].ranges), (Some(10), 2));
        let mut wrong = Case::new(is_per_record);
        wrong.letters.remove(1);
        wrong.settings.since_ms = Some(100);
        assert_eq!(wrong.report().findings.total, 1);
    }
}

#[test]
fn transactions_during_the_audit_may_be_in_the_topics_or_not() {
    for is_per_record in [false, true] {
        for has_outputs in [false, true] {
            let mut case = Case::new(is_per_record);
            case.ledger[2].1 = false;
            case.committed = (Some(20), Some(30));
            if !has_outputs {
                case.outputs.retain(|(offset, _)| *offset < 25);
                case.letters.pop();
            }
            assert_found(&case.findings(), &[]);
        }
        let mut more = Case::new(is_per_record);
        more.ledger[2].1 = false;
        more.committed = (Some(20), Some(30));
        more.outputs.push((25, 0));
        assert_eq!(more.findings().len(), 1);
    }
}

#[test]
fn recreated_topic_and_records_of_other_groups_are_notes() {
    let mut case = Case::new(true);
    for index in 0..3 {
        case.range(index).topic_id = Some(if index < 2 { "old" } else { "new" }.into());
    }
    *case.range(2) = LedgerRange { topic_id: Some("new".into()), ..mapped(0, 10) };
    case.outputs.retain(|(offset, _)| *offset < 20);
    case.outputs.extend((0..9).map(|offset| (offset, 0)));
    case.letters = vec![(9, "rejected"), (19, "rejected"), (9, "rejected")];
    case.committed = (Some(10), Some(10));
    let other = LedgerRange { group: "others".into(), ..range(5, 9) };
    case.ledger.push((LedgerRecord::Input(other), true));
    let report = case.report();
    assert!(report.findings.is_empty(), "{report:#?}");
    assert!(report.notes.iter().any(|note| note.contains("1 records that are not of this group")), "{report:#?}");
}
