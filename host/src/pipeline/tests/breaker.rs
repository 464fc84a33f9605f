//! A mapper that is broken: when it is left alone, what becomes of its records, and what ends it.

use super::*;
use crate::shutdown::Cause;

fn breaker(breaker_after: u32, breaker_records: BreakerRecords) -> Work {
    let failures = Failures { breaker_after, breaker_records, ..CALM };
    Work { failures, ends_by_itself: false, ..ALL_AT_ONCE }
}

const BOTH: [BreakerRecords; 2] = [BreakerRecords::DeadLetter, BreakerRecords::Hold];

/// Values and how many of them became dead letters, and were produced, in the end.
fn outcome(fake: &Fake) -> (usize, usize) {
    let kafka = fake.kafka();
    (kafka.topics[2].len(), kafka.topics[0].len())
}

fn with_sick(values: &[Vec<&'static str>], sick: usize, script: Script) -> Fake {
    let fake = Fake::new(values, script);
    fake.kafka().sick = sick;
    fake
}

#[test]
fn a_run_of_traps_stops_it_before_the_next_record() {
    for (records, letters, next) in [(BreakerRecords::DeadLetter, 3, 5), (BreakerRecords::Hold, 0, 1)] {
        let values = vec!["one", "sick", "sick", "sick", "sick", "sick"];
        let fake = with_sick(&[values], usize::MAX, vec![(Call::Attend, 9, Event::Shutdown)]);
        let telemetry = Arc::default();
        start(&fake, breaker(3, records), &telemetry).run().unwrap();
        check(&fake, &telemetry);
        assert_eq!(outcome(&fake), (letters, 1), "{records}");
        // Offset 3 of these inputs is a gap.
        assert_eq!(committed(&fake), [(0, next)], "{records}");
        let open = telemetry.breakers.open();
        assert!(open[&7].starts_with("3 records in a row trapped") && open[&7].contains("unreachable"), "{open:?}");
        assert!(telemetry.health.reasons()[0].1.contains("worker 7"), "{:?}", telemetry.health.reasons());
    }
}

#[test]
fn it_goes_on_once_a_record_passes() {
    for (records, letters) in [(BreakerRecords::DeadLetter, 3), (BreakerRecords::Hold, 0)] {
        let values = [vec!["one", "sick", "sick", "sick", "sick", "two", "trap", "reject"], vec!["sick", "one"]];
        // Three stop it, and two tries are in vain.
        let fake = with_sick(&values, 5, vec![]);
        let telemetry = Arc::default();
        start(&fake, breaker(3, records), &telemetry).run().unwrap();
        check(&fake, &telemetry);
        everything_was_done(&fake);
        // The trap and the rejected one are none of the mapper's health.
        assert_eq!(fake.kafka().topics[2].len(), letters + 2, "{records}");
        assert_eq!((telemetry.health.reasons(), telemetry.breakers.times_opened()), (vec![], 1));
    }
}

#[test]
fn a_shorter_run_is_dead_letters_whatever_becomes_of_longer_ones() {
    for records in BOTH {
        // The last two are at the end, where nothing comes after them.
        let values = vec!["sick", "sick", "reject", "sick", "sick", "skip", "trap", "trap", "one", "sick", "sick"];
        let fake = with_sick(&[values], usize::MAX, vec![]);
        run(&fake, breaker(3, records)).unwrap();
        everything_was_done(&fake);
        assert_eq!(outcome(&fake), (9, 1), "{records}");
    }
}

#[test]
fn what_is_held_is_not_committed_and_comes_again_wherever_its_partition_goes() {
    for lost in [false, true] {
        for partitions in [vec![0], vec![1], vec![0, 1]] {
            let event = Event::Revoke(Revoke { partitions, lost, records_elsewhere: 1, back_after: 1 });
            let values = [vec!["one", "sick", "sick"], vec!["one", "sick", "one"]];
            let fake = with_sick(&values, 4, vec![(Call::Fetch, 4, event)]);
            fake.kafka().portions = vec![1];
            run(&fake, Work { interval: Duration::ZERO, ..breaker(9, BreakerRecords::Hold) }).unwrap();
            everything_was_done(&fake);
        }
    }
}

#[test]
fn the_group_is_answered_while_it_is_open() {
    for lost in [false, true] {
        for records in BOTH {
            let script = vec![(Call::Attend, 4, revoke(&[0, 1], lost)), (Call::Attend, 9, revoke(&[1], !lost))];
            let fake = with_sick(&[vec!["one", "sick", "sick", "sick"], vec!["sick", "one"]], 5, script);
            let work = breaker(2, records);
            run(
                &fake,
                Work { failures: Failures { breaker_retry: Duration::from_millis(20), ..work.failures }, ..work },
            )
            .unwrap();
            everything_was_done(&fake);
            assert!(log(&fake).matches("revoked").count() >= 1, "{}", log(&fake));
        }
    }
}

#[test]
fn a_new_mapper_closes_it_and_judges_what_was_held() {
    for (records, letters) in [(BreakerRecords::DeadLetter, 2), (BreakerRecords::Hold, 0)] {
        let fake = with_sick(&[vec!["sick", "sick", "sick"]], usize::MAX, vec![(Call::Attend, 9, Event::Shutdown)]);
        let telemetry = Arc::default();
        let work = breaker(2, records);
        // It would not be tried within this test.
        let failures = Failures { breaker_retry: Duration::from_secs(60), ..work.failures };
        let mut pipeline = start(&fake, Work { failures, ..work }, &telemetry);
        pipeline.run().unwrap();
        assert!(!telemetry.health.reasons().is_empty());
        {
            let mut kafka = fake.kafka();
            (kafka.sick, kafka.shutdown) = (0, Shutdown::default());
            pipeline.shutdown = kafka.shutdown.clone();
        }
        fake.kafka().versions.offer(None);
        pipeline.take_version().unwrap();
        assert_eq!(telemetry.health.reasons(), []);
        pipeline.run().unwrap();
        check(&fake, &telemetry);
        everything_was_done(&fake);
        assert_eq!(outcome(&fake), (letters, 3 - letters), "{records}");
    }
}

#[test]
fn a_new_mapper_judges_what_was_held_before_it_opened() {
    let fake = with_sick(&[vec!["one", "sick", "sick"]], usize::MAX, vec![(Call::Fetch, 3, Event::Shutdown)]);
    fake.kafka().until_end = false;
    let telemetry = Arc::default();
    let mut pipeline = start(&fake, breaker(3, BreakerRecords::Hold), &telemetry);
    pipeline.run().unwrap();
    assert_eq!(committed(&fake), [(0, 1)]);
    {
        let mut kafka = fake.kafka();
        (kafka.sick, kafka.until_end, kafka.shutdown) = (0, true, Shutdown::default());
        pipeline.shutdown = kafka.shutdown.clone();
    }
    fake.kafka().versions.offer(None);
    pipeline.take_version().unwrap();
    pipeline.run().unwrap();
    everything_was_done(&fake);
    assert_eq!(outcome(&fake), (0, 3));
}

#[test]
fn a_run_that_ends_by_itself_waits_for_nobody() {
    for (records, next) in [(BreakerRecords::DeadLetter, 3), (BreakerRecords::Hold, 1)] {
        let fake = with_sick(&[vec!["one", "sick", "sick", "one"]], usize::MAX, vec![]);
        let halt = run(&fake, Work { ends_by_itself: true, ..breaker(2, records) }).unwrap_err();
        assert_eq!((halt.cause, halt.cause.exit_code()), (Cause::Failing, 5));
        assert!(halt.reason.contains("2 records in a row") && halt.reason.contains("--breaker-after"), "{halt}");
        assert_eq!(committed(&fake), [(0, next)], "{records}");
    }
}

#[test]
fn what_is_held_is_bounded_in_bytes() {
    // Each has 7 bytes, and its failure 11.
    let fake = with_sick(&[vec!["sick"; 9]], usize::MAX, vec![(Call::Attend, 9, Event::Shutdown)]);
    let telemetry = Arc::default();
    start(&fake, Work { bytes: 50, ..breaker(1000, BreakerRecords::Hold) }, &telemetry).run().unwrap();
    assert!(telemetry.breakers.open()[&7].starts_with("3 records in a row"), "{:?}", telemetry.breakers.open());
    assert_eq!(committed(&fake), []);
}

#[test]
fn too_many_errors_end_it_with_the_offsets_unmoved() {
    let failures = Failures { halt_on_error_ratio: Some(0.5), error_ratio_window: 4, ..CALM };
    let fake = Fake::new(&[vec!["reject", "one", "one", "reject", "one", "one", "trap", "reject", "one"]], vec![]);
    let halt = run(&fake, Work { failures, records: 3, ..ALL_AT_ONCE }).unwrap_err();
    assert_eq!(halt.cause, Cause::Failing);
    let expected = "2 of the last 4 records failed, and 0.5 of them are too many";
    assert!(halt.reason.starts_with(expected) && halt.reason.contains("rejected: no"), "{halt}");
    // Three at a time: the halt is within the second transaction, or in the third.
    assert_eq!(committed(&fake), [(0, 3)]);
    assert!(log(&fake).ends_with("begin, abort"), "{}", log(&fake));
}

#[test]
fn fewer_errors_do_not_end_it() {
    let failures = Failures { halt_on_error_ratio: Some(0.75), error_ratio_window: 4, ..CALM };
    let fake = Fake::new(&[vec!["reject", "reject", "one", "one", "reject", "one", "reject", "skip", "trap"]], vec![]);
    run(&fake, Work { failures, records: 3, ..ALL_AT_ONCE }).unwrap();
    everything_was_done(&fake);
}
