//! The checks of columns, with valid and invalid ones.

use super::*;
use crate::record::Batch;

fn plain(items: &[&[u8]]) -> Column {
    let mut column = Column::default();
    items.iter().for_each(|item| column.push(Some(item)));
    column
}

/// Three records: two outputs, a rejection, no output.
fn valid() -> Columns {
    Columns {
        statuses: vec![0, 1, 0],
        output_ends: vec![2, 2, 2],
        errors: plain(&[b"no"]),
        values: plain(&[b"a", b"bc"]),
        ..Columns::default()
    }
}

#[test]
fn verdicts_are_in_the_order_of_records() {
    let mut batch = Batch::new("visits");
    (0..4).for_each(|offset| batch.push((0, offset), 5, Some(b"key"), Some(b"value"), std::iter::empty()));
    let mut verdicts = Verdicts::default();
    verdicts.push_columns(valid());
    verdicts.push_failure(Failure::new(FailureKind::Trap, "boom"));
    assert_eq!(verdicts.len(), 4);
    let seen: Vec<String> = verdicts
        .iter()
        .zip(batch.records())
        .map(|(verdict, record)| match verdict {
            Verdict::Mapped(outputs) => outputs
                .map(|o| format!("{:?}={:?}@{:?} ", o.key(record), o.value(record), o.timestamp_ms(record)))
                .collect(),
            Verdict::Failed(failure) => format!("{}: {}", failure.kind, failure.message),
        })
        .collect();
    let key = format!("{:?}", Some(b"key"));
    let first = format!("{key}={:?}@Some(5) {key}={:?}@Some(5) ", Some(b"a"), Some(b"bc"));
    assert_eq!(seen, [first, "rejected: no".into(), String::new(), "trap: boom".into()]);
}

#[test]
fn every_violated_rule_is_named_without_a_panic() {
    let mut cases: Vec<(Columns, &str)> = Vec::new();
    let mut case = |change: &dyn Fn(&mut Columns), expected| {
        let mut columns = valid();
        change(&mut columns);
        cases.push((columns, expected));
    };
    case(&|c| c.statuses.truncate(2), "statuses has 2 items instead of 3");
    case(&|c| c.statuses[2] = 9, "a status is 9, but only 0 and 1 are known");
    case(&|c| c.output_ends = vec![2, 1, 2], "output-ends decreases after item 0");
    case(&|c| c.output_ends = vec![2, 2, 3], "output-ends ends at 3 instead of 2");
    case(&|c| c.output_ends = vec![1, 2, 2], "record 1 of the batch is rejected and yet has outputs");
    case(&|c| c.errors = Column::default(), "errors has 0 items instead of 1");
    case(&|c| c.values.ends[1] = u32::MAX, "values ends at 4294967295 instead of 3");
    case(&|c| c.values.ends = vec![3, 2], "values decreases after item 0");
    case(&|c| c.values.marks = vec![0], "values.marks has 1 items instead of 2");
    case(&|c| c.values.marks = vec![0, 7], "values has the mark 7, which means nothing there");
    case(&|c| c.values.marks = vec![1, 0], "values has bytes for item 0, which is marked as having none");
    case(&|c| c.keys = Some(plain(&[b"k"])), "keys has 1 items instead of 2");
    case(&|c| c.timestamps_ms = Some(vec![1]), "timestamps-ms has 1 items instead of 2");
    case(&|c| c.timestamps_ms = Some(vec![1, -2]), "a timestamp is -2, but it may not be negative");
    case(
        &|c| c.topics = Some(OutputTopics { names: vec!["a".into()], indexes: vec![0, 2] }),
        "a topic index is 2, but there are 1 topic names",
    );
    let headers = |marks: &[u8], ends: &[u32], names: &[&[u8]]| OutputHeaders {
        marks: marks.to_vec(),
        table: HeaderTable { ends: ends.to_vec(), names: plain(names), values: plain(names) },
    };
    case(&|c| c.headers = Some(headers(&[0], &[0, 0], &[])), "headers.marks has 1 items instead of 2");
    case(&|c| c.headers = Some(headers(&[0, 1], &[0, 0], &[])), "a mark of headers is 1, but only 0 and 2 are known");
    case(&|c| c.headers = Some(headers(&[0, 0], &[0, 5], &[])), "headers.table.ends ends at 5 instead of 0");
    case(&|c| c.headers = Some(headers(&[0, 0], &[0, 1], &[b"\xff"])), "a header name is not UTF-8: \"\u{fffd}\"");
    case(
        &|c| c.headers = Some(headers(&[0, 0], &[0, 1], &[b"a\0b"])),
        "a header name has a NUL byte, at which most readers cut it: \"a\\0b\"",
    );
    for (columns, expected) in cases {
        assert_eq!(columns.check(3).unwrap_err(), expected);
    }
    assert_eq!(valid().check(3), Ok(()));
}
