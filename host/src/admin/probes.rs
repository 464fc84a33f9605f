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

/// That it answers is the answer.
async fn livez() -> &'static str {
    "alive\n"
}

/// `ready`, or a line for each reason why not.
async fn readyz(State(telemetry): State<Arc<Telemetry>>) -> (StatusCode, String) {
    let reasons = telemetry.health.reasons();
    if reasons.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let lines = reasons.iter().map(|(who, why)| format!("{who}: {why}\n"));
    (StatusCode::SERVICE_UNAVAILABLE, lines.collect())
}
