//! Sends requests to the HTTP API of a host.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response};
use axum::response::IntoResponse;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mapper_api::PIPELINES_PATH;
use mapper_api::pipelines::PipelineSummary;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::events;
use super::is_below;

/// The largest answer that is passed on. The API limits its answers to less.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Routes of a pipeline that answer from the memory of the host.
const FROM_MEMORY: [&str; 10] = [
    "/status",
    "/samples",
    "/timeline",
    "/recent",
    "/history",
    "/versions",
    "/rollback",
    "/shadow",
    "/redrives",
    "/settings",
];
const DEFAULT_PORT: u16 = 80;

/// How long the console waits for a host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// For a connection.
    pub(super) connect: Duration,
    /// For what a host has in its memory.
    pub(super) memory: Duration,
    /// For what a host reads from Kafka.
    pub(super) topics: Duration,
    /// For a change: the host compiles, tries out and waits for its workers.
    pub(super) change: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            memory: Duration::from_secs(5),
            topics: Duration::from_secs(60),
            change: Duration::from_secs(600),
        }
    }
}

impl Timeouts {
    /// The timeout of the answer to a route of a pipeline.
    fn of(self, method: &Method, route: &str) -> Duration {
        match method.is_safe() {
            true if FROM_MEMORY.iter().any(|path| is_below(route, path)) => self.memory,
            true => self.topics,
            false => self.change,
        }
    }
}

/// Why there is no answer of a host.
#[derive(Debug, thiserror::Error)]
pub(super) enum HostError {
    #[error("the host is not reachable: {url}: {reason}. Check that it runs, and that this is its --admin address")]
    Unreachable { url: String, reason: String },
    #[error("the host does not answer: {url}: there was no complete answer within {limit:?}. Ask again later")]
    Slow { url: String, limit: Duration },
    #[error(
        "the answer of the host can't be read: {url}: {reason}. Check that it is the --admin address of a host, and that the host has \
         the version of this console"
    )]
    Unreadable { url: String, reason: String },
}

/// A host, by the URL of its admin server.
pub(crate) struct HostClient {
    url: String,
    /// The token for its changes, if it has one of its own.
    pub(super) token: Option<Arc<str>>,
    timeouts: Timeouts,
}

impl fmt::Debug for HostClient {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostClient").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The parts of a request to a pipeline of a host.
pub(super) struct PipelineRequest<'a> {
    pub(super) method: Method,
    /// The name of the pipeline in the host, escaped for a path.
    pub(super) pipeline: &'a str,
    /// The path below that of the pipeline, such as `/status`.
    pub(super) route: &'a str,
    /// The query with its question mark; empty for none.
    pub(super) query: &'a str,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

impl HostClient {
    /// The host at `http://HOST:PORT`.
    pub(super) fn new(url: String, token: Option<Arc<str>>, timeouts: Timeouts) -> Self {
        Self { url, token, timeouts }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// `HOST:PORT`, as in the URL.
    pub(super) fn authority(&self) -> &str {
        self.url.strip_prefix("http://").unwrap_or(&self.url)
    }

    /// What to connect to.
    fn address(&self) -> String {
        let authority = self.authority();
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        if has_port { authority.to_owned() } else { format!("{authority}:{DEFAULT_PORT}") }
    }

    /// The pipelines of the host.
    ///
    /// # Errors
    /// See [`HostError`].
    pub(super) async fn pipelines(&self) -> Result<Vec<PipelineSummary>, HostError> {
        let request = Request::get(PIPELINES_PATH).body(Body::empty());
        let response = self.exchange(request, self.timeouts.memory).await?;
        let (status, body) = (response.status(), response.into_body());
        let body = to_bytes(body, MAX_ANSWER_BYTES).await.unwrap_or_default();
        if !status.is_success() {
            return Err(self.unreadable(format!("it answers {status} to GET {PIPELINES_PATH}")));
        }
        serde_json::from_slice(&body).map_err(|error| self.unreadable(error))
    }

    /// Sends a request to a pipeline. The body of server-sent events continues; any other is complete.
    ///
    /// # Errors
    /// See [`HostError`].
    pub(super) async fn send(&self, request: PipelineRequest<'_>) -> Result<Response<Body>, HostError> {
        let PipelineRequest { method, pipeline, route, query, headers, body } = request;
        let limit = self.timeouts.of(&method, route);
        let path = format!("{PIPELINES_PATH}/{pipeline}{route}{query}");
        let mut built = Request::builder().method(method).uri(path);
        if let Some(own) = built.headers_mut() {
            own.extend(headers);
        }
        self.exchange(built.body(body), limit).await
    }

    async fn exchange(
        &self,
        request: axum::http::Result<Request<Body>>,
        limit: Duration,
    ) -> Result<Response<Body>, HostError> {
        let mut request = request.map_err(|error| self.unreadable(error))?;
        let authority = HeaderValue::from_str(self.authority()).map_err(|error| self.unreadable(error))?;
        request.headers_mut().insert(HOST, authority);
        let answer = timeout(limit, self.answer(request)).await;
        answer.map_err(|_| HostError::Slow { url: self.url.clone(), limit })?
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, HostError> {
        let unreachable = |reason: String| HostError::Unreachable { url: self.url.clone(), reason };
        let limit = self.timeouts.connect;
        let connected = timeout(limit, TcpStream::connect(self.address())).await;
        let connected = connected.map_err(|_| unreachable(format!("there was no connection within {limit:?}")))?;
        let stream = connected.map_err(|error| unreachable(error.to_string()))?;
        let handshake = http1::handshake::<_, Body>(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.unreadable(error))?;
        // It ends with the answer, or when nobody waits for one.
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|error| self.unreadable(error))?;
        let (parts, body) = response.into_parts();
        let body = Body::new(body);
        if parts.headers.get(CONTENT_TYPE).is_some_and(|media_type| media_type == events::MEDIA_TYPE) {
            return Ok((parts, body).into_response());
        }
        let body = to_bytes(body, MAX_ANSWER_BYTES).await.map_err(|error| self.unreadable(error))?;
        Ok(Response::from_parts(parts, body.into()))
    }

    fn unreadable(&self, reason: impl fmt::Display) -> HostError {
        HostError::Unreadable { url: self.url.clone(), reason: reason.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_of_a_host_without_a_port_has_that_of_http() {
        for (url, address) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://mapper.internal", "mapper.internal:80"),
            ("http://[::1]", "[::1]:80"),
            ("http://[::1]:9", "[::1]:9"),
        ] {
            let host = HostClient::new(url.to_owned(), None, Timeouts::default());
            assert_eq!(host.address(), address);
        }
    }

    #[test]
    fn timeout_is_short_for_the_memory_of_a_host_and_long_for_a_change() {
        let timeouts = Timeouts::default();
        let of = |method: &Method, route: &str| timeouts.of(method, route);
        assert_eq!(of(&Method::GET, "/status"), timeouts.memory);
        assert_eq!(of(&Method::GET, "/redrives/1"), timeouts.memory);
        assert_eq!(of(&Method::GET, "/dead-letters/groups"), timeouts.topics);
        assert_eq!(of(&Method::GET, "/statuses"), timeouts.topics);
        assert_eq!(of(&Method::POST, "/rollback"), timeouts.change);
    }
}
