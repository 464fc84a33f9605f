//! A broken mapper: when the breaker opens, the results of its records, and when the breaker closes.

use super::*;
use mapper_core::shutdown::Cause;

fn breaker(breaker_after: u32, breaker_records: BreakerRecords) -> Work {
    with_breaker(BreakerSettings { after: breaker_after, records: breaker_records, ..CALM.breaker })
}

fn with_breaker(breaker: BreakerSettings) -> Work {
    Work { failures: FailurePolicy { breaker, ..CALM }, ends_by_itself: false, ..ALL_AT_ONCE }
}

/// Runs until the breaker opens.
fn run_until_open(pipeline: &mut TestDriver, observed: &Observed) {
    while observed.breaker().is_none() {
        assert_ne!(pipeline.step().unwrap(), StepOutcome::Finished);
    }
}

const BOTH: [BreakerRecords; 2] = [BreakerRecords::DeadLetter, BreakerRecords::Hold];

/// Input values, with the final numbers of dead letters and of outputs.
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
fn breaker_after_a_run_of_traps_opens_before_the_next_record() {
    for (records, letters, next) in [(BreakerRecords::DeadLetter, 3, 5), (BreakerRecords::Hold, 0, 1)] {
        let values = vec!["one", "sick", "sick", "sick", "sick", "sick"];
        let fake = with_sick(&[values], usize::MAX, vec![(Call::Attend, 9, Event::Shutdown)]);
        let observed = Arc::default();
        start(&fake, breaker(3, records), &observed).run().unwrap();
        check(&fake, &observed);
        assert_eq!(outcome(&fake), (letters, 1), "{records}");
        // Offset 3 of these inputs is a gap.
        assert_eq!(committed(&fake), [(0, next)], "{records}");
        let open = observed.breaker().unwrap();
        assert!(open.starts_with("3 records in a row trapped") && open.contains("unreachable"), "{open}");
    }
}

#[test]
fn open_breaker_closes_when_a_probe_succeeds() {
    for (records, letters) in [(BreakerRecords::DeadLetter, 3), (BreakerRecords::Hold, 0)] {
        let values = [vec!["one", "sick", "sick", "sick", "sick", "two", "trap", "reject"], vec!["sick", "one"]];
        // Three traps open it, and two probes fail.
        let fake = with_sick(&values, 5, vec![]);
        let observed = Arc::default();
        start(&fake, breaker(3, records), &observed).run().unwrap();
        check(&fake, &observed);
        everything_was_done(&fake);
        // The trap of one record and a rejection do not count as faulty.
        assert_eq!(fake.kafka().topics[2].len(), letters + 2, "{records}");
        assert_eq!((observed.breaker(), observed.times_opened()), (None, 1));
    }
}

#[test]
fn run_of_traps_below_the_limit_becomes_dead_letters() {
    for records in BOTH {
        // The last two are at the end of the partition.
        let values = vec!["sick", "sick", "reject", "sick", "sick", "skip", "trap", "trap", "one", "sick", "sick"];
        let fake = with_sick(&[values], usize::MAX, vec![]);
        run(&fake, breaker(3, records)).unwrap();
        everything_was_done(&fake);
        assert_eq!(outcome(&fake), (9, 1), "{records}");
    }
}

#[test]
fn pending_failures_are_not_committed_and_are_read_again_after_a_rebalance() {
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
fn open_breaker_answers_the_group() {
    for lost in [false, true] {
        for records in BOTH {
            let script = vec![(Call::Attend, 4, revoke(&[0, 1], lost)), (Call::Attend, 9, revoke(&[1], !lost))];
            let fake = with_sick(&[vec!["one", "sick", "sick", "sick"], vec!["sick", "one"]], 5, script);
            run(&fake, with_breaker(BreakerSettings { after: 2, records, retry: Duration::from_millis(20) })).unwrap();
            everything_was_done(&fake);
            assert!(log(&fake).matches("revoked").count() >= 1, "{}", log(&fake));
        }
    }
}

#[test]
fn open_breaker_closes_with_a_new_version_which_judges_pending_failures() {
    for (records, letters) in [(BreakerRecords::DeadLetter, 2), (BreakerRecords::Hold, 0)] {
        let fake = with_sick(&[vec!["one", "sick", "sick", "sick"]], usize::MAX, vec![]);
        let observed = Arc::default();
        // A probe would be later than the end of this test.
        let retry = Duration::from_secs(60);
        let mut pipeline = start(&fake, with_breaker(BreakerSettings { after: 2, records, retry }), &observed);
        run_until_open(&mut pipeline, &observed);
        fake.kafka().sick = 0;
        fake.kafka().versions.offer(None);
        pipeline.step().unwrap();
        assert_eq!(observed.breaker(), None);
        pipeline.run().unwrap();
        check(&fake, &observed);
        everything_was_done(&fake);
        assert_eq!(outcome(&fake), (letters, 4 - letters), "{records}");
    }
}

#[test]
fn transaction_of_only_the_failures_that_open_the_breaker_is_aborted() {
    for records in BOTH {
        // Three traps open the breaker, and one probe fails.
        let fake = with_sick(&[vec!["sick"; 5]], 4, vec![]);
        let observed = Arc::default();
        let mut pipeline = start(&fake, breaker(3, records), &observed);
        run_until_open(&mut pipeline, &observed);
        let open = observed.breaker().unwrap();
        assert!(open.starts_with("3 records in a row") && open.contains("; they are read again later."), "{open}");
        assert_eq!((committed(&fake), outcome(&fake)), (vec![], (0, 0)), "{records}");
        pipeline.run().unwrap();
        check(&fake, &observed);
        everything_was_done(&fake);
        assert_eq!((outcome(&fake), observed.times_opened()), ((0, 5), 1), "{records}");
    }
}

#[test]
fn failures_of_earlier_transactions_stay_dead_letters_when_the_last_one_is_aborted() {
    let fake = with_sick(&[vec!["sick"; 6]], 5, vec![]);
    let observed = Arc::default();
    let work = Work { records: 2, ..breaker(5, BreakerRecords::DeadLetter) };
    let mut pipeline = start(&fake, work, &observed);
    run_until_open(&mut pipeline, &observed);
    let open = observed.breaker().unwrap();
    assert!(open.contains("; 1 of them will be read again, the others are dead letters."), "{open}");
    assert_eq!(outcome(&fake), (4, 0));
    pipeline.run().unwrap();
    check(&fake, &observed);
    everything_was_done(&fake);
    assert_eq!(outcome(&fake), (4, 2));
}

#[test]
fn failures_that_open_the_breaker_are_committed_with_any_other_record_of_their_transaction() {
    for first in ["one", "skip", "reject", "nowhere"] {
        let fake = with_sick(&[vec![first, "sick", "sick", "sick"]], 2, vec![]);
        let observed = Arc::default();
        let mut pipeline = start(&fake, breaker(2, BreakerRecords::DeadLetter), &observed);
        run_until_open(&mut pipeline, &observed);
        assert_eq!(committed(&fake), [(0, 3)], "{first}");
        assert!(observed.breaker().unwrap().contains("; they are dead letters."), "{first}");
        pipeline.run().unwrap();
        check(&fake, &observed);
        everything_was_done(&fake);
    }
}

#[test]
fn abort_of_the_failures_that_open_the_breaker_that_fails_is_repeated() {
    for call in [Call::Abort, Call::Rewind] {
        let fake = with_sick(&[vec!["sick"; 5]], 6, vec![(call, 1, Event::Again)]);
        run(&fake, breaker(3, BreakerRecords::DeadLetter)).unwrap();
        everything_was_done(&fake);
        assert_eq!(outcome(&fake), (0, 5), "{call:?}");
    }
}

#[test]
fn new_version_judges_the_pending_failures_of_a_closed_breaker() {
    let fake = with_sick(&[vec!["one", "sick", "sick"]], usize::MAX, vec![]);
    let observed = Arc::default();
    let mut pipeline = start(&fake, breaker(3, BreakerRecords::Hold), &observed);
    while fake.kafka().sick > usize::MAX - 2 {
        assert_eq!(pipeline.step().unwrap(), StepOutcome::Continue);
    }
    fake.kafka().sick = 0;
    fake.kafka().versions.offer(None);
    pipeline.run().unwrap();
    check(&fake, &observed);
    everything_was_done(&fake);
    assert!(log(&fake).contains("begin, commit 1, rewind, begin, commit 2"), "{}", log(&fake));
    assert_eq!(outcome(&fake), (0, 3));
}

#[test]
fn breaker_of_a_run_until_the_end_halts() {
    for (records, next) in [(BreakerRecords::DeadLetter, 3), (BreakerRecords::Hold, 1)] {
        let fake = with_sick(&[vec!["one", "sick", "sick", "one"]], usize::MAX, vec![]);
        let halt = run(&fake, Work { ends_by_itself: true, ..breaker(2, records) }).unwrap_err();
        assert_eq!((halt.cause, halt.cause.exit_code()), (Cause::Failing, 5));
        assert!(halt.reason().contains("2 records in a row") && halt.reason().contains("--breaker-after"), "{halt}");
        assert_eq!(committed(&fake), [(0, next)], "{records}");
    }
}

#[test]
fn pending_failures_are_bounded_in_bytes() {
    // Each has 7 bytes, and its failure 11.
    let fake = with_sick(&[vec!["sick"; 9]], usize::MAX, vec![(Call::Attend, 9, Event::Shutdown)]);
    let observed = Arc::default();
    start(&fake, Work { bytes: 50, ..breaker(1000, BreakerRecords::Hold) }, &observed).run().unwrap();
    let open = observed.breaker().unwrap();
    assert!(open.starts_with("3 records in a row"), "{open}");
    assert_eq!(committed(&fake), []);
}

#[test]
fn error_ratio_above_the_limit_halts_with_the_committed_offsets_unchanged() {
    let failures = FailurePolicy { halt_on_error_ratio: Some(0.5), error_ratio_window: 4, ..CALM };
    let fake = Fake::new(&[vec!["reject", "one", "one", "reject", "one", "one", "trap", "reject", "one"]], vec![]);
    let halt = run(&fake, Work { failures, records: 3, ..ALL_AT_ONCE }).unwrap_err();
    assert_eq!(halt.cause, Cause::Failing);
    let expected = "2 of the last 4 records failed, and 0.5 of them are too many";
    assert!(halt.reason().starts_with(expected) && halt.reason().contains("rejected: no"), "{halt}");
    // Three records in a transaction: the halt is in the second transaction or in the third.
    assert_eq!(committed(&fake), [(0, 3)]);
    assert!(log(&fake).ends_with("begin, abort"), "{}", log(&fake));
}

#[test]
fn error_ratio_below_the_limit_does_not_halt() {
    let failures = FailurePolicy { halt_on_error_ratio: Some(0.75), error_ratio_window: 4, ..CALM };
    let fake = Fake::new(&[vec!["reject", "reject", "one", "one", "reject", "one", "reject", "skip", "trap"]], vec![]);
    run(&fake, Work { failures, records: 3, ..ALL_AT_ONCE }).unwrap();
    everything_was_done(&fake);
}
