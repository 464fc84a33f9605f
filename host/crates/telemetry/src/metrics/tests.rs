//! Checks the rendered text against the rules of OpenMetrics and the naming conventions of Prometheus.

use mapper_pipeline::contracts::PartitionPosition;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::{Failures, GroupRegistry, OpenLetters, Work};
use mapper_api::versions::{Step, SwapOutcome};
use mapper_core::counts::Counts;
use mapper_core::identity::Digest;
use mapper_core::record::{Batch, Positions};
use mapper_core::verdict::{Failure, FailureKind};

/// Checks the rules and returns all samples by name and labels.
fn checked(text: &str) -> BTreeMap<String, f64> {
    let mut types: BTreeMap<String, String> = BTreeMap::new();
    let (mut helped, mut samples) = (BTreeSet::new(), BTreeMap::new());
    let mut lines = text.lines();
    assert_eq!(lines.next_back(), Some("# EOF"));
    for line in lines {
        if let Some(comment) = line.strip_prefix("# ") {
            let [what, name, rest] = comment.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            match what {
                "HELP" => assert!(rest.len() > 5 && helped.insert(name.to_owned()), "{line}"),
                "TYPE" => assert!(types.insert(name.to_owned(), rest.to_owned()).is_none(), "twice: {line}"),
                "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (key, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        let name = key.split('{').next().unwrap();
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{line}");
        assert!(name.starts_with("mapper_host_") || name.starts_with("process_"), "{line}");
        let mut suffixes = ["_total", "_info", "_bucket", "_sum", "_count", ""].into_iter();
        let family = suffixes.find_map(|suffix| {
            Some((name.strip_suffix(suffix)?, suffix)).filter(|(family, _)| types.contains_key(*family))
        });
        let (family, suffix) = family.unwrap_or_else(|| panic!("no TYPE before: {line}"));
        let fits: &[&str] = match &*types[family] {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_sum", "_count"],
            other => panic!("{other}: {line}"),
        };
        assert!(fits.contains(&suffix), "{line}");
        assert!(helped.contains(family), "no HELP: {line}");
        for unit in ["seconds", "bytes"] {
            // A unit is in the name only where it is declared.
            assert_eq!(family.contains(unit), text.contains(&format!("# UNIT {family} {unit}\n")), "{line}");
        }
        assert!(samples.insert(key.to_owned(), value).is_none(), "twice: {line}");
    }
    samples
}

fn sample(name: &str) -> PipelineSample {
    PipelineSample {
        name: name.to_owned(),
        generation: 1,
        is_ready: true,
        plugin: None,
        swaps: SwapSample {
            by_outcome: SwapOutcome::ALL.map(|outcome| (outcome.name(), 0)).to_vec(),
            refused_by_step: Step::ALL.map(|step| (step.name(), 0)).to_vec(),
            rollbacks_by_trigger: vec![("rollback", 0), ("probation", 0)],
        },
        telemetry: Arc::default(),
    }
}

fn rendered(pipelines: Vec<PipelineSample>) -> String {
    let alerts = Arc::<AlertCounts>::default();
    alerts.count_post();
    alerts.count_dropped(3);
    render(ProcessSample { started: Utc::now(), has_config_error: false, alerts }, pipelines).unwrap()
}

/// The name of a sample without the label `pipeline`, made that of the pipeline of these tests.
fn of_pipeline(sample: &str) -> String {
    let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
    match labels {
        "}" => format!("{name}{{pipeline=\"p\"}}"),
        // The limit of a bucket comes before the labels of its family.
        _ if labels.starts_with("le=") => format!("{name}{{{},pipeline=\"p\"}}", labels.trim_end_matches('}')),
        _ => format!("{name}{{pipeline=\"p\",{labels}"),
    }
}

fn plugin() -> PluginLabels {
    PluginLabels {
        name: "odd \"name\"\\\nof two lines".into(),
        version: "1.0".into(),
        digest: Digest::hash_bytes(b"plugin").to_string(),
        contract: "1.0.0",
    }
}

#[test]
fn new_pipeline_has_zeros() {
    let samples = checked(&rendered(vec![sample("p")]));
    assert_eq!(samples[&of_pipeline("mapper_host_records_in_total")], 0.0);
    assert_eq!(samples[&of_pipeline("mapper_host_ready")], 1.0);
    for kind in FailureKind::ALL {
        assert_eq!(samples[&of_pipeline(&format!("mapper_host_dead_letters_total{{kind=\"{kind}\"}}"))], 0.0);
    }
    assert!(samples.keys().all(|key| !key.contains("plugin_info") && !key.contains("partition")), "{samples:?}");
    assert!(samples["process_start_time_seconds"] > 1.7e9);
}

/// The names of all states of groups of dead letters.
const GROUP_STATES: [&str; 6] = ["regressed", "new", "ongoing", "acknowledged", "muted", "resolved"];

#[test]
fn dead_letters_have_samples_once_they_were_read_and_keep_them_after_an_error() {
    let pipeline = sample("p");
    let letters = &pipeline.telemetry.dead_letters;
    let names = |samples: &BTreeMap<String, f64>| {
        let families = ["dead_letters_open", "dead_letter_oldest", "dead_letter_watch", "dead_letter_groups"];
        let of_watch = |key: &&String| families.iter().any(|family| key.contains(family));
        samples.iter().filter(|(key, _)| of_watch(key)).map(|(_, value)| *value).collect::<Vec<_>>()
    };
    let shown = || names(&checked(&rendered(vec![pipeline.clone()])));
    assert!(shown().is_empty(), "a pipeline without a watch has no samples");
    letters.loading();
    assert_eq!(shown(), [0.0]);
    letters.set(OpenLetters { groups_by_state: vec![("new", 1)], open: 3, oldest: None, is_estimate: false });
    assert_eq!(shown(), [1.0, 0.0, 1.0, 3.0]);
    letters.failed("Kafka refuses".to_owned());
    assert_eq!((shown(), letters.error().as_deref()), (vec![1.0, 0.0, 0.0, 3.0], Some("Kafka refuses")));
}

/// Commits a dead letter.
fn fail(telemetry: &Telemetry) {
    let mut batch = Batch::new("visits");
    batch.push((0, 0), 0, None, None, std::iter::empty());
    let mut failures = Failures::default();
    failures.note("0a", batch.record(0), &Failure::new(FailureKind::Trap, "unreachable"), Utc::now());
    telemetry.set_known_groups(GroupRegistry::default().of_pipeline("p"));
    telemetry.committed_failures(failures);
}

/// The text with a sample of every metric.
pub(super) fn with_every_metric() -> String {
    let sample = PipelineSample { plugin: Some(plugin()), is_ready: false, ..sample("p") };
    let telemetry = &sample.telemetry;
    telemetry.about.set_work(Work {
        input_topic: "visits".into(),
        dead_letter_topic: "letters".into(),
        ..Work::default()
    });
    let mut counts = Counts::default();
    (counts.records_in, counts.records_out, counts.skipped) = (10, 7, 1);
    counts.dead_letter(FailureKind::Trap);
    counts.dead_letter(FailureKind::Trap);
    telemetry.committed(&counts, Duration::from_millis(20));
    fail(telemetry);
    telemetry.mapped(10, Duration::from_micros(120));
    telemetry.aborted();
    telemetry.threads.panicked("report", crate::Role::Watcher);
    telemetry.topics.add_missed(40);
    telemetry.topics.recreated("visits");
    telemetry.rebalanced();
    telemetry.rebalanced();
    let worker = telemetry.workers.worker(1);
    worker.set_positions(&mut [at(3, Some(10), Some(25)), at(4, None, None)].into_iter());
    worker.committed(&Positions::from([(3, 8)]));
    telemetry.workers.worker(2);
    telemetry.guests.renewed(Renewal::Failure);
    telemetry.guests.set_memory(2, 65536);
    telemetry.breakers.opened(&telemetry.health, 2, "trap: unreachable");
    telemetry.dead_letters.set(OpenLetters {
        groups_by_state: GROUP_STATES.into_iter().zip([1, 2, 0, 0, 0, 3]).collect(),
        open: 12,
        oldest: Some(Utc::now() - chrono::Duration::hours(1)),
        is_estimate: false,
    });
    telemetry.dead_letters.add(5, 2);
    rendered(vec![sample])
}

#[test]
fn all_counts_have_samples() {
    let text = with_every_metric();
    let samples = checked(&text);
    let digest = Digest::hash_bytes(b"plugin");
    let plugin = format!(
        "mapper_host_plugin_info{{name=\"odd \\\"name\\\"\\\\\\nof two lines\",version=\"1.0\",digest=\"{digest}\",\
         contract=\"1.0.0\"}}"
    );
    for (key, value) in [
        ("mapper_host_records_in_total", 10.0),
        ("mapper_host_records_out_total", 7.0),
        ("mapper_host_records_skipped_total", 1.0),
        ("mapper_host_dead_letters_total{kind=\"trap\"}", 2.0),
        ("mapper_host_dead_letters_total{kind=\"timeout\"}", 0.0),
        ("mapper_host_failure_groups_total", 1.0),
        ("mapper_host_transactions_total", 1.0),
        ("mapper_host_aborts_total", 1.0),
        ("mapper_host_rebalances_total", 2.0),
        ("mapper_host_records_missed_total", 40.0),
        ("mapper_host_topic_recreations_total{topic=\"visits\"}", 1.0),
        ("mapper_host_topic_recreations_total{topic=\"letters\"}", 0.0),
        ("mapper_host_commit_seconds_sum", 0.02),
        ("mapper_host_commit_seconds_bucket{le=\"0.01\"}", 0.0),
        ("mapper_host_commit_seconds_bucket{le=\"0.025\"}", 1.0),
        ("mapper_host_batch_mapping_seconds_count", 1.0),
        ("mapper_host_batch_mapping_seconds_bucket{le=\"0.0001\"}", 0.0),
        ("mapper_host_batch_mapping_seconds_bucket{le=\"0.00025\"}", 1.0),
        ("mapper_host_batch_records_sum", 10.0),
        ("mapper_host_batch_records_bucket{le=\"+Inf\"}", 1.0),
        ("mapper_host_instance_renewals_total{reason=\"failure\"}", 1.0),
        ("mapper_host_instance_renewals_total{reason=\"memory\"}", 0.0),
        ("mapper_host_guest_memory_bytes{worker=\"2\"}", 65536.0),
        ("mapper_host_breaker_open{worker=\"1\"}", 0.0),
        ("mapper_host_breaker_open{worker=\"2\"}", 1.0),
        ("mapper_host_breaker_openings_total", 1.0),
        ("mapper_host_thread_panics_total{thread=\"report\"}", 1.0),
        ("mapper_host_spans_sent_total", 0.0),
        ("mapper_host_spans_dropped_total", 0.0),
        ("mapper_host_ready", 0.0),
        ("mapper_host_partition_lag_records{topic=\"visits\",partition=\"3\"}", 15.0),
        ("mapper_host_partition_position{topic=\"visits\",partition=\"3\"}", 10.0),
        ("mapper_host_partition_committed{topic=\"visits\",partition=\"3\"}", 8.0),
        ("mapper_host_partition_end{topic=\"visits\",partition=\"3\"}", 25.0),
        ("mapper_host_dead_letter_watch_up", 1.0),
        ("mapper_host_dead_letter_groups{state=\"new\"}", 2.0),
        ("mapper_host_dead_letter_groups{state=\"muted\"}", 0.0),
        ("mapper_host_dead_letters_open", 12.0),
        ("mapper_host_dead_letters_redriven_total", 5.0),
        ("mapper_host_dead_letters_failed_again_total", 2.0),
        (&plugin, 1.0),
    ] {
        assert_eq!(samples.get(&of_pipeline(key)), Some(&value), "{key} in {text}");
    }
    let age = samples[&of_pipeline("mapper_host_dead_letter_oldest_open_age_seconds")];
    assert!((3600.0..7200.0).contains(&age), "{age}");
    assert!(samples.keys().all(|key| !key.contains("partition=\"4\"")), "an unknown position has no sample");
    assert!(samples.keys().any(|key| key.starts_with("mapper_host_build_info{version=")), "{text}");
    for (name, value) in [("posts", 1.0), ("post_failures", 0.0)] {
        assert_eq!(samples[&format!("mapper_host_alert_{name}_total")], value, "{name}");
    }
    assert_eq!(samples["mapper_host_alerts_dropped_total"], 3.0);
    if cfg!(target_os = "linux") {
        for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
            assert!(samples.contains_key(name), "{name} in {text}");
        }
    }
}

fn at(partition: i32, position: Option<i64>, end: Option<i64>) -> PartitionPosition {
    PartitionPosition { partition, position, end }
}

#[test]
fn each_pipeline_has_its_own_samples_of_one_family() {
    let pipelines = vec![sample("p"), sample("q")];
    pipelines[0].telemetry.aborted();
    pipelines[0].telemetry.workers.worker(0);
    let samples = checked(&rendered(pipelines));
    assert_eq!(samples["mapper_host_aborts_total{pipeline=\"p\"}"], 1.0);
    assert_eq!(samples["mapper_host_aborts_total{pipeline=\"q\"}"], 0.0);
    assert!(samples.contains_key("mapper_host_breaker_open{pipeline=\"p\",worker=\"0\"}"), "{samples:?}");
    let of_process = |key: &str| {
        key.starts_with("process_") || ["build_info", "config_error", "alert"].iter().any(|name| key.contains(name))
    };
    assert!(samples.keys().all(|key| of_process(key) || key.contains("pipeline=\"")), "{samples:?}");
}
