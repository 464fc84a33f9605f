//! When a transaction begins, is committed or is aborted: commit policy, revocations, failed calls and shutdowns.

use std::sync::Arc;
use std::time::Duration;

use super::kafka::Fake;
use super::script::{Call, Event, Revoke, Script};
use super::{ALL_AT_ONCE, Work, committed, everything_was_done, log, ones, revoke, run, start};

#[test]
fn commit_is_due_by_the_number_of_records() {
    let fake = Fake::new(&[ones(10)], vec![]);
    run(&fake, Work { records: 4, batch_records: 3, ..ALL_AT_ONCE }).unwrap();
    // Three and one make four.
    assert_eq!(log(&fake), "assigned, begin, commit 4, begin, commit 4, begin, commit 2");
}

#[test]
fn commit_is_due_by_the_number_of_bytes() {
    let fake = Fake::new(&[ones(5)], vec![]);
    // A record has 6 bytes: key `0:0` and value `one`.
    run(&fake, Work { bytes: 12, batch_records: 1, ..ALL_AT_ONCE }).unwrap();
    assert_eq!(log(&fake), "assigned, begin, commit 2, begin, commit 2, begin, commit 1");
}

#[test]
fn commit_is_due_by_time() {
    // Without a commit the run ends with a halt.
    let script = vec![(Call::Commit, 1, Event::Shutdown), (Call::Fetch, 20, Event::Halt)];
    let fake = Fake::new(&[ones(2)], script);
    fake.kafka().until_end = false;
    let interval = Duration::from_millis(20);
    run(&fake, Work { interval, ..ALL_AT_ONCE }).unwrap();
    assert!(fake.kafka().clock.elapsed() >= interval);
    assert_eq!(log(&fake), "assigned, begin, commit 2");
}

#[test]
fn idle_pipeline_begins_no_transaction() {
    let fake = Fake::new(&[ones(2)], vec![(Call::Fetch, 4, Event::Shutdown)]);
    (fake.kafka().until_end, fake.kafka().portions) = (false, vec![0]);
    run(&fake, Work { interval: Duration::ZERO, ..ALL_AT_ONCE }).unwrap();
    assert_eq!(log(&fake), "assigned");
}

#[test]
fn end_of_an_idle_partition_is_committed_once_in_a_transaction() {
    // Each fetch without a record waits for 50 ms, and the end is committed after two seconds.
    // A shutdown would commit the end, too; a halt commits nothing.
    let fake = Fake::new(&[ones(2)], vec![(Call::Fetch, 200, Event::Halt)]);
    fake.kafka().until_end = false;
    run(&fake, Work { interval: Duration::ZERO, ..ALL_AT_ONCE }).unwrap_err();
    assert!(fake.kafka().clock.elapsed() > Duration::from_secs(8));
    assert_eq!(log(&fake), "assigned, begin, commit 2, begin, commit 0");
    let kafka = fake.kafka();
    assert_eq!(kafka.committed, kafka.ends);
}

#[test]
fn failed_commit_of_an_end_is_repeated() {
    let script = vec![(Call::Commit, 2, Event::Again), (Call::Fetch, 200, Event::Shutdown)];
    let fake = Fake::new(&[ones(2)], script);
    fake.kafka().until_end = false;
    run(&fake, Work { interval: Duration::ZERO, ..ALL_AT_ONCE }).unwrap();
    assert_eq!(log(&fake), "assigned, begin, commit 2, begin, abort, rewind, begin, commit 0");
    let kafka = fake.kafka();
    assert_eq!(kafka.committed, kafka.ends);
}

#[test]
fn revoked_partitions_are_committed_before_they_are_released() {
    let fake = Fake::new(&[ones(2), ones(3)], vec![(Call::Fetch, 3, revoke(&[1], false))]);
    run(&fake, ALL_AT_ONCE).unwrap();
    assert!(log(&fake).starts_with("assigned, begin, commit 5, revoked, assigned"), "{}", log(&fake));
    everything_was_done(&fake);
}

#[test]
fn lost_partitions_abort_the_transaction() {
    let revoke = Revoke { partitions: vec![0, 1], lost: true, records_elsewhere: 2, back_after: 1 };
    let fake = Fake::new(&[ones(2), ones(3)], vec![(Call::Fetch, 3, Event::Revoke(revoke))]);
    run(&fake, ALL_AT_ONCE).unwrap();
    assert!(log(&fake).starts_with("assigned, begin, abort, revoked"), "{}", log(&fake));
    everything_was_done(&fake);
}

#[test]
fn kept_partitions_after_others_are_lost_are_mapped_again() {
    let fake = Fake::new(&[ones(2), ones(3)], vec![(Call::Fetch, 3, revoke(&[1], true))]);
    run(&fake, ALL_AT_ONCE).unwrap();
    everything_was_done(&fake);
}

#[test]
fn retriable_error_at_any_call_costs_no_record_and_doubles_none() {
    use Event::{Again, Unanswered};
    let lost = (Call::Fetch, 3, revoke(&[0, 1], true));
    let scripts: [Script; 9] = [
        vec![(Call::Fetch, 3, Again)],
        vec![(Call::Begin, 1, Again)],
        vec![(Call::Send, 4, Again)],
        vec![(Call::Commit, 1, Again)],
        vec![(Call::Commit, 1, Unanswered)],
        vec![(Call::Settle, 1, Again)],
        vec![(Call::Settle, 2, Again), lost.clone()],
        vec![(Call::Abort, 1, Again), lost],
        vec![(Call::Commit, 1, Again), (Call::Rewind, 1, Again)],
    ];
    // In parallel, because each waits for a backoff.
    std::thread::scope(|scope| {
        for script in &scripts {
            scope.spawn(move || {
                let values = [vec!["one", "reject", "two"], vec!["skip", "three"]];
                let fake = Fake::new(&values, script.clone());
                run(&fake, Work { batch_records: 3, ..ALL_AT_ONCE })
                    .unwrap_or_else(|halt| panic!("{script:?}: {halt}"));
                everything_was_done(&fake);
            });
        }
    });
}

#[test]
fn fatal_error_leaves_the_committed_offsets() {
    for (call, n) in [(Call::Fetch, 3), (Call::Begin, 2), (Call::Send, 4), (Call::Commit, 2)] {
        let fake = Fake::new(&[ones(6)], vec![(call, n, Event::Halt)]);
        let halt = run(&fake, Work { records: 3, ..ALL_AT_ONCE }).unwrap_err();
        assert_eq!(halt.reason(), format!("{call:?} halts"));
        assert_eq!(committed(&fake), [(0, 3)], "{call:?}");
    }
}

#[test]
fn fatal_error_during_recovery_leaves_the_committed_offsets() {
    for call in [Call::Abort, Call::Rewind] {
        for refused in [vec![], vec![(Call::Abort, 1, Event::Shutdown)]] {
            let mut script = vec![(call, 1, Event::Halt), (Call::Send, 2, Event::Refused)];
            script.extend(refused);
            let fake = Fake::new(&[ones(6)], script);
            run(&fake, ALL_AT_ONCE).unwrap_err();
            assert_eq!(committed(&fake), [], "{call:?}");
        }
    }
}

#[test]
fn shutdown_commits_the_records_that_were_fetched() {
    let fake = Fake::new(&[ones(9)], vec![(Call::Fetch, 3, Event::Shutdown)]);
    run(&fake, Work { batch_records: 2, ..ALL_AT_ONCE }).unwrap();
    assert_eq!(log(&fake), "assigned, begin, commit 4");
}

#[test]
fn shutdown_aborts_a_transaction_that_fails() {
    for trouble in [Event::Again, Event::Refused] {
        let script = vec![(Call::Send, 3, Event::Shutdown), (Call::Commit, 1, trouble)];
        let fake = Fake::new(&[ones(4)], script);
        run(&fake, ALL_AT_ONCE).unwrap();
        assert_eq!(log(&fake), "assigned, begin, abort");
    }
}

#[test]
fn shutdown_during_recovery_commits_nothing_of_the_failed_transaction() {
    let trouble = |call| vec![(Call::Send, 2, Event::Shutdown), (Call::Send, 3, Event::Again), (call, 1, Event::Again)];
    for call in [Call::Abort, Call::Rewind] {
        let fake = Fake::new(&[ones(4)], trouble(call));
        run(&fake, ALL_AT_ONCE).unwrap();
        assert_eq!(committed(&fake), [], "{call:?}");
    }
}

#[test]
fn finished_source_commits_offsets_beyond_the_last_records() {
    let fake = Fake::new(&[ones(2), vec![], ones(1)], vec![]);
    run(&fake, ALL_AT_ONCE).unwrap();
    assert_eq!(committed(&fake), [(0, 3), (2, 2)]);
    // Another run has nothing to do.
    fake.kafka().log.clear();
    start(&fake, ALL_AT_ONCE, &Arc::default()).run().unwrap();
    assert_eq!(log(&fake), "assigned");
}

#[test]
fn transaction_that_takes_too_long_is_repeated_with_fewer_records() {
    let fake = Fake::new(&[ones(12), ones(3)], vec![]);
    fake.kafka().most_at_once = 1;
    run(&fake, ALL_AT_ONCE).unwrap();
    everything_was_done(&fake);
    // The pipeline tries a larger transaction sometimes, but not each time.
    let log = log(&fake);
    assert!(log.matches("abort").count() < 12, "{log}");
}

#[test]
fn rewind_that_fails_during_a_revocation_releases_the_partitions_first() {
    // Enough failures for a revocation to be attended to.
    let again = (1..=3).map(|n| (Call::Rewind, n, Event::Again));
    let script = again.chain([(Call::Send, 4, Event::Again), (Call::Attend, 2, revoke(&[0], true))]).collect();
    let fake = Fake::new(&[ones(3), ones(3)], script);
    run(&fake, ALL_AT_ONCE).unwrap();
    everything_was_done(&fake);
    let log = log(&fake);
    assert!(log.starts_with("assigned, begin, abort, abort, revoked, abort"), "{log}");
}
