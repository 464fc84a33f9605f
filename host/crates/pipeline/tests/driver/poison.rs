//! Records that crash the process, and processes that end during a call for other reasons.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::*;

/// More processes than any of these cases needs.
const MOST_PROCESSES: usize = 20;

/// Starts processes until one ends by itself. Returns the number of crashes.
fn processes(fake: &Fake, dir: &Path, work: Work) -> usize {
    let observed = Arc::default();
    for died in 0..MOST_PROCESSES {
        fake.restart_in(dir, work.poison_after);
        let mut pipeline = start(fake, work, &observed);
        match catch_unwind(AssertUnwindSafe(|| pipeline.run())) {
            Ok(ended) => {
                ended.unwrap();
                check(fake, &observed);
                return died;
            }
            Err(_) => drop(pipeline),
        }
    }
    panic!("none of {MOST_PROCESSES} processes came to the end: {}", log(fake));
}

fn letters(fake: &Fake) -> Vec<((i32, i64), String)> {
    let kafka = fake.kafka();
    kafka.topics[2].iter().map(|letter| (letter.of, letter.header("mapper-host.kind").to_owned())).collect()
}

#[test]
fn record_that_crashes_the_host_is_quarantined_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = ones(20);
    first[13] = "deadly";
    first[2] = "trap";
    let fake = Fake::new(&[first, ones(5)], vec![]);
    // One crash with other records, and three alone.
    assert_eq!(processes(&fake, dir.path(), ALL_AT_ONCE), 4);
    everything_was_done(&fake);
    assert_eq!(letters(&fake), [((0, 2), "trap".to_owned()), ((0, 17), "host-crash".to_owned())]);
    let kafka = fake.kafka();
    let message = kafka.topics[2][1].header("__connect.errors.exception.message");
    assert!(message.starts_with("the host died 3 times"), "{message}");
}

#[test]
fn two_records_that_crash_the_host_are_quarantined_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::new(&[vec!["deadly", "one", "deadly"]], vec![]);
    assert_eq!(processes(&fake, dir.path(), Work { poison_after: 1, ..ALL_AT_ONCE }), 3);
    everything_was_done(&fake);
    assert_eq!(letters(&fake).len(), 2);
}

#[test]
fn process_killed_during_calls_quarantines_no_record() {
    let dir = tempfile::tempdir().unwrap();
    // The process never crashes twice with the same record alone.
    let script = [1, 2, 4, 9, 15, 22].map(|call| (Call::Map, call, Event::Die)).to_vec();
    let fake = Fake::new(&[ones(30), ones(10)], script);
    assert_eq!(processes(&fake, dir.path(), Work { records: 7, ..ALL_AT_ONCE }), 6);
    everything_was_done(&fake);
    assert_eq!(letters(&fake), []);
}

#[test]
fn open_breaker_stays_open_after_a_quarantined_record() {
    let dir = tempfile::tempdir().unwrap();
    let failures = FailurePolicy { breaker: BreakerSettings { after: 2, ..CALM.breaker }, ..CALM };
    let work = Work { failures, ends_by_itself: false, batch_records: 1, ..ALL_AT_ONCE };
    let fake = Fake::new(&[vec!["one", "sick", "sick", "deadly", "sick"]], vec![]);
    let observed = Arc::default();
    // Batches have one record, so it is alone from the start; nothing is committed before.
    fake.kafka().sick = 0;
    fake.restart_in(dir.path(), 1);
    let mut pipeline = start(&fake, work, &observed);
    assert!(catch_unwind(AssertUnwindSafe(|| pipeline.run())).is_err());
    drop(pipeline);
    fake.kafka().sick = 3;
    fake.kafka().script = vec![(Call::Attend, 60, Event::Shutdown)];
    fake.restart_in(dir.path(), 1);
    start(&fake, work, &observed).run().unwrap();
    check(&fake, &observed);
    everything_was_done(&fake);
    // Two traps open it, the deadly record follows, and the last probe fails once before it succeeds.
    let kinds: Vec<String> = letters(&fake).into_iter().map(|(_, kind)| kind).collect();
    assert_eq!((kinds.join(" "), fake.kafka().sick), ("trap trap host-crash".to_owned(), 0));
    assert_eq!(observed.times_opened(), 1);
}
