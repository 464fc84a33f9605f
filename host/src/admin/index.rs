//! The list of routes for people: `/`, and the answer to an unknown path.

use axum::Router;
use axum::http::header::{CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::accept::{self, Offer};

/// The routes: method, path and purpose. `docs/http-api.md` has the same.
pub(super) const ENDPOINTS: [(&str, &str, &str); 12] = [
    ("GET", "/livez", "whether the host is alive, or must be restarted"),
    ("GET", "/readyz", "whether the host maps records; the reasons if it does not"),
    ("GET", "/metrics", "metrics for Prometheus"),
    ("GET", "/status", "the state of the host, as JSON"),
    ("GET", "/history", "the versions of the plugin, as JSON"),
    ("POST", "/swap", "swaps to the plugin in the body (mapper-host swap FILE)"),
    ("GET", "/rollback", "the version that a rollback returns to, as JSON"),
    ("POST", "/rollback", "returns to that version (mapper-host rollback)"),
    ("GET", "/shadow", "the results of the shadow, as JSON"),
    ("POST", "/shadow", "starts the plugin in the body as a shadow (mapper-host shadow FILE)"),
    ("DELETE", "/shadow", "ends the shadow (mapper-host shadow --stop)"),
    (
        "GET",
        "/v1/pipelines",
        "the pipelines, as JSON; /v1/pipelines/NAME has /status, /history, /swap, /rollback and /shadow of one",
    ),
];
const OFFERS: [Offer; 2] =
    [Offer { media_type: "text/plain", versions: &[] }, Offer { media_type: "text/html", versions: &[] }];

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(index)).fallback(not_found)
}

async fn index(headers: HeaderMap) -> Response {
    let (kind, page) = match accept::preferred(&headers, &OFFERS) {
        Some(1) => ("text/html; charset=utf-8", html()),
        _ => ("text/plain; charset=utf-8", text()),
    };
    ([(CONTENT_TYPE, kind), (VARY, "accept")], page).into_response()
}

async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, format!("not found: there is no route at this path. The routes are:\n\n{}", text()))
        .into_response()
}

fn text() -> String {
    let mut page = format!("mapper-host {}\n\n", env!("CARGO_PKG_VERSION"));
    for (method, path, what) in ENDPOINTS {
        page += &format!("{method:<6} {path:<13} {what}\n");
    }
    page
}

fn html() -> String {
    let rows: String = ENDPOINTS
        .iter()
        .map(|(method, path, what)| {
            let path = if *method == "GET" { format!("<a href=\"{path}\">{path}</a>") } else { (*path).to_owned() };
            format!("<tr><td>{method}</td><td>{path}</td><td>{what}</td></tr>\n")
        })
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<title>mapper-host</title>\n<h1>mapper-host {}</h1>\n<table>\n{rows}</table>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    )
}
