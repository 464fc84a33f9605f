//! The two questions of an orchestrator: is it alive, or should it be restarted; is it ready, and if not, why.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::telemetry::Telemetry;

const LIVEZ: &str = "/livez";
const READYZ: &str = "/readyz";

pub(super) fn routes() -> Router<Arc<Telemetry>> {
    Router::new().route(LIVEZ, get(livez)).route(READYZ, get(readyz))
}

/// Whether a path is that of a probe, which is answered however busy the server is.
pub(super) fn is_probe(path: &str) -> bool {
    [LIVEZ, READYZ].contains(&path)
}

/// `alive`, or a line for each worker that is not.
async fn livez(State(telemetry): State<Arc<Telemetry>>) -> (StatusCode, String) {
    answer("alive", telemetry.workers.stuck())
}

/// `ready`, or a line for each reason why not.
async fn readyz(State(telemetry): State<Arc<Telemetry>>) -> (StatusCode, String) {
    let reasons = telemetry.not_ready();
    answer("ready", reasons.iter().map(|(who, why)| format!("{who}: {why}")).collect())
}

fn answer(good: &str, reasons: Vec<String>) -> (StatusCode, String) {
    if reasons.is_empty() {
        return (StatusCode::OK, format!("{good}\n"));
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
}
