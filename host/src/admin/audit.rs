//! `/audit`: compares the ledger of a pipeline with its offsets and topics.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use mapper_api::audit::AuditReport;

use super::dead_letters::letters_of;
use super::json::Json;
use super::parameters::{Parameters, bad};
use super::pipelines::OfPipeline;
use super::versions::{Failed, failed};
use crate::audit;
use crate::config::values;
use crate::dlq::ScanError;
use crate::pipelines::PipelineRegistry;

/// The longest audit, unless the client gives another limit.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_TIMEOUT: Duration = Duration::from_secs(600);
/// The most records that an audit keeps in the memory of the host, about 30 bytes each.
const MAX_KEPT_RECORDS: u64 = 4_000_000;
const NO_LEDGER: &str = "the pipeline has no ledger, so there is nothing to compare. Start the host with --ledger-topic TOPIC; the audit then covers what is \
    committed from there on";

pub(super) fn routes() -> Router<Arc<PipelineRegistry>> {
    Router::new().route("/audit", get(audit))
}

async fn audit(
    State(registry): State<Arc<PipelineRegistry>>,
    OfPipeline(entry): OfPipeline,
    mut parameters: Parameters,
) -> Result<Json<AuditReport>, Failed> {
    let letters = letters_of(&entry)?;
    let since = parameters.value("since", |text| {
        let allowed = || "give a time such as 2026-11-27T10:00:00Z, or how long ago, such as 2h".to_owned();
        values::past(text).ok_or_else(allowed)
    });
    let since = since.map_err(bad)?;
    let timeout = parameters.value("timeout", |text| values::duration(text, Duration::from_millis(1)..=MAX_TIMEOUT));
    let timeout = timeout.map_err(bad)?.unwrap_or(DEFAULT_TIMEOUT);
    parameters.end().map_err(bad)?;
    let config = letters.audit_config(since.map(|since| since.timestamp_millis()), MAX_KEPT_RECORDS);
    let config = config.ok_or_else(|| failed(StatusCode::UNPROCESSABLE_ENTITY, NO_LEDGER))?;
    // Dropping the audit ends it.
    let audit = registry.audits.run(move |cancel| audit::read(&config, cancel));
    match tokio::time::timeout(timeout, audit).await {
        Ok(report) => Ok(Json(report.map_err(not_audited)?)),
        Err(_) => {
            let limit = humantime::format_duration(timeout);
            let why = format!(
                "the audit was ended after {limit}: it reads the ledger and the topics from their beginning. Run it at a terminal, with mapper-host \
                 audit, or give it more time (over HTTP: timeout=10m)"
            );
            Err(failed(StatusCode::GATEWAY_TIMEOUT, why))
        }
    }
}

fn not_audited(error: ScanError) -> Failed {
    match error {
        ScanError::Busy => {
            let why = "another audit runs, and one runs at a time. Send the request again later";
            failed(StatusCode::SERVICE_UNAVAILABLE, why)
        }
        other => other.into(),
    }
}
