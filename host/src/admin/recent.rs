//! `/recent`: a sample of the records that a pipeline has mapped lately.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use mapper_api::recent::{RecentRecords, RecentVerdict};
use mapper_versions::recent::RecentFilter;

use super::json::Json;
use super::parameters::{Parameters, bad};
use super::pipelines::OfPipeline;
use super::versions::{Failed, control};
use crate::config::values::Read;
use crate::pipelines::PipelineRegistry;

pub(super) fn routes() -> Router<Arc<PipelineRegistry>> {
    Router::new().route("/recent", get(recent))
}

async fn recent(OfPipeline(entry): OfPipeline, given: Parameters) -> Result<Json<RecentRecords>, Failed> {
    let filter = filter(given).map_err(bad)?;
    Ok(Json(control(&entry)?.recent(&filter)))
}

fn filter(mut given: Parameters) -> Read<RecentFilter> {
    let verdict = given.value("verdict", |text| {
        let named = RecentVerdict::ALL.into_iter().find(|verdict| verdict.name() == text);
        named.ok_or_else(|| format!("give one of {}", RecentVerdict::ALL.map(RecentVerdict::name).join(", ")))
    })?;
    let key = given.text("key").map(String::into_bytes);
    given.end()?;
    Ok(RecentFilter { verdict, key })
}
