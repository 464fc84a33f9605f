//! Forwards the routes of a pipeline to its host, except those that only read or write Kafka.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Router};
use mapper_api::PIPELINES_PATH;
use mapper_api::payloads::{PAYLOADS_HEADER, Payloads};
use mapper_api::versions::ErrorBody;
use mapper_console::escaped;
use percent_encoding::percent_decode_str;

use super::super::dead_letters::LEFT_OUT;
use super::super::events;
use super::super::json::Json;
use super::super::payloads::{IsFiltered, PayloadFilter};
use super::super::pipelines::OfPipeline;
use super::super::versions::{Failed, failed, no_host};
use super::catalog::{Hosts, Target};
use super::client::{HostClient, HostError, PipelineRequest};
use super::is_below;
use crate::pipelines::{Entry, PipelineRegistry};

/// The headers of an answer that are passed on.
const PASSED_ON: [HeaderName; 5] = [CONTENT_TYPE, CACHE_CONTROL, RETRY_AFTER, LEFT_OUT, PAYLOADS];
const PAYLOADS: HeaderName = HeaderName::from_static(PAYLOADS_HEADER);
/// The media types of the API. Any other is shown as text: a page of a host must not be one of the console.
const MEDIA_TYPES: [&str; 3] = ["application/json", "application/jsonl", events::MEDIA_TYPE];
/// The bytes of a text that an error contains.
const MAX_REASON_BYTES: usize = 300;

/// What all requests share.
#[derive(Clone)]
struct Pipelines {
    /// The pipelines whose dead letters this process reads.
    registry: Arc<PipelineRegistry>,
    hosts: Arc<Hosts>,
}

/// The routes of the API for pipelines of other hosts. A route that this version does not know is forwarded, too.
pub(in super::super) fn routes(api: Router, registry: &Arc<PipelineRegistry>, hosts: &Arc<Hosts>) -> Router {
    let pipelines = Pipelines { registry: registry.clone(), hosts: hosts.clone() };
    let others = Router::new().route(&format!("{PIPELINES_PATH}/{{name}}/{{*route}}"), any(unknown));
    api.merge(others).layer(from_fn_with_state(pipelines, forward))
}

async fn unknown(request: Request) -> Failed {
    failed(StatusCode::NOT_FOUND, format!("there is no route {}", request.uri().path()))
}

async fn forward(State(pipelines): State<Pipelines>, mut request: Request, next: Next) -> Response {
    let Pipelines { registry, hosts } = &pipelines;
    let Some(below) = request.uri().path().strip_prefix(PIPELINES_PATH) else { return next.run(request).await };
    if below.is_empty() && request.method() == Method::GET {
        return Json(hosts.summaries(registry).await).into_response();
    }
    let Some((name, route)) = name_and_route(below) else { return next.run(request).await };
    let Target { host, entry } = match hosts.find(registry, &name).await {
        Ok(target) => target,
        Err(failed) => return failed.into_response(),
    };
    match (host, entry) {
        (host, Some(entry)) if is_of_kafka(&route, host.is_some(), &entry) => {
            request.extensions_mut().insert(OfPipeline(entry));
            next.run(request).await
        }
        (Some((host, pipeline)), _) => {
            let named = Named { shown: &name, pipeline: &pipeline };
            send(&host, named, &route, request).await.unwrap_or_else(IntoResponse::into_response)
        }
        (None, _) => no_host().into_response(),
    }
}

/// The name of the pipeline, decoded, and the rest of a path below that of the list.
fn name_and_route(below: &str) -> Option<(String, String)> {
    let (name, route) = below.strip_prefix('/')?.split_once('/')?;
    let name = percent_decode_str(name).decode_utf8().ok()?;
    Some((name.into_owned(), format!("/{route}")))
}

/// Whether a route is answered here, from Kafka. A host tries letters out and redrives them with its active version.
fn is_of_kafka(route: &str, has_host: bool, entry: &Entry) -> bool {
    if is_below(route, "/dead-letters") {
        return !has_host || route != "/dead-letters/try";
    }
    if has_host {
        // Without the name of the ledger topic, only the host can audit.
        return is_below(route, "/audit") && entry.letters().is_some_and(|letters| letters.has_ledger());
    }
    ["/redrives", "/audit", "/settings"].iter().any(|path| is_below(route, path))
}

/// The name of a pipeline in the console, and in its host.
#[derive(Clone, Copy)]
struct Named<'a> {
    shown: &'a str,
    pipeline: &'a str,
}

impl From<HostError> for Failed {
    fn from(error: HostError) -> Self {
        let status = match error {
            HostError::Slow { .. } => StatusCode::GATEWAY_TIMEOUT,
            HostError::Unreachable { .. } | HostError::Unreadable { .. } => StatusCode::BAD_GATEWAY,
        };
        failed(status, error.to_string())
    }
}

async fn send(host: &HostClient, named: Named<'_>, route: &str, request: Request) -> Result<Response, Failed> {
    let (parts, body) = request.into_parts();
    let token = token(host, &parts.method, &parts.headers);
    let has_token = token.is_some();
    let mut headers = HeaderMap::new();
    headers.extend(token.map(|token| (AUTHORIZATION, token)));
    for name in [CONTENT_TYPE, ACCEPT] {
        headers.extend(parts.headers.get(&name).map(|value| (name, value.clone())));
    }
    // The host hides record data in its answer: it has the schema.
    let payloads =
        parts.extensions.get::<PayloadFilter>().map(PayloadFilter::mode).filter(|mode| *mode != Payloads::Show);
    headers.extend(payloads.map(|mode| (PAYLOADS, HeaderValue::from_static(mode.name()))));
    let pipeline = escaped(named.pipeline).to_string();
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let (method, name) = (parts.method.clone(), named);
    let request = PipelineRequest { method, pipeline: &pipeline, route, query: &query, headers, body };
    let response = host.send(request).await?;
    if response.status().is_success() {
        return Ok(passed_on(response, name));
    }
    Err(refused(host, response, (&parts.method, route), has_token).await)
}

/// The token for a change: that of the hosts, or that of the viewer. A host needs none to answer a question.
fn token(host: &HostClient, method: &Method, headers: &HeaderMap) -> Option<HeaderValue> {
    if method.is_safe() {
        return None;
    }
    let Some(token) = &host.token else { return headers.get(AUTHORIZATION).cloned() };
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn passed_on(response: Response, Named { shown, pipeline }: Named<'_>) -> Response {
    let (mut parts, body) = response.into_parts();
    let mut headers = HeaderMap::new();
    for name in PASSED_ON {
        headers.extend(parts.headers.get(&name).map(|value| (name, value.clone())));
    }
    // The host does not know the name of its pipeline here.
    let of_host = format!("{PIPELINES_PATH}/{}/", escaped(pipeline));
    let location = parts.headers.get(LOCATION).and_then(|location| location.to_str().ok()?.strip_prefix(&of_host));
    let location = location.map(|rest| format!("{PIPELINES_PATH}/{}/{rest}", escaped(shown)));
    headers.extend(location.and_then(|location| Some((LOCATION, HeaderValue::try_from(location).ok()?))));
    let is_of_api = media_type(&headers).is_some_and(|given| MEDIA_TYPES.contains(&given));
    if !is_of_api {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    parts.headers = headers;
    (parts.status, Extension(IsFiltered), parts.headers, body).into_response()
}

fn media_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next().map(str::trim)
}

/// The refusal of a host. The API refuses in JSON; its checks of access and unknown routes have texts.
async fn refused(host: &HostClient, response: Response, (method, route): (&Method, &str), has_token: bool) -> Failed {
    let (status, url) = (response.status(), host.url());
    let is_json = media_type(response.headers()) == Some("application/json");
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
    if is_json && let Ok(error) = serde_json::from_slice::<ErrorBody>(&body) {
        return Failed(status, error);
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_REASON_BYTES)]);
    let text = text.lines().next().unwrap_or_default().trim_end_matches('.').to_owned();
    match status {
        StatusCode::UNAUTHORIZED if has_token => failed(
            status,
            format!(
                "the host does not accept the token: {url}. Enter the token of its --admin-token-file, or start the console with \
                 --host-token-file FILE"
            ),
        ),
        StatusCode::UNAUTHORIZED => failed(
            status,
            format!(
                "the host needs a token for changes: {url}. Start the console with --admin-token-file FILE and, if that of the host \
                 is another one, --host-token-file FILE"
            ),
        ),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => failed(
            StatusCode::BAD_GATEWAY,
            format!(
                "the host has no route {method} {route}: {url}: it has another version than this console. Update one of them"
            ),
        ),
        _ => failed(
            if status.is_redirection() { StatusCode::BAD_GATEWAY } else { status },
            format!("the host refuses {method} {route}: {url}: {status}: {text}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_pipeline_is_decoded_and_the_route_is_kept_as_it_is() {
        let text = |text: &str| text.to_owned();
        let found = name_and_route("/a%40127.0.0.1%3A80/dead-letters/groups/%2e%2e");
        assert_eq!(found, Some((text("a@127.0.0.1:80"), text("/dead-letters/groups/%2e%2e"))));
        for below in ["", "/", "/a", "s/b", "/%ff/status"] {
            assert_eq!(name_and_route(below), None, "{below}");
        }
    }
}
