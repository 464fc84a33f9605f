//! The ledger records of transactions.

use std::sync::Arc;
use std::time::Duration;

use super::kafka::Fake;
use super::script::{Call, Event, Script};
use super::{ALL_AT_ONCE, Work, check, log, ones, routes, start_with};
use mapper_core::ledger::{LedgerRange, LedgerRecord, RangeStart};
use mapper_core::shutdown::Halt;

/// Runs with a ledger topic.
fn run(fake: &Fake, work: Work) -> Result<(), Halt> {
    let observed = Arc::default();
    let ended = start_with(fake, work, &observed, routes().with_ledger(Some("ledger"))).run();
    check(fake, &observed);
    ended
}

fn ranges(fake: &Fake) -> Vec<LedgerRange<'static>> {
    let parse = |value: &String| match LedgerRecord::parse(value.as_bytes()) {
        Ok(LedgerRecord::Input(range)) => range,
        other => panic!("{value}: {other:?}"),
    };
    fake.kafka().ledger.iter().map(parse).collect()
}

fn offsets(fake: &Fake) -> Vec<(i64, i64, u64, u64)> {
    ranges(fake).iter().map(|range| (range.first, range.last, range.records, range.without_record)).collect()
}

#[test]
fn transaction_has_a_ledger_record_for_each_partition_with_its_counts() {
    let fake = Fake::new(&[vec!["one", "skip", "two"], vec!["reject"]], vec![]);
    run(&fake, ALL_AT_ONCE).unwrap();
    let ranges = ranges(&fake);
    let [zero, one] = &ranges[..] else { panic!("{ranges:?}") };
    assert_eq!((zero.partition, zero.first, zero.last, zero.start), (0, 0, 3, RangeStart::FirstRecord));
    assert_eq!((zero.records, zero.without_record, zero.counts.skipped), (3, 1, 1));
    let outputs: u64 = zero.counts.outputs.values().sum();
    assert_eq!((outputs, zero.counts.dead_letters.len(), &*zero.plugin), (3, 0, "v0"));
    assert_eq!((one.partition, one.records, &one.counts.dead_letters["rejected"]), (1, 1, &1));
}

#[test]
fn ranges_are_contiguous_and_the_end_of_an_idle_partition_is_an_empty_one() {
    let fake = Fake::new(&[ones(5)], vec![(Call::Fetch, 200, Event::Halt)]);
    fake.kafka().until_end = false;
    run(&fake, Work { records: 2, batch_records: 2, interval: Duration::ZERO, ..ALL_AT_ONCE }).unwrap_err();
    // The offsets of the records are 0, 1, 2, 4 and 5, and the end is 7.
    assert_eq!(offsets(&fake), [(0, 1, 2, 0), (2, 4, 2, 1), (5, 5, 1, 0), (6, 6, 0, 1)]);
}

#[test]
fn range_after_a_lost_response_or_a_restart_begins_at_the_committed_offset() {
    let script: Script =
        vec![(Call::Commit, 1, Event::Unanswered), (Call::Commit, 2, Event::Again), (Call::Commit, 4, Event::Halt)];
    let fake = Fake::new(&[ones(6)], script);
    let work = Work { records: 2, batch_records: 2, ..ALL_AT_ONCE };
    let observed = Arc::default();
    let process = || start_with(&fake, work, &observed, routes().with_ledger(Some("ledger"))).run();
    process().unwrap_err();
    process().unwrap();
    check(&fake, &observed);
    assert_eq!(offsets(&fake), [(0, 1, 2, 0), (2, 2, 1, 0), (3, 5, 2, 1), (6, 7, 1, 1)], "{}", log(&fake));
}

#[test]
fn end_that_is_committed_without_a_response_is_in_one_range() {
    let script = vec![(Call::Commit, 2, Event::Unanswered), (Call::Fetch, 300, Event::Halt)];
    let fake = Fake::new(&[ones(2)], script);
    fake.kafka().until_end = false;
    run(&fake, Work { interval: Duration::ZERO, ..ALL_AT_ONCE }).unwrap_err();
    assert_eq!(offsets(&fake), [(0, 1, 2, 0), (2, 2, 0, 1)], "{}", log(&fake));
}

#[test]
fn rejected_ledger_record_halts_and_makes_no_dead_letter() {
    let fake = Fake::new(&[ones(2)], vec![]);
    fake.kafka().rejects_ledger = true;
    let halt = run(&fake, ALL_AT_ONCE).unwrap_err().to_string();
    assert!(halt.contains("the ledger topic 'ledger' refuses a ledger record: not in my topic"), "{halt}");
    let kafka = fake.kafka();
    assert!(kafka.committed.is_empty() && kafka.topics.iter().all(Vec::is_empty));
}
