//! `/status`: the state of the host, as JSON. `docs/http-api.md` is made of these comments.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::json::Json;
use super::pipelines::OfPipeline;
use crate::pipelines::{Entry, PipelineRegistry};
use crate::telemetry::{Counts, Group, Mapping, Place, Renewal, Telemetry, Worker};

pub(super) fn routes() -> Router<Arc<PipelineRegistry>> {
    Router::new().route("/status", get(status))
}

async fn status(State(registry): State<Arc<PipelineRegistry>>, OfPipeline(entry): OfPipeline) -> Json<Status> {
    Json(Status::of(&registry, &entry, Instant::now()))
}

/// The state of the host. Times are UTC in RFC 3339.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Status {
    /// The name of the pipeline.
    pipeline: String,
    /// `starting`, `running`, `restarting` after it halted, `halted` for good, or `ended`.
    state: &'static str,
    /// How often it was started, this time included.
    generation: u64,
    /// Whether `/readyz` says ready.
    ready: bool,
    /// Why the host is not ready; empty if it is.
    not_ready: Vec<Reason>,
    /// Why the file of settings, as it is now, was not applied; null if it was, or there is none.
    config_error: Option<String>,
    /// Why the process must be restarted, as in `/livez`; usually empty.
    stuck: Vec<String>,
    /// The process.
    host: Host,
    /// The active plugin; null until it is loaded.
    plugin: Option<Plugin>,
    /// The topics, the group and the delivery guarantee.
    work: Work,
    /// Counts since the start.
    counts: Totals,
    /// Rates over the last seconds.
    rates: Rates,
    /// The workers.
    workers: Vec<WorkerStatus>,
    /// The partitions of the input topic that this host has.
    partitions: Vec<Partition>,
    /// The versions of the plugin: the active one, the last swap, the probation and the shadow; null while the host starts.
    versions: Option<crate::swap::report::Status>,
    /// Failures, grouped by fingerprint, the latest first.
    failures: Vec<FailureGroup>,
    /// The number of failures in groups beyond the limit.
    failures_in_other_groups: u64,
}

/// A reason why the host is not ready.
#[derive(Debug, Serialize, JsonSchema)]
struct Reason {
    /// The part that is not ready, such as `group` or `kafka`.
    who: &'static str,
    /// The reason.
    why: String,
}

/// The process.
#[derive(Debug, Serialize, JsonSchema)]
struct Host {
    version: &'static str,
    /// The time of its start.
    started: String,
    uptime_seconds: u64,
}

/// The active plugin.
#[derive(Debug, Serialize, JsonSchema)]
struct Plugin {
    name: String,
    version: String,
    /// The SHA-256 of the file.
    digest: String,
    /// The version of the contract.
    contract: &'static str,
    /// The file it was read from.
    file: String,
    /// The size of the file.
    bytes: u64,
    /// Since when it is active.
    since: String,
}

/// The topics, the group and the delivery guarantee.
#[derive(Debug, Serialize, JsonSchema)]
struct Work {
    /// `exactly-once` or `at-least-once`.
    delivery: String,
    group: String,
    input_topic: String,
    /// The default one first.
    output_topics: Vec<String>,
    dead_letter_topic: String,
}

/// Counts of committed records since the start.
#[derive(Debug, Serialize, JsonSchema)]
struct Totals {
    /// Input records.
    records_in: u64,
    /// Outputs.
    records_out: u64,
    /// Input records without an output.
    skipped: u64,
    /// Dead letters of all kinds.
    dead_letters: u64,
    /// Dead letters by kind of failure, without zeros.
    dead_letters_by_kind: BTreeMap<&'static str, u64>,
    /// Committed transactions.
    transactions: u64,
    /// Aborted transactions.
    aborts: u64,
    /// How many times partitions were revoked.
    rebalances: u64,
    /// Input records that were removed before the host read them, by retention or DeleteRecords.
    records_missed: u64,
    /// How many times each topic was deleted and created again, without zeros.
    topic_recreations: BTreeMap<String, u64>,
    /// Replaced instances of the plugin, by reason, without zeros.
    instance_renewals: BTreeMap<&'static str, u64>,
    /// How many times a breaker opened.
    breaker_openings: u64,
    /// Panics of threads beside the workers, of the pipeline and of the process, by thread, without zeros.
    thread_panics: BTreeMap<&'static str, u64>,
}

/// Rates of committed records over the last seconds.
#[derive(Debug, Serialize, JsonSchema)]
struct Rates {
    records_in_per_second: f64,
    records_out_per_second: f64,
    dead_letters_per_second: f64,
    /// The period of the rates, in seconds.
    over_seconds: f64,
}

/// A worker.
#[derive(Debug, Serialize, JsonSchema)]
struct WorkerStatus {
    worker: usize,
    /// `starting`, `fetching`, `mapping`, `producing`, `committing`, `recovering`, `ended` or `failed`.
    activity: &'static str,
    /// The time in this activity, in seconds.
    activity_seconds: f64,
    /// Its partitions.
    partitions: Vec<i32>,
    /// Linear memory of its instance, after the last batch; null before the first.
    guest_memory_bytes: Option<u64>,
    /// Why its breaker is open, so that it maps nothing; null if the breaker is closed.
    breaker_open: Option<String>,
}

/// A partition of the input topic. Offsets are null if they are not known.
#[derive(Debug, Serialize, JsonSchema)]
struct Partition {
    partition: i32,
    /// The worker that it is assigned to.
    worker: usize,
    /// The offset of the record that is fetched next.
    position: Option<i64>,
    /// The committed offset.
    committed: Option<i64>,
    /// The end offset.
    end: Option<i64>,
    /// Offsets from the position to the end.
    lag: Option<u64>,
}

/// Failures with the same fingerprint.
#[derive(Debug, Serialize, JsonSchema)]
struct FailureGroup {
    /// The header `mapper-host.fingerprint` of the dead letters.
    fingerprint: String,
    kind: &'static str,
    count: u64,
    first_seen: String,
    last_seen: String,
    /// One of the last failures.
    example: Example,
}

/// A failed record.
#[derive(Debug, Serialize, JsonSchema)]
struct Example {
    topic: String,
    partition: i32,
    offset: i64,
    /// The message, cut after some hundred bytes.
    message: String,
    /// The value of the record, cut likewise; null is a tombstone.
    input: Option<String>,
}

impl Status {
    pub(super) fn of(registry: &PipelineRegistry, entry: &Entry, now: Instant) -> Self {
        let telemetry = &*entry.telemetry;
        let reasons: Vec<Reason> = entry.not_ready().into_iter().map(|(who, why)| Reason { who, why }).collect();
        let (about, counts) = (&telemetry.about, telemetry.counts());
        let work = about.work();
        let places = telemetry.workers.places();
        let rate = telemetry.rates.now(now, &counts);
        let failures = telemetry.failures();
        let topic = &work.input_topic;
        Self {
            ready: reasons.is_empty(),
            not_ready: reasons,
            pipeline: entry.name().to_owned(),
            state: entry.state().name(),
            generation: entry.generation(),
            config_error: registry.config_error(),
            stuck: entry.stuck(),
            host: Host {
                version: env!("CARGO_PKG_VERSION"),
                started: time(registry.started()),
                uptime_seconds: registry.uptime().as_secs(),
            },
            plugin: about.plugin().map(Plugin::from),
            counts: Totals::of(telemetry, &counts, registry.threads.panics()),
            rates: Rates {
                records_in_per_second: rounded(rate.records_in),
                records_out_per_second: rounded(rate.records_out),
                dead_letters_per_second: rounded(rate.dead_letters),
                over_seconds: rounded(rate.over.as_secs_f64()),
            },
            workers: of_workers(telemetry, &places),
            versions: entry.versions().and_then(|versions| versions.status()),
            failures: failures.latest().into_iter().map(|(print, group)| of_group(topic, print, group)).collect(),
            failures_in_other_groups: failures.others(),
            partitions: places.into_iter().map(Partition::from).collect(),
            work: Work {
                delivery: work.delivery,
                group: work.group,
                input_topic: work.input_topic,
                output_topics: work.output_topics,
                dead_letter_topic: work.dead_letter_topic,
            },
        }
    }
}

impl Totals {
    fn of(telemetry: &Telemetry, counts: &Counts, of_process: BTreeMap<&'static str, u64>) -> Self {
        let renewals = Renewal::ALL.into_iter().map(|reason| (reason.name(), telemetry.guests.renewals(reason)));
        Self {
            records_in: counts.records_in,
            records_out: counts.records_out,
            skipped: counts.skipped,
            dead_letters: counts.dead_letters(),
            dead_letters_by_kind: counts.by_kind().map(|(kind, count)| (kind.name(), count)).collect(),
            transactions: telemetry.transactions(),
            aborts: telemetry.aborts(),
            rebalances: telemetry.rebalances(),
            records_missed: telemetry.topics.records_missed(),
            topic_recreations: telemetry.topics.recreations(),
            instance_renewals: renewals.filter(|(_, count)| *count > 0).collect(),
            breaker_openings: telemetry.breakers.times_opened(),
            thread_panics: telemetry.threads.panics().into_iter().chain(of_process).collect(),
        }
    }
}

impl From<Mapping> for Plugin {
    fn from(Mapping { identity, file, since }: Mapping) -> Self {
        Self {
            name: identity.name,
            version: identity.version,
            digest: identity.digest.to_string(),
            contract: identity.contract,
            file: file.display().to_string(),
            bytes: identity.bytes,
            since: time(since),
        }
    }
}

impl From<(i32, Place)> for Partition {
    fn from((partition, place): (i32, Place)) -> Self {
        let Place { worker, position, committed, end } = place;
        Self { partition, worker, position, committed, end, lag: place.lag() }
    }
}

fn of_workers(telemetry: &Telemetry, places: &BTreeMap<i32, Place>) -> Vec<WorkerStatus> {
    let (memory, mut open) = (telemetry.guests.memory(), telemetry.breakers.open());
    let of_worker = |(number, worker): (&usize, &Arc<Worker>)| {
        let (activity, took) = worker.activity();
        let partitions = places.iter().filter(|(_, place)| place.worker == *number).map(|(partition, _)| *partition);
        WorkerStatus {
            worker: *number,
            activity: activity.name(),
            activity_seconds: rounded(took.as_secs_f64()),
            partitions: partitions.collect(),
            guest_memory_bytes: memory.get(number).copied(),
            breaker_open: open.remove(number),
        }
    };
    telemetry.workers.all().iter().map(of_worker).collect()
}

fn of_group(topic: &str, fingerprint: &str, group: &Group) -> FailureGroup {
    let example = group.example.clone();
    FailureGroup {
        fingerprint: fingerprint.to_owned(),
        kind: group.kind.name(),
        count: group.count,
        first_seen: time(group.first_seen),
        last_seen: time(group.last_seen),
        example: Example {
            topic: topic.to_owned(),
            partition: example.partition,
            offset: example.offset,
            message: example.message,
            input: example.input,
        },
    }
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;
