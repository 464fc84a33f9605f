//! What an audit finds about redrives.

use std::collections::BTreeMap;

use super::{Case, assert_found};
use crate::ResolutionOutcome::{Discarded, FailedAgain, Redriven, Returned};
use crate::TopicExtent;
use mapper_core::ledger::{LedgerCounts, LedgerRecord, LedgerRedrive};

fn redrive(records: u64, outputs: u64, letters: u64) -> LedgerRecord<'static> {
    let counts = LedgerCounts {
        outputs: BTreeMap::from([("out".into(), outputs)]),
        dead_letters: BTreeMap::from([("trap".into(), letters)]),
        skipped: 0,
    };
    LedgerRecord::Redrive(LedgerRedrive {
        group: "readers".into(),
        topic: "dlq".into(),
        records,
        counts,
        plugin: "9b3e".into(),
        host: "a".into(),
    })
}

/// The record 9 is redriven with an output, and 19 has failed again.
fn redriven(is_per_record: bool) -> Case {
    let mut case = Case::new(is_per_record);
    case.outputs.push((9, 0));
    case.letters.push((19, "trap"));
    case.resolutions = vec![(9, Redriven, 1, true), (19, FailedAgain, 0, true)];
    case.ledger.push((redrive(2, 1, 1), true));
    case
}

/// The findings after a change of the case, by total or by record.
fn findings(is_per_record: bool, change: impl FnOnce(&mut Case)) -> Vec<String> {
    let mut case = redriven(is_per_record);
    change(&mut case);
    case.findings()
}

#[test]
fn audit_of_a_complete_redrive_has_no_finding() {
    for is_per_record in [false, true] {
        let report = redriven(is_per_record).report();
        assert!(report.findings.is_empty() && report.notes.is_empty(), "{report:#?}");
        let redrives = report.redrives.unwrap().to_string();
        assert_eq!(redrives, "dlq.state: resolutions of redrives 2, in the ledger 2");
        // A record is skipped, another is discarded, and one is sent to its input topic.
        let found = findings(is_per_record, |case| {
            case.resolutions = vec![(9, Redriven, 0, true), (19, Discarded, 0, true), (29, Returned, 0, true)];
            case.outputs.pop();
            case.letters.pop();
            *case.ledger.last_mut().unwrap() = (redrive(2, 0, 0), true);
        });
        assert_found(&found, &[]);
    }
}

#[test]
fn redriven_outputs_are_those_that_the_ledger_counts() {
    for is_per_record in [false, true] {
        let redriven = |outputs: u64, letters: u64| {
            findings(is_per_record, |case| {
                *case.ledger.last_mut().unwrap() = (redrive(outputs + letters, outputs, letters), true);
                case.resolutions.clear();
                case.resolutions
                    .extend([9, 29].iter().take(outputs as usize).map(|offset| (*offset, Redriven, 1, true)));
                case.resolutions.extend((0..letters).map(|_| (19, FailedAgain, 0, true)));
            })
        };
        assert_found(&redriven(1, 1), &[]);
        assert_eq!(redriven(0, 1).len(), 1, "an output that no redrive has made");
        assert_eq!(redriven(2, 1).len(), 1, "an output of a redrive is gone");
        assert_eq!(redriven(1, 0).len(), 1, "a letter that no redrive has made");
    }
}

#[test]
fn resolution_that_no_ledger_record_counts_is_unexplained() {
    for is_per_record in [false, true] {
        // A redrive that skipped a record ran without a ledger.
        let found = findings(is_per_record, |case| case.resolutions.push((29, Redriven, 0, true)));
        assert_found(
            &found,
            &["unexplained: dlq.state: the topic has 3 resolutions of redrives, and the ledger counts 2"],
        );
        // It was committed while the audit read.
        assert_found(&findings(is_per_record, |case| case.resolutions.push((29, Redriven, 0, false))), &[]);
        let found = findings(is_per_record, |case| *case.ledger.last_mut().unwrap() = (redrive(2, 0, 1), true));
        assert!(
            found.iter().any(|found| found.contains("dlq.state: the resolutions of redrives have 1 outputs to 'out'")),
            "{found:#?}"
        );
    }
}

#[test]
fn redrive_of_the_ledger_without_its_resolution_is_missing() {
    for is_per_record in [false, true] {
        let skipped = |case: &mut Case, is_settled| {
            *case.ledger.last_mut().unwrap() = (redrive(3, 1, 1), true);
            case.ledger.push((redrive(1, 0, 0), is_settled));
        };
        let found = findings(is_per_record, |case| skipped(case, true));
        assert_found(&found, &["missing: dlq.state: the topic has 2 resolutions of redrives, and the ledger counts 4"]);
        let found = findings(is_per_record, |case| {
            skipped(case, false);
            case.resolutions.push((29, Redriven, 0, true));
        });
        assert_found(&found, &[]);
    }
}

#[test]
fn resolution_that_compaction_has_removed_is_not_missing() {
    for is_per_record in [false, true] {
        // The record 19 failed again, and then passed.
        let later = |case: &mut Case| {
            case.outputs.push((19, 0));
            case.resolutions.push((19, Redriven, 1, true));
            case.ledger.push((redrive(1, 1, 0), true));
        };
        assert_found(&findings(is_per_record, later), &[]);
        let found = findings(is_per_record, |case| {
            later(case);
            case.resolutions.retain(|(_, outcome, ..)| *outcome != FailedAgain);
        });
        assert_found(&found, &[]);
        // Compaction never removes the last one.
        let found = findings(is_per_record, |case| {
            later(case);
            case.resolutions.pop();
        });
        let missing = "missing: dlq.state: the topic has 2 resolutions of redrives, and the ledger counts 3";
        let unexplained =
            "unexplained: visits/0@19: the topic 'out' has 1 outputs of this record, which has a dead letter";
        let expected = [unexplained, missing];
        assert_found(&found, &expected[usize::from(!is_per_record)..]);
    }
}

#[test]
fn outputs_of_a_redriven_record_are_those_of_its_resolution() {
    let found = findings(true, |case| case.outputs.truncate(case.outputs.len() - 1));
    assert_found(
        &found,
        &["missing: visits/0@9: a redrive has written 1 outputs of this record to 'out', and the topic has 0"],
    );
    let found = findings(true, |case| case.outputs.push((9, 1)));
    assert_found(
        &found,
        &["unexplained: visits/0@9: the topic 'out' has 2 outputs of this record, which has a dead letter"],
    );
    let found = findings(true, |case| case.outputs.push((29, 0)));
    assert_found(
        &found,
        &["unexplained: visits/0@29: the topic 'out' has an output of this record, which has a dead letter and no"],
    );
    let found = findings(true, |case| case.outputs.push((9, 0)));
    assert_found(&found, &["duplicated: visits/0@9: the topic 'out' has an output of this record more than once"]);
    // A redrive that is committed while the audit reads: its outputs may be there or not.
    for has_output in [false, true] {
        let found = findings(true, |case| {
            case.resolutions[0].3 = false;
            case.ledger.last_mut().unwrap().1 = false;
            if !has_output {
                case.outputs.pop();
            }
        });
        assert_found(&found, &[]);
    }
}

#[test]
fn output_of_an_offset_without_a_range_needs_a_resolution() {
    let output = |case: &mut Case| {
        case.outputs.push((50, 0));
        case.letters.push((50, "trap"));
    };
    let letter = "unexplained: visits/0@50: dead letter of an offset that no range of the ledger has";
    let found = findings(true, output);
    assert_eq!(found.len(), 3, "{found:#?}");
    let found = findings(true, |case| {
        output(case);
        case.resolutions.push((50, Redriven, 1, true));
        case.ledger.push((redrive(1, 1, 0), true));
    });
    assert_found(&found, &[letter]);
}

#[test]
fn record_that_failed_again_has_a_new_letter() {
    for is_per_record in [false, true] {
        let found = findings(is_per_record, |case| case.letters.truncate(3));
        let sum = "missing: dlq: the topic has 0 further letters of inputs that have a dead letter";
        let record =
            "missing: visits/0@19: this record failed again at 1 redrives, and the topic 'dlq' has 1 letters of it";
        assert_found(&found, &[sum, record]);
        let found = findings(is_per_record, |case| {
            case.resolutions.push((25, Discarded, 0, true));
        });
        assert_found(
            &found,
            &[
                "unexplained: visits/0@25: the state topic has a resolution of this record, and the topic 'dlq' has no letter",
            ],
        );
    }
}

#[test]
fn letters_and_outputs_that_retention_has_removed_are_a_note() {
    let mut case = redriven(true);
    // The letter that was redriven and its output are gone.
    case.letters.remove(0);
    case.outputs.pop();
    case.extents.topics = vec![TopicExtent { removed: 1, is_compacted: false }; 2];
    let report = case.report();
    assert!(report.findings.is_empty() && report.notes.len() == 2, "{report:#?}");
    // Its output is still there, and no range has counted it.
    let mut case = redriven(true);
    case.letters.remove(0);
    case.extents.topics[1].removed = 1;
    let report = case.report();
    assert!(report.findings.is_empty(), "{report:#?}");
}

#[test]
fn since_compares_redriven_outputs_by_record_only() {
    for is_per_record in [false, true] {
        let mut case = redriven(is_per_record);
        // All ranges are older than the audit, and the redrive is not.
        case.settings.since_ms = Some(300);
        let report = case.report();
        assert!(report.findings.is_empty(), "{report:#?}");
        assert!(report.notes.iter().any(|note| note.starts_with("dlq.state: with --since")), "{report:#?}");
    }
    let mut case = redriven(true);
    case.settings.since_ms = Some(300);
    case.outputs.pop();
    assert_eq!(case.findings().len(), 1);
}
