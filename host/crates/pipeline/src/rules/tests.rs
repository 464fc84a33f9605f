//! The actions that follow from events, in their order.

use super::*;
use crate::contracts::{Fetched, RejectionCause};
use crate::error::Rejection;
use crate::settings::{BreakerRecords, BreakerSettings, FailurePolicy, LedgerNames};
use mapper_core::decision::Routes;
use mapper_core::verdict::Failure;

fn rules() -> Rules {
    Rules::new(&Settings {
        worker: 0,
        topic: "visits".into(),
        routes: Routes::with_default_limits(&["reduced"], "dlq").into(),
        ledger: LedgerNames::default(),
        commit: CommitPolicy { interval: Duration::from_secs(1), records: 1000, bytes: 1 << 20 },
        batch_records: 100,
        provenance: false,
        failures: FailurePolicy {
            halt_on_error_ratio: None,
            error_ratio_window: 1,
            breaker: BreakerSettings { after: 3, records: BreakerRecords::Hold, retry: Duration::from_secs(1) },
        },
        ends_by_itself: false,
    })
}

fn facts() -> Facts {
    Facts {
        now: Instant::now(),
        is_shutdown_requested: false,
        is_version_due: false,
        is_withdrawn: false,
        is_on_probation: false,
        is_visible_at_once: false,
    }
}

fn batch(records: usize) -> Batch {
    let mut batch = Batch::new("visits");
    (0..records).for_each(|offset| batch.push((0, offset as i64), 0, None, Some(b"x"), std::iter::empty()));
    batch
}

/// The rules of a pipeline with an open transaction of this number of records.
fn rules_with(records: usize, facts: &Facts) -> Rules {
    let (mut rules, batch) = (rules(), batch(records));
    assert!(matches!(rules.next(facts), Ok(Action::Fetch { .. })));
    rules.batch_filled(records);
    rules.received(Fetched::Records, facts);
    assert!(matches!(rules.next(facts), Ok(Action::BeginBatch)));
    rules.transaction.reach(&batch, 0..records);
    assert!(matches!(rules.next(facts), Ok(Action::Judge(range)) if range == (0..records)));
    rules.transaction.add(&batch, 0..records, facts.now);
    assert!(!rules.progressed(Progress::Judged(records), facts));
    rules
}

fn add_pending(rules: &mut Rules, facts: &Facts) {
    rules.pending.push(batch(1), Failure::new(FailureKind::Trap, "unreachable"), facts.now);
}

fn word(action: &Action) -> String {
    match action {
        Action::Fetch { .. } => "Fetch".to_owned(),
        Action::Attend(_) => "Attend".to_owned(),
        Action::NoteRejections(_) => "NoteRejections".to_owned(),
        Action::OpenBreaker(_) => "OpenBreaker".to_owned(),
        action => format!("{action:?}"),
    }
}

/// The next actions up to one that waits for the source, or that ends the pipeline. A commit empties the transaction.
fn actions(rules: &mut Rules, facts: &Facts) -> String {
    let mut words = Vec::new();
    loop {
        let action = rules.next(facts).unwrap();
        words.push(word(&action));
        match action {
            Action::Commit => rules.committed(&batch(rules.fetched)),
            Action::Discard => rules.discarded(),
            Action::FlushPending => drop(rules.pending.take()),
            Action::Fetch { .. } | Action::Attend(_) | Action::Finish | Action::Halt(_) => return words.join(", "),
            _ => {}
        }
    }
}

fn retriable() -> SinkError {
    SinkError::Retriable(anyhow::anyhow!("no answer"))
}

#[test]
fn shutdown_commits_the_open_transaction_and_finishes() {
    let mut rules = rules_with(3, &facts());
    let facts = Facts { is_shutdown_requested: true, ..facts() };
    // The rest of the iteration is first; it has no due action.
    assert_eq!(actions(&mut rules, &facts), "Commit, Finish");
}

#[test]
fn revoked_partitions_are_committed_and_lost_ones_aborted_before_they_go() {
    for (lost, expected) in
        [(false, "Commit, Settle, Discard, Fetch"), (true, "Abort(PartitionsLost), Settle, Rewind, Discard, Fetch")]
    {
        let facts = facts();
        let mut rules = rules_with(3, &facts);
        assert_eq!(actions(&mut rules, &facts), "Fetch");
        rules.received(Fetched::Revoked { lost }, &facts);
        assert_eq!(actions(&mut rules, &facts), expected);
    }
}

#[test]
fn version_is_taken_between_two_transactions_and_judges_what_was_pending() {
    let facts = Facts { is_version_due: true, ..facts() };
    let mut rules = rules_with_version_due(&facts);
    assert_eq!(rules.next(&facts).map(|action| word(&action)).unwrap(), "Commit");
    rules.committed(&batch(rules.fetched));
    let next: Vec<String> = (0..3).map(|_| word(&rules.next(&facts).unwrap())).collect();
    assert_eq!(next, ["Rewind", "Discard", "TakeVersion"]);
}

fn rules_with_version_due(facts: &Facts) -> Rules {
    let mut rules = rules_with(3, &Facts { is_version_due: false, ..*facts });
    add_pending(&mut rules, facts);
    rules
}

#[test]
fn withdrawn_version_is_aborted_unless_its_outputs_are_visible_already() {
    let facts = Facts { is_withdrawn: true, ..facts() };
    let usual = Facts { is_withdrawn: false, ..facts };
    let expected = "Abort(VersionWithdrawn), Rewind, Discard, RewindHistory, Attend";
    assert_eq!(actions(&mut rules_with(3, &usual), &facts), expected);
    let facts = Facts { is_visible_at_once: true, ..facts };
    assert_eq!(actions(&mut rules_with(3, &usual), &facts), "Commit, Attend");
}

#[test]
fn failure_waits_aborts_and_rewinds_and_the_second_one_halves_the_transaction() {
    let facts = facts();
    let mut rules = rules_with(100, &facts);
    assert_eq!(rules.failed(retriable(), &facts).unwrap(), Reaction::Recovery);
    assert_eq!(actions(&mut rules, &facts), "Backoff(100ms), Abort(Failure), Rewind, Discard, RewindHistory, Fetch");
    rules.batch_size.took(100, Duration::from_millis(1));
    assert!(rules.batch_budget(&facts) > 50);
    rules.transaction.add(&batch(100), 0..100, facts.now);
    rules.failed(retriable(), &facts).unwrap();
    rules.discarded();
    assert_eq!(rules.batch_budget(&facts), 50);
}

#[test]
fn rejection_is_noted_before_the_abort_and_topics_are_read_again() {
    let facts = facts();
    let mut rules = rules_with(3, &facts);
    let rejection =
        Rejection { route: 0, inputs: vec![(0, 1)], cause: RejectionCause::Other, reason: "no key".to_owned() };
    assert_eq!(rules.failed(SinkError::RecordsRejected(vec![rejection]), &facts).unwrap(), Reaction::Rejection);
    let expected = "NoteRejections, Abort(Failure), Rewind, Discard, RewindHistory, RefreshLimits, Fetch";
    assert_eq!(actions(&mut rules, &facts), expected);
}

#[test]
fn rewind_that_fails_settles_a_waiting_rebalance_before_the_next_attempt() {
    let facts = facts();
    let mut rules = rules_with(3, &facts);
    rules.failed(retriable(), &facts).unwrap();
    while !matches!(rules.next(&facts).unwrap(), Action::Rewind) {}
    assert_eq!(rules.failed(retriable(), &facts).unwrap(), Reaction::Postponement);
    assert!(matches!(rules.next(&facts), Ok(Action::Attend(Duration::ZERO))));
    rules.received(Fetched::Revoked { lost: true }, &facts);
    assert!(matches!(rules.next(&facts), Ok(Action::Settle)));
    let Err(error) = rules.next(&facts) else { panic!("the failure comes back") };
    assert_eq!(rules.failed(error, &facts).unwrap(), Reaction::Recovery);
    assert_eq!(actions(&mut rules, &facts), "Backoff(200ms), Abort(Failure), Rewind, Discard, RewindHistory, Fetch");
}

#[test]
fn recovery_that_fails_during_a_shutdown_is_given_up_and_nothing_is_committed() {
    let facts = Facts { is_shutdown_requested: true, ..facts() };
    let mut rules = rules_with(3, &Facts { is_shutdown_requested: false, ..facts });
    rules.failed(retriable(), &facts).unwrap();
    assert_eq!(rules.failed(retriable(), &facts).unwrap(), Reaction::Abandonment);
    assert_eq!(actions(&mut rules, &facts), "Discard, Finish");
}

#[test]
fn last_commit_that_fails_is_aborted_once() {
    let facts = Facts { is_shutdown_requested: true, ..facts() };
    let mut rules = rules_with(3, &Facts { is_shutdown_requested: false, ..facts });
    while !matches!(rules.next(&facts).unwrap(), Action::Commit) {}
    assert_eq!(rules.failed(retriable(), &facts).unwrap(), Reaction::FinalAbort);
    assert!(matches!(rules.next(&facts), Ok(Action::Abort(AbortReason::Failure))));
    assert_eq!(rules.failed(retriable(), &facts).unwrap(), Reaction::FinalAbort);
    assert_eq!(actions(&mut rules, &facts), "Finish");
}

#[test]
fn recreated_topic_is_settled_after_the_old_one_is_committed() {
    let facts = facts();
    let mut rules = rules_with(3, &facts);
    assert_eq!(actions(&mut rules, &facts), "Fetch");
    add_pending(&mut rules, &facts);
    rules.received(Fetched::TopicRecreated { missing: 1..i32::MAX }, &facts);
    assert_eq!(actions(&mut rules, &facts), "FlushPending, Commit, EndHistory, Settle, Discard, Fetch");
}

#[test]
fn commit_is_due_by_time_records_and_bytes() {
    let facts = facts();
    assert_eq!(actions(&mut rules_with(3, &facts), &facts), "Fetch");
    let later = Facts { now: facts.now + Duration::from_secs(1), ..facts };
    assert_eq!(actions(&mut rules_with(3, &facts), &later), "Commit, Fetch");
    assert_eq!(actions(&mut rules_with(1000, &facts), &facts), "Commit, Fetch");
    let probation = Facts { is_on_probation: true, ..facts };
    assert_eq!(actions(&mut rules_with(PROBATION_RECORDS, &facts), &probation), "Commit, Fetch");
}

#[test]
fn rest_of_a_batch_is_judged_at_once_until_the_group_must_be_answered() {
    let facts = facts();
    let mut rules = rules();
    rules.next(&facts).unwrap();
    rules.batch_filled(10);
    rules.received(Fetched::Records, &facts);
    rules.next(&facts).unwrap();
    rules.next(&facts).unwrap();
    assert!(rules.progressed(Progress::Judged(4), &facts));
    assert!(matches!(rules.next(&facts), Ok(Action::Judge(range)) if range == (4..10)));
    let later = Facts { now: facts.now + PATIENCE, ..facts };
    assert!(!rules.progressed(Progress::Judged(5), &later));
    assert!(matches!(rules.next(&later), Ok(Action::Attend(Duration::ZERO))));
    rules.received(Fetched::Idle, &later);
    assert!(matches!(rules.next(&later), Ok(Action::BeginBatch)));
    assert!(matches!(rules.next(&later), Ok(Action::Judge(range)) if range == (5..10)));
}

/// The next action after these outcomes of the records of a transaction, the last of which opens the breaker.
fn end_of_transaction(outcomes: &[GuestHealth], facts: &Facts) -> String {
    let mut rules = rules_with(outcomes.len(), facts);
    for health in outcomes {
        rules.breaker.judged(*health);
    }
    let judged = outcomes.len();
    rules.progressed(Progress::BreakerTripped { judged, last_failure: "trap: unreachable".to_owned() }, facts);
    word(&rules.next(facts).unwrap())
}

#[test]
fn tripped_breaker_aborts_a_transaction_of_only_crashes_unless_its_dead_letters_are_visible_already() {
    use GuestHealth::{Faulty, Healthy};
    let facts = facts();
    assert_eq!(end_of_transaction(&[Faulty; 3], &facts), "Abort(BreakerTripped)");
    assert_eq!(end_of_transaction(&[Healthy, Faulty, Faulty, Faulty], &facts), "Commit");
    let facts = Facts { is_visible_at_once: true, ..facts };
    assert_eq!(end_of_transaction(&[Faulty; 3], &facts), "Commit");
}

#[test]
fn tripped_breaker_commits_rewinds_and_waits_for_a_probe() {
    let facts = facts();
    let mut rules = rules_with(3, &facts);
    add_pending(&mut rules, &facts);
    rules.progressed(Progress::BreakerTripped { judged: 3, last_failure: "trap: unreachable".to_owned() }, &facts);
    let first: Vec<String> = (0..1).map(|_| word(&rules.next(&facts).unwrap())).collect();
    assert_eq!(first, ["Commit"]);
    rules.committed(&batch(rules.fetched));
    assert_eq!(actions(&mut rules, &facts), "Rewind, Discard, OpenBreaker, Attend");
    let later = Facts { now: facts.now + Duration::from_secs(1), ..facts };
    rules.received(Fetched::Idle, &later);
    assert!(matches!(rules.next(&later), Ok(Action::Fetch { most: 1, .. })));
}
