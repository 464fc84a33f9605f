//! The loop on an in-memory Kafka: the expected result of each failure, one rule a test; `properties` combines them.

mod breaker;
mod kafka;
mod ledger;
mod mapper;
mod observed;
mod outage;
mod outcome;
mod poison;
mod properties;
mod rejections;
mod script;
mod sink;
mod transactions;
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
    BreakerRecords, BreakerSettings, Clock, CommitPolicy, Driver, FailurePolicy, Fetched, LedgerNames, ManualClock,
    Mapper, Outgoing, Parts, Rejection, RejectionCause, Settings, Sink, SinkError, Source, SourceError, StepOutcome,
    Unavailable,
};
use mapper_state::StateClaim;
use mapper_state::in_flight::{InFlightMarkers, WorkerMarker};
use mapper_versions::WorkerSlot;

use kafka::Fake;
use mapper::{ByValue, Handled, handled};
use observed::{Observed, Watch};
use outcome::{CommittedCounts, Produced};
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
        ledger: None,
        states: None,
        added_bytes: 0,
    }
}

/// The index of the ledger topic.
const LEDGER: RouteIndex = 3;

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
        ledger: LedgerNames::default(),
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
    let observed = CommittedCounts {
        transactions: observed.transactions(),
        records_in: counts.records_in,
        records_out: counts.records_out,
        skipped: counts.skipped,
        dead_letters: counts.by_kind().map(|(kind, count)| (kind.name().to_owned(), count)).collect(),
    };
    assert_eq!(observed, kafka.confirmed, "the counts are those of the topics");
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
