//! `/samples` and `/timeline`: what a pipeline did in the last hour.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use mapper_api::samples::{Samples, TimelineEvent};
use mapper_telemetry::{Event, SAMPLE_INTERVAL, Sample, Telemetry};

use super::json::Json;
use super::pipelines::OfPipeline;
use super::status::{rounded, time};
use crate::pipelines::PipelineRegistry;

pub(super) fn routes() -> Router<Arc<PipelineRegistry>> {
    Router::new().route("/samples", get(samples)).route("/timeline", get(timeline))
}

async fn samples(OfPipeline(entry): OfPipeline) -> Json<Samples> {
    let samples = entry.telemetry.samples.all();
    let column = |value: fn(&Sample) -> f64| samples.iter().map(|sample| rounded(value(sample))).collect();
    Json(Samples {
        interval_seconds: SAMPLE_INTERVAL.as_secs(),
        at_ms: samples.iter().map(|sample| sample.at.timestamp_millis()).collect(),
        records_in: column(|sample| sample.records_in),
        records_out: column(|sample| sample.records_out),
        dead_letters: column(|sample| sample.dead_letters),
        lag: samples.iter().map(|sample| sample.lag).collect(),
        mapping_p99_ms: samples.iter().map(p99_ms).collect(),
        batch_records: samples.iter().map(|sample| sample.batch_records.map(rounded)).collect(),
        guest_memory_bytes: samples.iter().map(|sample| sample.guest_memory_bytes).collect(),
    })
}

async fn timeline(OfPipeline(entry): OfPipeline) -> Json<Vec<TimelineEvent>> {
    Json(entry.telemetry.timeline.latest().into_iter().map(event).collect())
}

fn event(Event { kind, at, worker, reason, count }: Event) -> TimelineEvent {
    TimelineEvent { kind: kind.name().to_owned(), at: time(at), worker, reason, count }
}

/// The p99 of the last sample, and the rate of each minute.
pub(super) fn last_hour(telemetry: &Telemetry) -> (Option<f64>, Vec<f64>) {
    let (last, minutes) = telemetry.samples.by_minute();
    (last.as_ref().and_then(p99_ms), minutes.into_iter().map(rounded).collect())
}

fn p99_ms(sample: &Sample) -> Option<f64> {
    sample.mapping_p99.map(|p99| (p99.as_secs_f64() * 1e6).round() / 1e3)
}
