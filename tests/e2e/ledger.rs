//! The ledger: the ranges of each partition are contiguous up to the committed offset, and their sums are those of the topics.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use harness::changes;
use harness::host::Job;
use harness::kafka::Kafka;
use harness::topics;
use mapper_core::ledger::{LedgerRange, LedgerRecord, RangeStart};

use crate::delivery::{QUICK, check, produced, visit, wait_for};
use crate::{HOST, reduce_visit};

/// Creates a ledger topic.
pub(crate) fn ledger_topic(kafka: &Kafka) -> String {
    let ledger = topics::unique("ledger");
    topics::create(kafka, &ledger, 1, &[]);
    ledger
}

fn ranges(kafka: &Kafka, ledger: &str) -> Vec<LedgerRange<'static>> {
    let records = topics::read_all(kafka, ledger);
    let parse = |record: &topics::Record| match LedgerRecord::parse(record.value.as_deref().unwrap_or_default()) {
        Ok(LedgerRecord::Input(range)) => {
            let key = format!("{}/{}", range.topic, range.partition);
            assert_eq!(record.key.as_deref(), Some(key.as_bytes()));
            range
        }
        other => panic!("{record:?}: {other:?}"),
    };
    records.iter().map(parse).collect()
}

/// Checks that the ranges of each partition cover all up to the committed offset, once. Returns all ranges.
fn check_ranges(job: &Job<'_>, ledger: &str) -> Vec<LedgerRange<'static>> {
    let all = ranges(job.kafka, ledger);
    let mut ends: BTreeMap<i32, i64> = BTreeMap::new();
    for range in &all {
        let end = ends.insert(range.partition, range.last + 1);
        let expected = if end.is_none() { RangeStart::FirstRecord } else { RangeStart::Committed };
        assert_eq!((range.start, range.first), (expected, end.unwrap_or(0)), "{range:?}");
        let offsets = range.records + range.without_record + range.missed;
        assert_eq!(i64::try_from(offsets).unwrap(), range.last + 1 - range.first, "{range:?}");
        assert_eq!((&*range.group, &*range.topic, range.plugin.len()), (&*job.group, &*job.input, 64));
        assert!(range.topic_id.is_some() && !range.host.is_empty(), "{range:?}");
    }
    let committed = topics::committed(job.kafka, &job.group, &job.input);
    let committed: BTreeMap<i32, i64> = committed.into_iter().filter_map(|(p, next)| Some((p, next?))).collect();
    assert_eq!(ends, committed);
    all
}

fn sum(ranges: &[LedgerRange<'_>], count: impl Fn(&LedgerRange<'_>) -> u64) -> usize {
    usize::try_from(ranges.iter().map(count).sum::<u64>()).unwrap()
}

#[test]
fn ledger_is_contiguous_after_kills_and_rebalances() {
    const VISITS: usize = 60_000;
    let job = Job::new(Kafka::shared(), "ledger", HOST, &reduce_visit());
    let ledger = ledger_topic(job.kafka);
    topics::produce(job.kafka, &job.input, (0..VISITS).map(visit));
    let small = ["--commit-interval", "10ms", "--commit-records", "500", "--ledger-topic", &ledger];
    let args: Vec<&str> = QUICK.into_iter().chain(small).collect();
    let steps: Vec<&str> =
        args.iter().copied().chain(["--log-format", "json", "--log-level", "warn,step=trace"]).collect();
    for step in ["sent", "offsets sent", "committed"] {
        for times in [1, 4] {
            job.kill_at(&steps, &["\"target\":\"step\"", &format!("\"message\":\"{step}\"")], times);
        }
    }
    let first = job.start(&args);
    let before = produced(&job);
    wait_for("progress", Duration::from_secs(60), || produced(&job) > before);
    let second = job.start(&args);
    thread::sleep(Duration::from_millis(500));
    first.kill();
    let ended = second.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    job.run_to_end(&args);
    check(&job, VISITS, false);
    let ranges = check_ranges(&job, &ledger);
    assert_eq!(sum(&ranges, |range| range.records), VISITS);
    assert_eq!(sum(&ranges, |range| range.counts.outputs.values().sum()), VISITS / 2);
    assert_eq!(sum(&ranges, |range| range.counts.dead_letters.get("rejected").copied().unwrap_or(0)), VISITS / 2);
    assert_eq!(sum(&ranges, |range| range.without_record + range.counts.skipped), 0);
}

#[test]
fn records_that_were_removed_before_they_were_read_are_missed_in_the_ledger() {
    let job = Job::new(Kafka::shared(), "ledger-gap", HOST, &reduce_visit());
    let ledger = ledger_topic(job.kafka);
    topics::produce(job.kafka, &job.input, (0..100).map(visit));
    job.run_to_end(&["--ledger-topic", &ledger]);
    topics::produce(job.kafka, &job.input, (100..200).map(visit));
    changes::delete_records(job.kafka, &job.input, 0, 70);
    job.run_to_end(&["--ledger-topic", &ledger]);
    let ranges = check_ranges(&job, &ledger);
    assert_eq!((sum(&ranges, |range| range.missed), sum(&ranges, |range| range.records)), (20, 180));
}

#[test]
fn missing_ledger_topic_is_an_error_and_is_created_with_one_partition() {
    let kafka = Kafka::shared();
    let job = Job::new(kafka, "ledger-created", HOST, &reduce_visit());
    topics::produce(kafka, &job.input, (0..10).map(visit));
    let ledger = topics::unique("ledger");
    let ended = job.start(&["--ledger-topic", &ledger]).wait();
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    assert!(ended.output.contains(&format!("the topic '{ledger}' doesn't exist")), "{}", ended.output);
    job.run_to_end(&["--ledger-topic", &ledger, "--create-topics", "3"]);
    assert_eq!(topics::end_offsets(kafka, &ledger).len(), 1);
    assert_eq!(sum(&check_ranges(&job, &ledger), |range| range.records), 10);
}
