//! Calls of the HTTP API, in this process or of another host.

use std::sync::OnceLock;

use async_trait::async_trait;
use axum::http::{Method, StatusCode};
use bytes::Bytes;
use mapper_api::PLUGIN_MEDIA_TYPE;
use mapper_api::payloads::Payloads;
use mapper_api::versions::ErrorBody;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What RFC 3986 calls unreserved, so that the path of a pipeline is readable.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request to the HTTP API.
#[derive(Debug, Clone)]
pub struct ApiRequest {
    pub method: Method,
    /// Path and query, such as `/v1/pipelines/orders/swap?dry-run=true`.
    pub path: String,
    /// The token of the viewer.
    pub token: Option<String>,
    /// The media type of the body.
    pub content_type: Option<&'static str>,
    pub body: Bytes,
}

/// The answer of the HTTP API.
#[derive(Debug, Clone)]
pub struct ApiResponse {
    pub status: StatusCode,
    /// What of the record data is hidden: the value of the header [`PAYLOADS_HEADER`](mapper_api::payloads::PAYLOADS_HEADER), else all is shown.
    pub payloads: Payloads,
    pub body: Bytes,
}

/// The HTTP API of a host.
#[async_trait]
pub trait Api: Send + Sync + 'static {
    /// Calls a route. An answer that can't be had is a 502 with an [`ErrorBody`].
    async fn call(&self, request: ApiRequest) -> ApiResponse;

    /// The URL of the host that answers about this pipeline; `None` if it is this process, or none is known.
    fn host_of(&self, _pipeline: &str) -> Option<String> {
        None
    }

    /// Whether changes need a token.
    fn needs_token(&self) -> bool;

    /// Whether a token allows changes.
    async fn accepts_token(&self, token: &str) -> bool;
}

/// The body of a request.
pub(crate) enum Payload {
    None,
    Plugin(Bytes),
    Json(Bytes),
}

impl Payload {
    pub(crate) fn json(value: &impl Serialize) -> Self {
        Self::Json(serde_json::to_vec(value).expect("it has string keys").into())
    }
}

/// A refused request, or an answer that can't be read.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) reason: String,
}

/// The API, with the token of the viewer.
pub(crate) struct Client<'a> {
    pub(crate) api: &'a dyn Api,
    pub(crate) token: Option<&'a str>,
    /// Set if an answer has hidden record data.
    pub(crate) hidden: &'a OnceLock<Payloads>,
}

impl Client<'_> {
    /// The value that a route answers.
    ///
    /// # Errors
    /// If the API refuses, or answers something else.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: String) -> Result<T, ApiError> {
        let response = self.call(Method::GET, path, None, Bytes::new()).await;
        if response.status.is_success() { parsed(&response.body) } else { Err(refused(&response)) }
    }

    /// What a route answers, as it is.
    ///
    /// # Errors
    /// If the API refuses.
    pub(crate) async fn get_bytes(&self, path: String) -> Result<Bytes, ApiError> {
        let response = self.call(Method::GET, path, None, Bytes::new()).await;
        if response.status.is_success() { Ok(response.body) } else { Err(refused(&response)) }
    }

    /// The answer to a change. `accepted` are the states whose body is a `T` beside those of success.
    ///
    /// # Errors
    /// If the API refuses, or answers something else.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: String,
        payload: Payload,
        accepted: &[StatusCode],
    ) -> Result<T, ApiError> {
        let (content_type, body) = match payload {
            Payload::None => (None, Bytes::new()),
            Payload::Plugin(plugin) => (Some(PLUGIN_MEDIA_TYPE), plugin),
            Payload::Json(json) => (Some("application/json"), json),
        };
        let response = self.call(method, path, content_type, body).await;
        if response.status.is_success() {
            return parsed(&response.body);
        }
        if accepted.contains(&response.status)
            && let Ok(value) = serde_json::from_slice(&response.body)
        {
            return Ok(value);
        }
        Err(refused(&response))
    }

    async fn call(&self, method: Method, path: String, content_type: Option<&'static str>, body: Bytes) -> ApiResponse {
        let token = self.token.map(ToOwned::to_owned);
        let response = self.api.call(ApiRequest { method, path, token, content_type, body }).await;
        if response.payloads != Payloads::Show {
            // All answers of a host have the same mode.
            let _ = self.hidden.set(response.payloads);
        }
        response
    }
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError {
        status: StatusCode::BAD_GATEWAY,
        reason: format!("the answer of the host can't be read: {error}. Does it have another version?"),
    })
}

fn refused(response: &ApiResponse) -> ApiError {
    let reason = match serde_json::from_slice::<ErrorBody>(&response.body) {
        Ok(ErrorBody { step: Some(step), reason }) => format!("{step}: {reason}"),
        Ok(ErrorBody { step: None, reason }) => reason,
        Err(_) => String::from_utf8_lossy(&response.body).trim().to_owned(),
    };
    ApiError { status: response.status, reason }
}

/// The path of a route of a pipeline.
pub(crate) fn of_pipeline(pipeline: &str, route: &str) -> String {
    format!("{}/{}{route}", mapper_api::PIPELINES_PATH, escaped(pipeline))
}

/// A part of a path or query.
pub fn escaped(part: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(part, ESCAPED)
}
