//! The two questions of an orchestrator: is it alive, or should it be restarted; is it ready, and if not, why.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::telemetry::Telemetry;

pub(super) fn routes() -> Router<Arc<Telemetry>> {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz))
}

/// `alive`, or a line for each worker that is not.
async fn livez(State(telemetry): State<Arc<Telemetry>>) -> (StatusCode, String) {
    answer("alive", telemetry.workers.stuck())
}

/// `ready`, or a line for each reason why not.
async fn readyz(State(telemetry): State<Arc<Telemetry>>) -> (StatusCode, String) {
    let reasons = telemetry.health.reasons();
    answer("ready", reasons.iter().map(|(who, why)| format!("{who}: {why}")).collect())
}

fn answer(good: &str, reasons: Vec<String>) -> (StatusCode, String) {
    if reasons.is_empty() {
        return (StatusCode::OK, format!("{good}\n"));
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
}
