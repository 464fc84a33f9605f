//! `/settings`: the settings in force, of a pipeline and of the process.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use mapper_api::SETTINGS_PATH;
use mapper_api::settings::SettingInForce;

use super::json::Json;
use super::pipelines::OfPipeline;
use crate::pipelines::PipelineRegistry;

/// The route of each pipeline.
pub(super) fn routes() -> Router<Arc<PipelineRegistry>> {
    Router::new().route("/settings", get(of_pipeline))
}

/// The route of the process.
pub(super) fn routes_of_process() -> Router<Arc<PipelineRegistry>> {
    Router::new().route(SETTINGS_PATH, get(of_process))
}

async fn of_pipeline(
    State(registry): State<Arc<PipelineRegistry>>,
    OfPipeline(entry): OfPipeline,
) -> Json<Vec<SettingInForce>> {
    Json(registry.settings().pipelines.get(entry.name()).cloned().unwrap_or_default())
}

async fn of_process(State(registry): State<Arc<PipelineRegistry>>) -> Json<Vec<SettingInForce>> {
    Json(registry.settings().process.clone())
}
