//! The loop on an in-memory Kafka: the expected result of each failure, one rule a test; `properties` combines them.

mod breaker;
mod kafka;
mod mapper;
mod observed;
mod outcome;
mod poison;
mod properties;
mod rejections;
mod script;
mod sink;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mapper_core::dead_letter::{DeadLetters, HeaderSet, Origin};
use mapper_core::decision::{Route, RouteIndex, Routes, TopicLimits};
use mapper_core::record::{Batch, Positions};
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_core::topic_table::TopicNames;
use mapper_core::verdict::{FailureKind, Verdicts};
use mapper_pipeline::{
    BreakerRecords, BreakerSettings, Clock, CommitPolicy, Driver, FailurePolicy, Fetched, ManualClock, Mapper,
    Outgoing, Parts, Rejection, RejectionCause, Settings, Sink, SinkError, Source, SourceError, StepOutcome,
};
use mapper_state::StateClaim;
use mapper_state::in_flight::{InFlightMarkers, WorkerMarker};
use mapper_versions::WorkerSlot;

use kafka::Fake;
use mapper::{ByValue, Handled, handled};
use observed::{Observed, Watch};
use outcome::{Produced, Told};
use script::{Call, Event, Revoke, Script};

/// The settings of a test.
#[derive(Debug, Clone, Copy)]
struct Work {
    interval: Duration,
    records: usize,
    bytes: usize,
    batch_records: usize,
    failures: FailurePolicy,
    poison_after: u32,
    ends_by_itself: bool,
}

/// Failures open no breaker and halt nothing.
const CALM: FailurePolicy = FailurePolicy {
    halt_on_error_ratio: None,
    error_ratio_window: 1,
    breaker: BreakerSettings { after: 0, records: BreakerRecords::DeadLetter, retry: Duration::from_millis(1) },
};

/// All records in one transaction.
const ALL_AT_ONCE: Work = Work {
    interval: Duration::from_secs(60),
    records: 1000,
    bytes: usize::MAX,
    batch_records: 100,
    failures: CALM,
    poison_after: 3,
    ends_by_itself: true,
};

/// The pipeline of these tests.
type TestDriver = Driver<Fake, Fake, WorkerSlot<ByValue>>;

/// The topics, with outputs of at most 1000 bytes.
fn routes() -> Routes {
    let route = |topic: &str, max_record_bytes| Route {
        topic: topic.into(),
        limits: TopicLimits { max_record_bytes, ..TopicLimits::default() },
    };
    Routes {
        outputs: vec![route("reduced", 1000), route("other", 1000)],
        dead_letters: route("dlq", 4000),
        added_bytes: 0,
    }
}

/// Starts a new process.
fn start(fake: &Fake, work: Work, observed: &Arc<Observed>) -> TestDriver {
    start_with(fake, work, observed, routes())
}

fn start_with(fake: &Fake, work: Work, observed: &Arc<Observed>, routes: Routes) -> TestDriver {
    let Work { interval, records, bytes, batch_records, failures, ends_by_itself, .. } = work;
    let settings = Settings {
        worker: 7,
        topic: "visits".into(),
        routes: Arc::new(routes),
        commit: CommitPolicy { interval, records, bytes },
        batch_records,
        provenance: true,
        failures,
        ends_by_itself,
    };
    let text = |text: &str| text.to_owned();
    let origin = Origin {
        group: text("readers"),
        worker: 0,
        plugin_name: text("by-value"),
        plugin_version: text("1.0.0"),
        plugin_digest: text("v0"),
        contract: "1.0.0",
    };
    fake.join();
    let markers = fake.kafka().markers.clone();
    let clock = fake.kafka().clock.clone();
    let shutdown = fake.kafka().shutdown.clone();
    let parts = Parts {
        source: fake.clone(),
        mapper: ByValue(fake.clone()),
        sink: fake.clone(),
        versions: versions::join(fake),
        in_flight: Box::new(WorkerMarker::new(markers, settings.worker)),
        observer: Box::new(Watch(observed.clone())),
        clock,
        dead_letters: DeadLetters::new(
            origin,
            HeaderSet::Full,
            TopicLimits { max_record_bytes: 4000, ..TopicLimits::default() },
        ),
        shutdown,
    };
    Driver::new(parts, &settings)
}

/// Checks that committed records are complete, nothing else is visible, the order is kept, and the counts are right.
fn check(fake: &Fake, observed: &Observed) {
    let kafka = fake.kafka();
    let may_be_refused = kafka.script.iter().any(|(_, _, event)| *event == Event::Refused)
        || kafka.limits.iter().any(|limits| *limits != TopicLimits::default());
    let mut made: BTreeMap<(i32, i64), Vec<(RouteIndex, &Produced)>> = BTreeMap::new();
    for (route, topic) in kafka.topics.iter().enumerate() {
        let mut last: BTreeMap<i32, i64> = BTreeMap::new();
        for record in topic {
            let (partition, offset) = record.of;
            let before = last.insert(partition, offset).unwrap_or(-1);
            assert!(before <= offset, "topic {route}, partition {partition}: {offset} after {before}");
            made.entry(record.of).or_default().push((route, record));
        }
    }
    for (partition, inputs) in &kafka.inputs {
        let committed = kafka.committed.get(partition).copied().unwrap_or(0);
        for (offset, value) in inputs {
            let made = made.remove(&(*partition, *offset)).unwrap_or_default();
            let letters = made.iter().filter(|(route, _)| *route == 2).map(|(_, made)| made.header("mapper-host.kind"));
            let letters: Vec<&str> = letters.collect();
            let what = format!("{value} at {partition}:{offset}, committed {committed}");
            match handled(value) {
                _ if *offset >= committed => assert!(made.is_empty(), "{what} is visible: {made:?}"),
                _ if may_be_refused && made.len() == 1 && letters == ["undeliverable"] => {}
                Handled::OutputOr(kind) => {
                    assert!(made.len() == 1 && (letters.is_empty() || letters == [kind.name()]), "{what}: {made:?}");
                }
                Handled::DeadLetter(kind) => {
                    assert_eq!((letters, made.len()), (vec![kind.name()], 1), "{what}");
                }
                Handled::Outputs(mut outputs) => {
                    outputs.sort_by_key(|(route, _)| *route);
                    let made: Vec<_> = made.into_iter().map(|(route, made)| (route, made.value.clone())).collect();
                    assert_eq!(made, outputs, "{what}");
                }
            }
        }
    }
    assert!(made.is_empty(), "made of nothing: {made:?}");
    kafka.versions.check(kafka.topics.iter().flatten());
    let counts = observed.counts();
    let told = Told {
        transactions: observed.transactions(),
        records_in: counts.records_in,
        records_out: counts.records_out,
        skipped: counts.skipped,
        dead_letters: counts.by_kind().map(|(kind, count)| (kind.name().to_owned(), count)).collect(),
    };
    assert_eq!(told, kafka.told, "the counts are those of the topics");
}

/// Runs until the end, a shutdown or a halt; then checks the invariants.
fn run(fake: &Fake, work: Work) -> Result<(), Halt> {
    let observed = Arc::default();
    let ended = start(fake, work, &observed).run();
    check(fake, &observed);
    ended
}

fn ones(count: usize) -> Vec<&'static str> {
    vec!["one"; count]
}

fn log(fake: &Fake) -> String {
    fake.kafka().log.join(", ")
}

fn committed(fake: &Fake) -> Vec<(i32, i64)> {
    fake.kafka().committed.iter().map(|(partition, offset)| (*partition, *offset)).collect()
}

fn revoke(partitions: &[i32], lost: bool) -> Event {
    Event::Revoke(Revoke { partitions: partitions.to_vec(), lost, records_elsewhere: 0, back_after: 1 })
}

fn everything_was_done(fake: &Fake) {
    let kafka = fake.kafka();
    assert_eq!(kafka.committed, kafka.ends);
}

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
    let fake = Fake::new(&[ones(2)], vec![(Call::Fetch, 200, Event::Shutdown)]);
    fake.kafka().until_end = false;
    run(&fake, Work { interval: Duration::ZERO, ..ALL_AT_ONCE }).unwrap();
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
