//! Rollbacks: requested, and after a failed probation.

use super::*;

#[test]
fn rollbacks_activate_versions_in_reverse_order_with_two_in_memory() {
    with_host(LONG, |host| {
        for word in ["two", "three", "four"] {
            assert_eq!(host.swap(word).outcome, SwapOutcome::Swapped);
        }
        for word in ["three", "two", "one"] {
            let answer = host.requests.submit(ROLLBACK).unwrap();
            (0..2).for_each(|worker| host.take(worker, &SourcePositions::new()));
            assert_eq!(report(answer).to, Some(version(word)));
        }
        let refused = report(host.requests.submit(ROLLBACK).unwrap());
        assert_eq!((refused.outcome, refused.step), (SwapOutcome::Refused, Some(Step::Read)));
    });
}

fn crash(host: &mut TestHost) {
    let worker = &mut host.workers[1];
    [None, None, Some(FailureKind::Timeout)].into_iter().for_each(|failure| worker.record_judged(failure));
    worker.batch_judged();
}

/// Waits for the rollback after a failed probation.
fn wait_for_rollback(host: &mut TestHost) -> Report {
    (0..2).for_each(|worker| host.take(worker, &SourcePositions::new()));
    wait_until(|| host.requests.last_report().is_some_and(|last| last.by == Trigger::Probation));
    host.requests.last_report().unwrap()
}

#[test]
fn rollback_without_a_store_uses_the_version_in_memory() {
    with_store(None, LONG, |host| {
        host.swap("two");
        let request = Request::Swap { bytes: b"three".to_vec(), by: Trigger::Http, force: false, dry_run: true };
        assert_eq!(report(host.requests.submit(request).unwrap()).outcome, SwapOutcome::Tried);
        crash(host);
        assert_eq!(wait_for_rollback(host).to, Some(version("one")));
    });
}

#[test]
fn swap_is_refused_if_the_active_version_fails_its_probation_during_the_try_out() {
    with_host(LONG, |host| {
        host.swap("two");
        let answer = host.submit_swap("slow");
        wait_until(|| host.requests.current_step() == Some(Step::TryOut));
        crash(host);
        host.gate.store(true, Ordering::Relaxed);
        let refused = report(answer);
        assert_eq!((refused.outcome, refused.step), (SwapOutcome::Refused, Some(Step::Switch)));
        assert!(refused.reason.unwrap().contains("has failed its probation"));
        assert_eq!(wait_for_rollback(host).to, Some(version("one")));
    });
}

#[test]
fn crash_during_probation_rolls_back() {
    with_host(LONG, |host| {
        host.swap("two");
        crash(host);
        let last = wait_for_rollback(host);
        assert_eq!((last.outcome, last.to), (SwapOutcome::Swapped, Some(version("one"))));
        assert!(last.reason.unwrap().contains("ended in a timeout"));
    });
}

#[test]
fn rollback_after_an_automatic_rollback_needs_a_version() {
    with_host(LONG, |host| {
        host.swap("two");
        host.swap("three");
        crash(host);
        assert_eq!(wait_for_rollback(host).to, Some(version("two")));
        let refused = report(host.requests.submit(ROLLBACK).unwrap());
        assert_eq!((refused.outcome, refused.step), (SwapOutcome::Refused, Some(Step::Read)));
        assert!(refused.reason.unwrap().contains("already rolled back: three"));
        assert_eq!(host.roll_back_to("one", "two").to, Some(version("one")));
    });
}

#[test]
fn rollback_that_expects_another_active_version_is_refused() {
    with_host(LONG, |host| {
        host.swap("two");
        let (to, from) = (Some(version("one").digest), Some(version("three").digest));
        let refused = report(host.requests.submit(Request::Rollback { to, from }).unwrap());
        assert_eq!((refused.outcome, refused.step), (SwapOutcome::Refused, Some(Step::Read)));
        assert!(refused.reason.unwrap().contains("the active version is two"));
        let request = Request::Rollback { to: Some(version("two").digest), from: None };
        assert_eq!(report(host.requests.submit(request).unwrap()).outcome, SwapOutcome::Unchanged);
    });
}

#[test]
fn rollback_to_a_version_that_failed_its_probation_starts_another_one() {
    with_host(LONG, |host| {
        host.swap("two");
        crash(host);
        wait_for_rollback(host);
        assert!(host.slot.probation().is_none());
        assert_eq!(host.roll_back_to("two", "one").to, Some(version("two")));
        assert!(host.slot.probation().is_some());
    });
}

#[test]
fn version_without_a_rollback_target_stays_active_after_a_failed_probation() {
    let dir = tempfile::tempdir().unwrap();
    with_store(Some(Store::new(dir.path().to_owned())), LONG, |host| {
        host.swap("two");
        // The try-out of another version drops the version before from memory. Its file is deleted.
        let request = Request::Swap { bytes: b"three".to_vec(), by: Trigger::Http, force: false, dry_run: true };
        assert_eq!(report(host.requests.submit(request).unwrap()).outcome, SwapOutcome::Tried);
        std::fs::remove_file(dir.path().join(format!("{}.wasm", version("one").digest))).unwrap();
        crash(host);
        wait_until(|| host.requests.last_report().is_some_and(|last| last.by == Trigger::Probation));
        assert_eq!(host.requests.last_report().unwrap().outcome, SwapOutcome::Refused);
        assert!(!host.workers[0].is_withdrawn());
        assert_eq!(host.swap("three").outcome, SwapOutcome::Swapped);
    });
}
