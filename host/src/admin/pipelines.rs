//! `/v1/pipelines`: which pipelines there are, and the routes of each below `/v1/pipelines/NAME`. Without that prefix, the same
//! routes are those of the only pipeline.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::get;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::json::Json;
use super::versions::{Failed, failed};
use super::{status, versions};
use crate::pipelines::{Entry, PipelineRegistry};

/// Where the pipelines are.
pub(crate) const PIPELINES: &str = "/v1/pipelines";

pub(super) fn routes() -> Router<Arc<PipelineRegistry>> {
    Router::new().route(PIPELINES, get(list)).nest(&format!("{PIPELINES}/{{name}}"), of_one()).merge(of_one())
}

/// The routes that each pipeline has.
fn of_one() -> Router<Arc<PipelineRegistry>> {
    status::routes().merge(versions::routes())
}

/// The pipeline that a request is about: the one that its path names, or the only one.
pub(super) struct OfPipeline(pub(super) Arc<Entry>);

impl FromRequestParts<Arc<PipelineRegistry>> for OfPipeline {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, registry: &Arc<PipelineRegistry>) -> Result<Self, Failed> {
        let params = RawPathParams::from_request_parts(parts, registry).await;
        let params = params.map_err(|error| failed(StatusCode::BAD_REQUEST, error.to_string()))?;
        let name = params.iter().find(|(key, _)| *key == "name").map(|(_, name)| name.to_owned());
        let entries = registry.all();
        let names = || entries.iter().map(|entry| entry.name()).collect::<Vec<_>>().join(", ");
        match (name, &entries[..]) {
            (Some(name), _) => registry.get(&name).map(Self).ok_or_else(|| {
                failed(
                    StatusCode::NOT_FOUND,
                    format!("there is no pipeline {name:?} here. Its pipelines are: {}", names()),
                )
            }),
            (None, [entry]) => Ok(Self(entry.clone())),
            (None, _) => {
                let path = parts.uri.path();
                let why = format!(
                    "this host has several pipelines: {}. Name one in the path, {PIPELINES}/NAME{path}, or with --pipeline NAME",
                    names()
                );
                Err(failed(StatusCode::CONFLICT, why))
            }
        }
    }
}

/// One pipeline of the list. The rest is at `/v1/pipelines/NAME/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PipelineSummary {
    /// Its name.
    pub name: String,
    /// `starting`, `running`, `restarting` after it halted, `halted` for good, or `ended`.
    pub state: String,
    /// How often it was started, this time included.
    pub generation: u64,
    /// Whether it is ready.
    pub ready: bool,
    /// Why not: `who: why`.
    pub not_ready: Vec<String>,
    /// The name and the version of its plugin; null while it is being loaded.
    pub plugin: Option<String>,
    /// The consumer group.
    pub group: String,
    /// Where records come from.
    pub input_topic: String,
    /// Input records that are committed.
    pub records_in: u64,
    /// Dead letters that are committed.
    pub dead_letters: u64,
    /// Records that are still to be fetched of its partitions, as far as is known.
    pub lag: u64,
}

async fn list(State(registry): State<Arc<PipelineRegistry>>) -> Json<Vec<PipelineSummary>> {
    Json(registry.all().iter().map(|entry| PipelineSummary::from(&**entry)).collect())
}

impl From<&Entry> for PipelineSummary {
    fn from(entry: &Entry) -> Self {
        let (telemetry, reasons) = (&entry.telemetry, entry.not_ready());
        let (work, counts) = (telemetry.about.work(), telemetry.counts());
        let plugin = telemetry.about.plugin();
        Self {
            name: entry.name().to_owned(),
            state: entry.state().name().to_owned(),
            generation: entry.generation(),
            ready: reasons.is_empty(),
            not_ready: reasons.into_iter().map(|(who, why)| format!("{who}: {why}")).collect(),
            plugin: plugin.map(|plugin| format!("{} {}", plugin.identity.name, plugin.identity.version)),
            group: work.group,
            input_topic: work.input_topic,
            records_in: counts.records_in,
            dead_letters: counts.dead_letters(),
            lag: telemetry.workers.places().values().filter_map(|place| place.lag()).sum(),
        }
    }
}
