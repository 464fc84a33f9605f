//! `/`: the list of routes, or the console in a browser. And the answer to an unknown path.

use axum::Router;
use axum::http::header::{CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use mapper_api::PIPELINES_PATH;

use super::accept::{self, Offer};

/// The routes: method, path and purpose. `docs/http-api.md` has the same.
pub(super) const ENDPOINTS: [(&str, &str, &str); 37] = [
    ("GET", "/livez", "whether the host is alive, or must be restarted"),
    ("GET", "/readyz", "whether the host maps records; the reasons if it does not"),
    ("GET", "/metrics", "metrics for Prometheus"),
    ("GET", "/status", "the state of the host, as JSON"),
    ("GET", "/samples", "rates, lag, mapping time and memory of the last hour, as JSON"),
    ("GET", "/timeline", "aborted transactions, rebalances and breakers, as JSON"),
    ("GET", "/settings", "the settings in force of a pipeline and where each came from, as JSON"),
    ("GET", "/recent", "a sample of the latest records with their verdicts, as JSON"),
    ("POST", "/map", "maps a record with the active version or with another plugin, and produces nothing"),
    ("GET", "/history", "the versions of the plugin, as JSON"),
    ("GET", "/versions", "what the versions of the history declare, cost and may use, as JSON"),
    ("POST", "/swap", "swaps to the plugin in the body (mapper-host swap FILE)"),
    ("GET", "/rollback", "the version that a rollback returns to, as JSON"),
    ("POST", "/rollback", "returns to that version (mapper-host rollback)"),
    ("GET", "/shadow", "the results of the shadow, as JSON"),
    ("POST", "/shadow", "starts the plugin in the body as a shadow (mapper-host shadow FILE)"),
    ("DELETE", "/shadow", "ends the shadow (mapper-host shadow --stop)"),
    ("GET", "/dead-letters/groups", "the groups of dead letters, as JSON (mapper-host dlq groups)"),
    (
        "GET",
        "/dead-letters/groups/{fingerprint}",
        "a group with some of its letters, as JSON (mapper-host dlq show GROUP)",
    ),
    ("GET", "/dead-letters", "the dead letters, as pages of JSON (mapper-host dlq list)"),
    ("GET", "/dead-letters/letter", "the letters at a position, as JSON (mapper-host dlq show POSITION)"),
    ("GET", "/dead-letters/cases", "test cases from the records that failed, as JSON lines (mapper-host dlq cases)"),
    ("POST", "/dead-letters/groups/{fingerprint}/acknowledge", "marks a group as acknowledged (mapper-host dlq ack)"),
    ("POST", "/dead-letters/groups/{fingerprint}/resolve", "marks a group as resolved (mapper-host dlq resolve)"),
    ("POST", "/dead-letters/groups/{fingerprint}/mute", "marks a group as muted (mapper-host dlq mute)"),
    ("POST", "/dead-letters/groups/{fingerprint}/reopen", "removes the mark of a group (mapper-host dlq reopen)"),
    ("POST", "/dead-letters/discard", "closes letters without processing them (mapper-host dlq discard)"),
    (
        "POST",
        "/dead-letters/try",
        "maps letters with the plugin in the body, and writes nothing (mapper-host dlq try FILE)",
    ),
    ("GET", "/redrives", "the redrives that this host has started, as JSON"),
    ("POST", "/redrives", "redrives letters with the plugin in the body (mapper-host dlq redrive)"),
    ("GET", "/redrives/{id}", "a redrive, as JSON"),
    ("GET", "/redrives/{id}/events", "a redrive, as server-sent events until its end"),
    ("POST", "/redrives/{id}/continue", "begins the next batch of a redrive"),
    ("DELETE", "/redrives/{id}", "stops a redrive after its open transaction"),
    ("GET", "/audit", "compares the ledger with the offsets and the topics, as JSON (mapper-host audit)"),
    ("GET", "/v1/pipelines", "the pipelines, as JSON; /v1/pipelines/NAME has the routes from /status on of one"),
    ("GET", "/v1/settings", "the settings in force of the process and where each came from, as JSON"),
];
const OFFERS: [Offer; 2] =
    [Offer { media_type: "text/plain", versions: &[] }, Offer { media_type: "text/html", versions: &[] }];

/// Routes that are not those of one pipeline.
const OF_PROCESS: [&str; 4] = ["/livez", "/readyz", "/metrics", PIPELINES_PATH];

/// A browser is sent to the console. Other clients get the list. `of_pipeline` is the path before the routes of a pipeline.
pub(super) fn routes(console: String, of_pipeline: &'static str) -> Router {
    let index = move |headers: HeaderMap| {
        let answer: Response = match accept::preferred(&headers, &OFFERS) {
            Some(1) => ([(VARY, "accept")], Redirect::to(&console)).into_response(),
            _ => ([(CONTENT_TYPE, "text/plain; charset=utf-8"), (VARY, "accept")], text(of_pipeline)).into_response(),
        };
        async move { answer }
    };
    Router::new().route("/", get(index)).fallback(move || async { not_found(of_pipeline) })
}

fn not_found(of_pipeline: &str) -> Response {
    let routes = text(of_pipeline);
    (StatusCode::NOT_FOUND, format!("not found: there is no route at this path. The routes are:\n\n{routes}"))
        .into_response()
}

fn text(of_pipeline: &str) -> String {
    let mut page = format!("mapper-host {}\n\n", env!("CARGO_PKG_VERSION"));
    let path = |path: &str| if OF_PROCESS.contains(&path) { path.to_owned() } else { format!("{of_pipeline}{path}") };
    let endpoints = ENDPOINTS.map(|(method, route, what)| (method, path(route), what));
    let width = endpoints.iter().map(|(_, path, _)| path.len()).max().unwrap_or_default();
    for (method, path, what) in endpoints {
        page += &format!("{method:<6} {path:<width$} {what}\n");
    }
    page
}
