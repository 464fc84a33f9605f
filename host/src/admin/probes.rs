//! The probes of an orchestrator: `/livez` and `/readyz`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::pipelines::{Entry, PipelineRegistry};

const LIVEZ: &str = "/livez";
const READYZ: &str = "/readyz";

pub(super) fn routes() -> Router<Arc<PipelineRegistry>> {
    Router::new().route(LIVEZ, get(livez)).route(READYZ, get(readyz))
}

/// Whether a path is that of a probe. The server answers probes even if all other connections are busy.
pub(super) fn is_probe(path: &str) -> bool {
    [LIVEZ, READYZ].contains(&path)
}

/// Answers `alive`, or a line for each worker and each essential thread that is not.
async fn livez(State(registry): State<Arc<PipelineRegistry>>) -> (StatusCode, String) {
    answer("alive", lines(&registry, Entry::stuck))
}

/// Answers `ready`, or a line for each reason why not.
async fn readyz(State(registry): State<Arc<PipelineRegistry>>) -> (StatusCode, String) {
    let reasons = |entry: &Entry| entry.not_ready().into_iter().map(|(who, why)| format!("{who}: {why}")).collect();
    let (status, mut text) = answer("ready", lines(&registry, reasons));
    // The pipelines keep running, so the host stays ready.
    if let Some(error) = registry.config_error() {
        text.push_str(&format!("config: not applied: {error}\n"));
    }
    (status, text)
}

/// The lines of all pipelines; if there are several, each line names its own.
fn lines(registry: &PipelineRegistry, of: impl Fn(&Entry) -> Vec<String>) -> Vec<String> {
    let entries = registry.all();
    let is_only = entries.len() == 1;
    let named = |entry: &Entry, line: String| if is_only { line } else { format!("{}: {line}", entry.name()) };
    entries.iter().flat_map(|entry| of(entry).into_iter().map(|line| named(entry, line))).collect()
}

fn answer(good: &str, reasons: Vec<String>) -> (StatusCode, String) {
    if reasons.is_empty() {
        return (StatusCode::OK, format!("{good}\n"));
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
}
