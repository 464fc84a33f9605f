//! Exactly-once delivery for any records, any batches, and any script of failures and rebalances.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::kafka::Fake;
use super::mapper::VALUES;
use super::script::{Call, Event, Revoke, Script};
use super::{BreakerRecords, BreakerSettings, CALM, FailurePolicy, Observed, Work, check, start};

/// Cases mostly wait for a backoff, so they run in parallel.
const RUNNERS: usize = 16;
const CASES: u32 = 64;
/// The maximum of events, because each costs a backoff.
const MOST_AGAIN: usize = 2;
/// More runs than crashes, halts and shutdowns in a script.
const MOST_RUNS: usize = 12;

#[derive(Debug, Clone)]
struct Scenario {
    values: Vec<Vec<&'static str>>,
    portions: Vec<usize>,
    work: Work,
    sick: usize,
    script: Script,
}

fn scenario() -> impl Strategy<Value = Scenario> {
    // A permanent trap can keep the breaker open for ever, so only sick records trap.
    let mendable: Vec<&str> = VALUES[..9].iter().copied().filter(|value| *value != "trap").collect();
    let value = prop_oneof![6 => select(mendable), 1 => select(&VALUES[9..]), 2 => Just("sick")];
    let values = proptest::collection::vec(proptest::collection::vec(value, 0..16), 1..4);
    let portions = proptest::collection::vec(0_usize..8, 0..4).prop_map(|mut portions| {
        portions.push(3);
        portions
    });
    let interval = select(vec![Duration::ZERO, Duration::from_secs(60)]);
    let work = (interval, 1_usize..16, select(vec![20, usize::MAX]), 1_usize..10, failures()).prop_map(
        |(interval, records, bytes, batch_records, failures)| Work {
            interval,
            records,
            bytes,
            batch_records,
            failures,
            // No record is quarantined for the crashes of the script.
            poison_after: 0,
            ends_by_itself: false,
        },
    );
    (values, portions, work, 0_usize..8, script()).prop_map(|(values, portions, work, sick, script)| Scenario {
        values,
        portions,
        work,
        sick,
        script,
    })
}

/// Any breaker settings, with which permanent failures do not open the breaker; otherwise the run never ends.
fn failures() -> impl Strategy<Value = FailurePolicy> {
    let records = select(vec![BreakerRecords::DeadLetter, BreakerRecords::Hold]);
    (1_u32..6, records).prop_map(|(after, records)| FailurePolicy {
        breaker: BreakerSettings { after, records, ..CALM.breaker },
        ..CALM
    })
}

fn script() -> impl Strategy<Value = Script> {
    use Event::{Again, Die, Halt, Refused, Shutdown, Unanswered, Unavailable};
    let calls = vec![
        (Call::Fetch, vec![Again, Halt, Shutdown]),
        (Call::Attend, vec![Again, Halt, Shutdown]),
        (Call::Prepare, vec![Unavailable, Shutdown]),
        (Call::Map, vec![Die]),
        (Call::Settle, vec![Again, Halt, Shutdown]),
        (Call::Rewind, vec![Again, Halt, Shutdown]),
        (Call::Begin, vec![Again, Halt, Shutdown]),
        (Call::Send, vec![Again, Refused, Halt, Shutdown]),
        (Call::Commit, vec![Again, Refused, Halt, Unanswered, Shutdown]),
        (Call::Abort, vec![Again, Halt, Shutdown]),
    ];
    let trouble = select(calls).prop_flat_map(|(call, events)| (Just(call), 1_usize..12, select(events)));
    let partitions = proptest::collection::vec(0..3, 1..3);
    let revoke =
        (select(vec![Call::Fetch, Call::Attend]), 1_usize..12, partitions, any::<bool>(), 0_usize..4, 0_usize..4);
    let revoke = revoke.prop_map(|(call, at, partitions, lost, records_elsewhere, back_after)| {
        (call, at, Event::Revoke(Revoke { partitions, lost, records_elsewhere, back_after }))
    });
    let calls = [Call::Fetch, Call::Settle, Call::Rewind, Call::Begin, Call::Send, Call::Commit, Call::Abort];
    let swaps = select(vec![Event::Swap, Event::SwapOnProbation]);
    let swap = (select(calls.to_vec()), 1_usize..12, swaps);
    proptest::collection::vec(prop_oneof![2 => trouble, 1 => revoke, 1 => swap], 0..8).prop_map(|mut script| {
        let mut agains = 0;
        script.retain(|(_, _, event)| {
            let waits = matches!(event, Again | Unanswered | Unavailable);
            agains += usize::from(waits);
            !waits || agains <= MOST_AGAIN
        });
        script
    })
}

/// Restarts after each halt or shutdown, as an operator does, until all records are committed.
fn holds(scenario: &Scenario) {
    let fake = Fake::new(&scenario.values, scenario.script.clone());
    fake.kafka().portions = scenario.portions.clone();
    fake.kafka().sick = scenario.sick;
    let observed = std::sync::Arc::new(Observed::default());
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..MOST_RUNS {
        fake.restart_in(dir.path(), 0);
        let mut pipeline = start(&fake, scenario.work, &observed);
        let Ok(ended) = catch_unwind(AssertUnwindSafe(|| pipeline.run())) else { continue };
        check(&fake, &observed);
        if ended.is_ok() && !fake.kafka().shutdown.requested() {
            let kafka = fake.kafka();
            assert_eq!(kafka.committed, kafka.ends, "all is done, and nothing else");
            return;
        }
    }
    panic!("not done after {MOST_RUNS} runs");
}

#[test]
fn any_script_of_failures_and_rebalances_maps_each_input_exactly_once_and_in_order() {
    let work = || {
        let config = Config { cases: CASES, source_file: Some(file!()), max_shrink_iters: 300, ..Config::default() };
        let tested = TestRunner::new(config).run(&scenario(), |scenario| {
            holds(&scenario);
            Ok::<(), TestCaseError>(())
        });
        tested.unwrap_or_else(|failed| panic!("{failed}"));
    };
    std::thread::scope(|scope| {
        let runners: Vec<_> = (0..RUNNERS).map(|_| scope.spawn(work)).collect();
        runners.into_iter().for_each(|runner| runner.join().expect("a property that holds"));
    });
}
