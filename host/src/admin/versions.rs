//! Swapping over HTTP: `/swap`, `/rollback`, `/history` and `/shadow`. A plugin is the body of a request, never a path.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Query};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::LengthLimitError;

use mapper_api::PLUGIN_MEDIA_TYPE;
use mapper_api::versions::ErrorBody;
use serde::Deserialize;

use super::json::Json;
use super::pipelines::OfPipeline;
use crate::pipelines::{Entry, PipelineRegistry};
use crate::swap::Control;
use mapper_api::versions::{Step, SwapOutcome};
use mapper_core::identity::MAX_PLUGIN_BYTES;
use mapper_versions::history::Trigger;
use mapper_versions::swapper::{Busy, Refusal, Reply, Request};
use mapper_versions::uploads::{MAX_UPLOADS, Uploads};

/// How long a client may take to send a plugin.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn routes() -> Router<Arc<PipelineRegistry>> {
    Router::new()
        .route("/swap", post(swap))
        .route("/rollback", get(rollback_plan).post(rollback))
        .route("/history", get(history))
        .route("/shadow", get(shadow).post(start_shadow).delete(stop_shadow))
        // The handler limits the body when it reads it.
        .layer(DefaultBodyLimit::disable())
}

/// The options of a swap.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct SwapOptions {
    /// Ends after the try-out.
    dry_run: bool,
    /// Skips the try-out.
    force: bool,
}

/// An answer to a request that was not carried out.
pub(super) struct Failed(pub(super) StatusCode, pub(super) ErrorBody);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

pub(super) fn failed(status: StatusCode, reason: impl Into<String>) -> Failed {
    Failed(status, ErrorBody { step: None, reason: reason.into() })
}

impl From<Busy> for Failed {
    fn from(busy: Busy) -> Self {
        let status = match busy {
            Busy::Swapping(_) => StatusCode::CONFLICT,
            Busy::Ending => StatusCode::SERVICE_UNAVAILABLE,
            Busy::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        };
        failed(status, busy.to_string())
    }
}

pub(super) fn control(entry: &Entry) -> Result<&Arc<Control>, Failed> {
    entry.versions().ok_or_else(|| match entry.is_elsewhere() {
        true => no_host(),
        false => failed(StatusCode::SERVICE_UNAVAILABLE, "the pipeline is still starting"),
    })
}

/// The answer of a console to a request that only a host can answer.
pub(super) fn no_host() -> Failed {
    failed(
        StatusCode::CONFLICT,
        "only a host of the pipeline can answer this, and the console knows none. Start the console with --host URL, the address \
         that a host of the pipeline has as --admin",
    )
}

/// Reads a plugin for the swap thread. Other clients can swap at the same time.
async fn plugin(control: &Control, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Failed> {
    check_media_type(headers)?;
    if let Some(step) = control.requests.current_step() {
        return Err(Busy::Swapping(step).into());
    }
    read_plugin(&control.uploads, headers, body).await
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Failed> {
    if headers.get(CONTENT_TYPE).is_none_or(|given| given != PLUGIN_MEDIA_TYPE) {
        let why = format!("send the plugin as the body, with Content-Type: {PLUGIN_MEDIA_TYPE}");
        return Err(failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    Ok(())
}

/// Reads a plugin.
///
/// # Errors
/// If the body is none, or is not complete.
pub(super) async fn read_plugin(uploads: &Uploads, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Failed> {
    check_media_type(headers)?;
    read_upload(uploads, headers, body, (MAX_PLUGIN_BYTES, "plugin")).await
}

/// Reads a body that may have a plugin. `limit` has the most bytes, and what the body is.
///
/// # Errors
/// If it is empty, or not complete.
pub(super) async fn read_upload(
    uploads: &Uploads,
    headers: &HeaderMap,
    body: Body,
    (max_bytes, what): (u64, &str),
) -> Result<Vec<u8>, Failed> {
    let most = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    let too_large = || failed(StatusCode::PAYLOAD_TOO_LARGE, format!("a {what} may have {most} bytes at most"));
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: u64| bytes > max_bytes) {
        return Err(too_large());
    }
    let upload = uploads.begin();
    let read = tokio::select! {
        read = tokio::time::timeout(UPLOAD_TIMEOUT, to_bytes(body, most)) => read,
        () = upload.replaced() => {
            let why = format!("{MAX_UPLOADS} newer plugins are being sent, and this one was not complete; send it again");
            return Err(failed(StatusCode::SERVICE_UNAVAILABLE, why));
        }
    };
    let too_slow = |_| {
        let limit = UPLOAD_TIMEOUT.as_secs();
        failed(StatusCode::REQUEST_TIMEOUT, format!("the {what} was not complete after {limit} s; send it faster"))
    };
    let bytes = read.map_err(too_slow)?.map_err(|error| {
        // A chunked body has no Content-Length.
        let is_too_large = error.source().is_some_and(|source| source.is::<LengthLimitError>());
        if is_too_large {
            return too_large();
        }
        failed(StatusCode::BAD_REQUEST, format!("the {what} was not complete: {error}. Send it again"))
    })?;
    if bytes.is_empty() {
        return Err(failed(StatusCode::BAD_REQUEST, format!("the body is empty; send the {what}")));
    }
    Ok(bytes.into())
}

async fn answer(control: &Control, request: Request) -> Result<Response, Failed> {
    let reply = control.requests.submit(request)?.await;
    match reply {
        Ok(Reply::Report(report)) => {
            let status = match report.outcome {
                SwapOutcome::Swapped | SwapOutcome::Unchanged | SwapOutcome::Tried => StatusCode::OK,
                SwapOutcome::Switching => StatusCode::ACCEPTED,
                SwapOutcome::Refused => StatusCode::UNPROCESSABLE_ENTITY,
            };
            Ok((status, Json(report)).into_response())
        }
        Ok(Reply::Shadow(Ok(()))) => Ok(shadow_status(control).into_response()),
        Ok(Reply::Shadow(Err(Refusal { step, reason }))) => {
            Err(Failed(StatusCode::UNPROCESSABLE_ENTITY, ErrorBody { step: Some(step), reason }))
        }
        Ok(Reply::Panicked) => Err(Busy::Panicked.into()),
        Err(_) => Err(Busy::Ending.into()),
    }
}

async fn swap(
    OfPipeline(entry): OfPipeline,
    Query(options): Query<SwapOptions>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failed> {
    let control = control(&entry)?;
    let bytes = plugin(control, &headers, body).await?;
    let SwapOptions { dry_run, force } = options;
    answer(control, Request::Swap { bytes, by: Trigger::Http, force, dry_run }).await
}

/// The target of a rollback.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct RollbackTarget {
    /// The version; the one before if it is missing.
    to: Option<String>,
    /// The digest of the version that must be active; otherwise the request is refused.
    from: Option<String>,
}

/// Answers the plan of a rollback.
async fn rollback_plan(
    OfPipeline(entry): OfPipeline,
    Query(RollbackTarget { to, .. }): Query<RollbackTarget>,
) -> Result<Response, Failed> {
    let plan = control(&entry)?.rollback_plan(to.as_deref());
    let refused = |reason| Failed(StatusCode::UNPROCESSABLE_ENTITY, ErrorBody { step: Some(Step::Read), reason });
    Ok(Json(plan.map_err(refused)?).into_response())
}

async fn rollback(
    OfPipeline(entry): OfPipeline,
    Query(RollbackTarget { to, from }): Query<RollbackTarget>,
) -> Result<Response, Failed> {
    answer(control(&entry)?, Request::Rollback { to, from }).await
}

async fn history(OfPipeline(entry): OfPipeline) -> Result<Response, Failed> {
    Ok(Json(control(&entry)?.history()).into_response())
}

fn shadow_status(control: &Control) -> impl IntoResponse + use<> {
    Json(control.requests.shadow_view().map(|view| view.status()))
}

/// Answers the running or last shadow; null if there was none.
async fn shadow(OfPipeline(entry): OfPipeline) -> Result<Response, Failed> {
    Ok(shadow_status(control(&entry)?).into_response())
}

async fn start_shadow(OfPipeline(entry): OfPipeline, headers: HeaderMap, body: Body) -> Result<Response, Failed> {
    let control = control(&entry)?;
    let bytes = plugin(control, &headers, body).await?;
    answer(control, Request::Shadow { bytes }).await
}

async fn stop_shadow(OfPipeline(entry): OfPipeline) -> Result<Response, Failed> {
    answer(control(&entry)?, Request::StopShadow).await
}
