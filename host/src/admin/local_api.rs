//! The API of this process, for the console: the same routes with the same access control, without a connection.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use mapper_api::payloads::{PAYLOADS_HEADER, Payloads};
use mapper_api::versions::ErrorBody;
use mapper_console::{Api, ApiRequest, ApiResponse};
use tower::ServiceExt;

use super::guard::Guard;
use super::hosts::Hosts;

/// The routes of the API, behind the check of the token.
pub(super) struct LocalApi {
    pub(super) routes: Router,
    pub(super) guard: Guard,
    /// The hosts to which the routes forward requests; `None` in a host.
    pub(super) hosts: Option<Arc<Hosts>>,
}

impl LocalApi {
    async fn answer(&self, request: ApiRequest) -> Result<ApiResponse, String> {
        let ApiRequest { method, path, token, content_type, body } = request;
        let mut builder = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            builder = builder.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(content_type) = content_type {
            builder = builder.header(CONTENT_TYPE, content_type);
        }
        let request = builder.body(Body::from(body)).map_err(|error| error.to_string())?;
        let response: Response = match self.routes.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        let payloads = response.headers().get(PAYLOADS_HEADER).and_then(|name| Payloads::named(name.to_str().ok()?));
        let payloads = payloads.unwrap_or_default();
        // The API bounds its own answers.
        let body = to_bytes(response.into_body(), usize::MAX).await.map_err(|error| error.to_string())?;
        Ok(ApiResponse { status, payloads, body })
    }
}

#[async_trait]
impl Api for LocalApi {
    async fn call(&self, request: ApiRequest) -> ApiResponse {
        self.answer(request).await.unwrap_or_else(|reason| {
            let body = ErrorBody { step: None, reason: format!("the request can't be made: {reason}") };
            let body = serde_json::to_vec(&body).map(Bytes::from).unwrap_or_default();
            ApiResponse { status: StatusCode::BAD_REQUEST, payloads: Payloads::Show, body }
        })
    }

    fn host_of(&self, pipeline: &str) -> Option<String> {
        self.hosts.as_ref()?.url_of(pipeline)
    }

    fn needs_token(&self) -> bool {
        self.guard.needs_token()
    }

    async fn accepts_token(&self, token: &str) -> bool {
        self.guard.accepts(token.as_bytes())
    }
}
