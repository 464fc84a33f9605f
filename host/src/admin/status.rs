//! `/status`: the state of the host, as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use chrono::{DateTime, SecondsFormat, Utc};
use mapper_api::status as api;
use mapper_api::status::{
    Example, FailureGroup, Host, Partition, Plugin, Rates, Reason, RedrivableGroup, Status, Totals, Work, WorkerStatus,
};

use super::json::Json;
use super::pipelines::OfPipeline;
use mapper_core::partition_key::PartitionKey;
use mapper_core::topic_table::TopicNames;

use crate::pipelines::{Entry, PipelineRegistry};
use mapper_core::counts::Counts;
use mapper_pipeline::guest::Renewal;
use mapper_telemetry::{DeadLetters, Group, Mapping, RedriveHint, Telemetry, Worker, WorkerPosition};

pub(super) fn routes() -> Router<Arc<PipelineRegistry>> {
    Router::new().route("/status", get(status))
}

async fn status(State(registry): State<Arc<PipelineRegistry>>, OfPipeline(entry): OfPipeline) -> Json<Status> {
    Json(status_of(&registry, &entry, Instant::now()))
}

pub(super) fn status_of(registry: &PipelineRegistry, entry: &Entry, now: Instant) -> Status {
    let telemetry = &*entry.telemetry;
    let reasons: Vec<Reason> = entry
        .not_ready()
        .into_iter()
        .map(|(component, reason)| Reason { component: component.to_owned(), reason })
        .collect();
    let (about, counts) = (&telemetry.about, telemetry.counts());
    let work = about.work();
    let positions = telemetry.workers.positions();
    let failures = telemetry.failures();
    let topics = about.topics();
    Status {
        ready: reasons.is_empty(),
        not_ready: reasons,
        pipeline: entry.name().to_owned(),
        state: entry.state().name().to_owned(),
        generation: entry.generation(),
        config_error: registry.config_error(),
        stuck: entry.stuck(),
        host: Host {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: time(registry.started()),
            uptime_seconds: registry.uptime().as_secs(),
        },
        plugin: about.plugin().map(plugin),
        counts: totals(telemetry, &counts, registry.threads.panics()),
        rates: rates(telemetry, now, &counts),
        workers: of_workers(telemetry, &topics, &positions),
        versions: entry.versions().and_then(|versions| versions.status()),
        failures: failures.latest().into_iter().map(|(print, group)| of_group(print, group)).collect(),
        failures_in_other_groups: failures.others(),
        dead_letters: dead_letters(&telemetry.dead_letters),
        partitions: positions.into_iter().map(|(number, place)| partition(&topics, number, place)).collect(),
        work: Work {
            delivery: work.delivery,
            group: work.group,
            input_topic: work.input_topic,
            output_topics: work.output_topics,
            dead_letter_topic: work.dead_letter_topic,
        },
    }
}

pub(super) fn rates(telemetry: &Telemetry, now: Instant, counts: &Counts) -> Rates {
    let rate = telemetry.rates.now(now, counts);
    Rates {
        records_in_per_second: rounded(rate.records_in),
        records_out_per_second: rounded(rate.records_out),
        dead_letters_per_second: rounded(rate.dead_letters),
        over_seconds: rounded(rate.over.as_secs_f64()),
    }
}

fn totals(telemetry: &Telemetry, counts: &Counts, of_process: BTreeMap<&'static str, u64>) -> Totals {
    let renewals = Renewal::ALL.into_iter().map(|reason| (reason.name().to_owned(), telemetry.guests.renewals(reason)));
    let panics = telemetry.threads.panics().into_iter().chain(of_process);
    Totals {
        records_in: counts.records_in,
        records_out: counts.records_out,
        skipped: counts.skipped,
        dead_letters: counts.dead_letters(),
        dead_letters_by_kind: counts.by_kind().map(|(kind, count)| (kind.name().to_owned(), count)).collect(),
        transactions: telemetry.transactions(),
        aborts: telemetry.aborts(),
        rebalances: telemetry.rebalances(),
        records_missed: telemetry.topics.records_missed(),
        topic_recreations: telemetry.topics.recreations(),
        instance_renewals: renewals.filter(|(_, count)| *count > 0).collect(),
        breaker_openings: telemetry.breakers.times_opened(),
        thread_panics: panics.map(|(thread, count)| (thread.to_owned(), count)).collect(),
    }
}

fn dead_letters(known: &DeadLetters) -> Option<api::DeadLetters> {
    let letters = known.letters();
    let hint =
        |RedriveHint { fingerprint, tried, passed, command }| RedrivableGroup { fingerprint, tried, passed, command };
    Some(api::DeadLetters {
        up: known.is_up()?,
        error: known.error(),
        open: letters.as_ref().map(|letters| letters.open),
        estimated: letters.as_ref().is_some_and(|letters| letters.is_estimate),
        oldest_failed: letters.as_ref().and_then(|letters| letters.oldest).map(time),
        groups_by_state: letters
            .into_iter()
            .flat_map(|letters| letters.groups_by_state)
            .map(|(state, count)| (state.to_owned(), count))
            .collect(),
        redrivable: known.redrivable().into_iter().map(hint).collect(),
    })
}

fn plugin(Mapping { identity, file, since }: Mapping) -> Plugin {
    Plugin {
        name: identity.name,
        version: identity.version,
        digest: identity.digest.to_string(),
        contract: identity.contract.to_owned(),
        file: file.display().to_string(),
        bytes: identity.bytes,
        since: time(since),
    }
}

fn partition(topics: &TopicNames, number: i32, place: WorkerPosition) -> Partition {
    let WorkerPosition { worker, position, committed, end } = place;
    let (topic, partition) = (topics.topic(number).to_owned(), topics.partition(number));
    Partition { topic, partition, worker, position, committed, end, lag: place.lag() }
}

fn of_workers(
    telemetry: &Telemetry,
    topics: &TopicNames,
    positions: &BTreeMap<i32, WorkerPosition>,
) -> Vec<WorkerStatus> {
    let (memory, mut open) = (telemetry.guests.memory(), telemetry.breakers.open());
    let of_worker = |(number, worker): (&usize, &Arc<Worker>)| {
        let (activity, took) = worker.activity();
        let positions = positions.iter().filter(|(_, place)| place.worker == *number);
        let partitions = positions.map(|(number, _)| PartitionKey::new(topics, *number));
        WorkerStatus {
            worker: *number,
            activity: activity.name().to_owned(),
            activity_seconds: rounded(took.as_secs_f64()),
            partitions: partitions.collect(),
            guest_memory_bytes: memory.get(number).copied(),
            breaker_open: open.remove(number),
        }
    };
    telemetry.workers.all().iter().map(of_worker).collect()
}

fn of_group(fingerprint: &str, group: &Group) -> FailureGroup {
    let example = group.example.clone();
    FailureGroup {
        fingerprint: fingerprint.to_owned(),
        kind: group.kind.name().to_owned(),
        count: group.count,
        first_seen: time(group.first_seen),
        last_seen: time(group.last_seen),
        example: Example {
            topic: example.topic,
            partition: example.partition,
            offset: example.offset,
            message: example.message,
            input: example.input,
        },
    }
}

pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub(super) fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;
