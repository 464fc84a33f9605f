//! `/v1/pipelines`: which pipelines there are, and the routes of each below `/v1/pipelines/NAME`. Without that prefix, the same
//! routes are those of the only pipeline.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::get;
use mapper_api::PIPELINES_PATH;
use mapper_api::pipelines::PipelineSummary;

use super::json::Json;
use super::versions::{Failed, failed};
use super::{audit, dead_letters, map, recent, redrives, samples, settings, status, version_details, versions};
use crate::pipelines::{Entry, PipelineRegistry};

pub(super) fn routes() -> Router<Arc<PipelineRegistry>> {
    let routes = Router::new().route(PIPELINES_PATH, get(list)).merge(settings::routes_of_process());
    routes.nest(&format!("{PIPELINES_PATH}/{{name}}"), of_one()).merge(of_one())
}

/// The routes that each pipeline has.
fn of_one() -> Router<Arc<PipelineRegistry>> {
    let routes = status::routes().merge(samples::routes()).merge(settings::routes()).merge(versions::routes());
    let routes =
        routes.merge(version_details::routes()).merge(recent::routes()).merge(map::routes()).merge(audit::routes());
    routes.merge(dead_letters::routes()).merge(redrives::routes())
}

/// The pipeline that a request is about: the one that a layer has found, the one that its path names, or the only one.
#[derive(Clone)]
pub(super) struct OfPipeline(pub(super) Arc<Entry>);

impl FromRequestParts<Arc<PipelineRegistry>> for OfPipeline {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, registry: &Arc<PipelineRegistry>) -> Result<Self, Failed> {
        if let Some(found) = parts.extensions.get::<Self>() {
            return Ok(found.clone());
        }
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
            (None, []) => {
                let path = parts.uri.path();
                let why = format!(
                    "no pipeline runs in this process. Name one of the list of {PIPELINES_PATH} in the path, {PIPELINES_PATH}/NAME{path}"
                );
                Err(failed(StatusCode::CONFLICT, why))
            }
            (None, _) => {
                let path = parts.uri.path();
                let why = format!(
                    "this host has several pipelines: {}. Name one in the path, {PIPELINES_PATH}/NAME{path}, or with --pipeline NAME",
                    names()
                );
                Err(failed(StatusCode::CONFLICT, why))
            }
        }
    }
}

async fn list(State(registry): State<Arc<PipelineRegistry>>) -> Json<Vec<PipelineSummary>> {
    Json(registry.all().iter().map(|entry| summary(entry)).collect())
}

pub(super) fn summary(entry: &Entry) -> PipelineSummary {
    let (telemetry, reasons) = (&entry.telemetry, entry.not_ready());
    let (work, counts) = (telemetry.about.work(), telemetry.counts());
    let (plugin, positions) = (telemetry.about.plugin(), telemetry.workers.positions());
    let (mapping_p99_ms, last_hour) = samples::last_hour(telemetry);
    PipelineSummary {
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
        lag: positions.values().filter_map(|position| position.lag()).sum(),
        rates: status::rates(telemetry, Instant::now(), &counts),
        partitions: positions.len(),
        open_breakers: telemetry.breakers.open().len(),
        mapping_p99_ms,
        last_hour,
    }
}
