//! `/metrics`: what is counted of the process and its pipelines, in the format that the client accepts.

use std::fmt::Error;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use mapper_api::versions::{Step, SwapOutcome};
use mapper_telemetry::metrics::{self, Format, PipelineSample, PluginLabels, ProcessSample, SwapSample};

use super::accept::{self, Offer};
use crate::pipelines::{Entry, PipelineRegistry};
use mapper_terminal::output::escape;

/// In the order of [`OFFERS`].
const FORMATS: [Format; 2] = [Format::Prometheus, Format::OpenMetrics];
const OFFERS: [Offer; 2] = [
    Offer { media_type: "text/plain", versions: &["0.0.4"] },
    Offer { media_type: "application/openmetrics-text", versions: &["1.0.0", "0.0.1"] },
];

pub(super) fn routes() -> Router<Arc<PipelineRegistry>> {
    Router::new().route("/metrics", get(answer))
}

async fn answer(State(registry): State<Arc<PipelineRegistry>>, headers: HeaderMap) -> Response {
    let format = accepted_format(&headers);
    match render(&registry) {
        Ok(text) => ([(CONTENT_TYPE, format.content_type()), (VARY, "accept")], format.convert(text)).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics can't be written: {error}\n")).into_response()
        }
    }
}

fn accepted_format(headers: &HeaderMap) -> Format {
    accept::preferred(headers, &OFFERS).map_or(Format::Prometheus, |index| FORMATS[index])
}

fn render(registry: &PipelineRegistry) -> Result<String, Error> {
    let process = ProcessSample {
        started: registry.started(),
        has_config_error: registry.config_error().is_some(),
        alerts: registry.alerts.clone(),
    };
    metrics::render(process, registry.all().iter().map(|entry| sample(entry)).collect())
}

fn sample(entry: &Entry) -> PipelineSample {
    let plugin = entry.telemetry.about.plugin().map(|plugin| PluginLabels {
        // A label may be any text, but metrics are shown at terminals, too.
        name: escape::text(&plugin.identity.name).into_owned(),
        version: escape::text(&plugin.identity.version).into_owned(),
        digest: plugin.identity.digest.to_string(),
        contract: plugin.identity.contract,
    });
    PipelineSample {
        name: entry.name().to_owned(),
        generation: entry.generation(),
        is_ready: entry.not_ready().is_empty(),
        plugin,
        swaps: swaps(entry),
        telemetry: entry.telemetry.clone(),
    }
}

fn swaps(entry: &Entry) -> SwapSample {
    let counts = entry.versions().map(|versions| versions.requests.counts()).unwrap_or_default();
    let ended = |outcome: SwapOutcome| counts.ended.get(&outcome).copied().unwrap_or(0);
    let refused = |step: Step| counts.refused.get(&step).copied().unwrap_or(0);
    SwapSample {
        by_outcome: SwapOutcome::ALL.map(|outcome| (outcome.name(), ended(outcome))).to_vec(),
        refused_by_step: Step::ALL.map(|step| (step.name(), refused(step))).to_vec(),
        rollbacks_by_trigger: ["rollback", "probation"].into_iter().zip(counts.rolled_back).collect(),
    }
}

#[cfg(test)]
mod tests;
