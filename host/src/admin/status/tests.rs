//! The fields of `/status`.

use mapper_pipeline::contracts::PartitionPosition;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use mapper_core::identity::Digest;
use mapper_core::identity::Identity;
use mapper_core::record::{Batch, Positions};
use mapper_core::verdict::{Failure, FailureKind};
use mapper_pipeline::activity::Activity;
use mapper_telemetry::Failures;
use mapper_telemetry::health::Health;

fn status(entry: &Entry) -> Value {
    let status = status_of(&PipelineRegistry::default(), entry, Instant::now());
    let json = serde_json::to_value(&status).unwrap();
    // A client reads what the server wrote.
    assert_eq!(serde_json::from_value::<Status>(json.clone()).unwrap(), status);
    json
}

/// Checks and removes the times.
fn timeless(mut status: Value) -> Value {
    let mut times = vec![status["host"]["started"].take()];
    if !status["plugin"].is_null() {
        times.push(status["plugin"]["since"].take());
    }
    for time in times {
        let text = time.as_str().unwrap();
        assert!(DateTime::parse_from_rfc3339(text).is_ok() && text.ends_with('Z'), "{text}");
    }
    status
}

#[test]
fn status_of_a_new_pipeline_has_empty_fields() {
    let expected = json!({
        "pipeline": "p", "state": "starting", "generation": 1, "config_error": null,
        "ready": true, "not_ready": [], "stuck": [],
        "versions": null,
        "host": {"version": env!("CARGO_PKG_VERSION"), "started": null, "uptime_seconds": 0},
        "plugin": null,
        "work": {"delivery": "", "group": "", "input_topic": "", "output_topics": [], "dead_letter_topic": ""},
        "counts": {
            "records_in": 0, "records_out": 0, "skipped": 0, "dead_letters": 0, "dead_letters_by_kind": {},
            "transactions": 0, "aborts": 0, "rebalances": 0, "records_missed": 0, "topic_recreations": {}, "instance_renewals": {}, "breaker_openings": 0, "thread_panics": {},
        },
        "rates": {
            "records_in_per_second": 0.0, "records_out_per_second": 0.0, "dead_letters_per_second": 0.0,
            "over_seconds": 0.0,
        },
        "workers": [], "partitions": [], "failures": [], "failures_in_other_groups": 0, "dead_letters": null,
    });
    assert_eq!(timeless(status(&Entry::new("p", 1))), expected);
}

#[test]
fn status_of_a_running_pipeline_has_all_fields() {
    let entry = Entry::new("p", 1);
    let telemetry = &entry.telemetry;
    let text = |text: &str| text.to_owned();
    telemetry.about.set_work(mapper_telemetry::Work {
        delivery: text("exactly-once"),
        group: text("readers"),
        input_topic: text("visits"),
        output_topics: vec![text("reduced"), text("other")],
        dead_letter_topic: text("dlq"),
    });
    let digest = Digest::hash_bytes(b"plugin");
    let identity = Identity { name: text("p"), version: text("1.0"), digest, bytes: 7, contract: "1.0.0" };
    telemetry.about.set_plugin(identity, "plugins/p.wasm".into());
    telemetry.workers.set_member(&telemetry.health, 1, false);
    telemetry.guests.renewed(Renewal::Memory);
    telemetry.guests.set_memory(1, 4096);
    telemetry.breakers.opened(&Health::default(), 1, "trap: unreachable");
    let worker = telemetry.workers.worker(1);
    worker.set_activity(Activity::Mapping);
    worker.set_positions(&mut [at(0, Some(12), Some(20)), at(3, None, None)].into_iter());
    worker.committed(&Positions::from([(0, 10)]));
    let mut counts = Counts::default();
    telemetry.rates.take(Instant::now() - Duration::from_secs(5), counts.clone());
    (counts.records_in, counts.records_out) = (10, 9);
    counts.dead_letter(FailureKind::Trap);
    telemetry.committed(&counts, Duration::from_millis(20));
    telemetry.aborted();
    telemetry.threads.panicked("report", mapper_telemetry::Role::Watcher);
    telemetry.topics.add_missed(4);
    telemetry.topics.recreated("visits");
    let mut batch = Batch::new("visits");
    batch.push((0, 9), 0, None, None, std::iter::empty());
    let mut failures = Failures::default();
    let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    failures.note("0123456789abcdef", batch.record(0), &Failure::new(FailureKind::Trap, "unreachable"), at);
    telemetry.committed_failures(failures);
    telemetry.dead_letters.set(mapper_telemetry::OpenLetters {
        groups_by_state: vec![("new", 2)],
        open: 9,
        oldest: Some(at),
        is_estimate: true,
    });
    let hint = RedriveHint { fingerprint: text("0a"), tried: 5, passed: 4, command: text("mapper-host dlq redrive") };
    telemetry.dead_letters.set_redrivable(vec![hint]);
    telemetry.dead_letters.failed(text("Kafka refuses"));

    let mut status = timeless(status(&entry));
    let rate = status["rates"].take();
    assert!((1.5..=2.0).contains(&rate["records_in_per_second"].as_f64().unwrap()), "{rate}");
    assert!(rate["over_seconds"].as_f64().unwrap() >= 5.0, "{rate}");
    let expected = json!({
        "pipeline": "p", "state": "starting", "generation": 1, "config_error": null,
        "ready": false, "not_ready": [{"component": "group", "reason": "not in the group yet: worker 1"}], "stuck": [],
        "versions": null,
        "host": {"version": env!("CARGO_PKG_VERSION"), "started": null, "uptime_seconds": 0},
        "plugin": {
            "name": "p", "version": "1.0", "digest": digest.to_string(), "contract": "1.0.0",
            "file": "plugins/p.wasm", "bytes": 7, "since": null,
        },
        "work": {
            "delivery": "exactly-once", "group": "readers", "input_topic": "visits",
            "output_topics": ["reduced", "other"], "dead_letter_topic": "dlq",
        },
        "counts": {
            "records_in": 10, "records_out": 9, "skipped": 0, "dead_letters": 1, "dead_letters_by_kind": {"trap": 1},
            "transactions": 1, "aborts": 1, "rebalances": 0, "records_missed": 4, "topic_recreations": {"visits": 1}, "instance_renewals": {"memory": 1}, "breaker_openings": 1, "thread_panics": {"report": 1},
        },
        "rates": null,
        "workers": [{"worker": 1, "activity": "mapping", "activity_seconds": 0.0, "partitions": ["0", "3"],
            "guest_memory_bytes": 4096, "breaker_open": "trap: unreachable"}],
        "partitions": [
            {"topic": "visits", "partition": 0, "worker": 1, "position": 12, "committed": 10, "end": 20, "lag": 8},
            {"topic": "visits", "partition": 3, "worker": 1, "position": null, "committed": null, "end": null, "lag": null},
        ],
        "failures": [{
            "fingerprint": "0123456789abcdef", "kind": "trap", "count": 1,
            "first_seen": "2023-11-14T22:13:20.000Z", "last_seen": "2023-11-14T22:13:20.000Z",
            "example": {"topic": "visits", "partition": 0, "offset": 9, "message": "unreachable", "input": null},
        }],
        "failures_in_other_groups": 0,
        "dead_letters": {
            "up": false, "error": "Kafka refuses", "open": 9, "estimated": true, "oldest_failed": "2023-11-14T22:13:20.000Z",
            "groups_by_state": {"new": 2},
            "redrivable": [{"fingerprint": "0a", "tried": 5, "passed": 4, "command": "mapper-host dlq redrive"}],
        },
    });
    assert_eq!(status, expected);
    telemetry.workers.set_member(&telemetry.health, 1, true);
    assert_eq!(super::tests::status(&entry)["ready"], true);
}

fn at(partition: i32, position: Option<i64>, end: Option<i64>) -> PartitionPosition {
    PartitionPosition { partition, position, end }
}
