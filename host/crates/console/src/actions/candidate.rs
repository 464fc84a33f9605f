//! A candidate: upload and try-out, then swap, shadow or discard.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;
use mapper_api::versions::{Report, ShadowStatus, SwapOutcome};
use maud::{Markup, html};

use super::upload::{MAX_FORM_BYTES, Upload};
use super::{NoFields, OwnForm};
use crate::Console;
use crate::api::{ApiError, Payload, of_pipeline};
use crate::candidates::Candidate;
use crate::format::{bytes, safe};
use crate::frame::Frame;
use crate::pages::versions::{frame, result};
use crate::session::Session;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/pipelines/{name}/candidates", post(upload).layer(DefaultBodyLimit::max(MAX_FORM_BYTES)))
        .route("/pipelines/{name}/candidates/{digest}/swap", post(swap))
        .route("/pipelines/{name}/candidates/{digest}/shadow", post(shadow))
        .route("/pipelines/{name}/candidates/{digest}/discard", post(discard))
        .route("/pipelines/{name}/shadow/stop", post(stop_shadow))
}

async fn upload(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
    form: Multipart,
) -> Response {
    let frame = frame(&console, &session, &name, false);
    let Upload { file_name, plugin, .. } = match Upload::read(&frame, form).await {
        Ok(upload) => upload,
        Err(refused) => return *refused,
    };
    let report = swap_to(&console, &session, &name, plugin.clone(), true).await;
    let report = match report {
        Ok(report) => report,
        Err(error) => return frame.error(&error),
    };
    let can_swap = report.outcome == SwapOutcome::Tried;
    let mut content = result(&report);
    if can_swap {
        let digest = console.candidates.add(session.id(), &name, &file_name, plugin);
        if let Some(candidate) = console.candidates.get(session.id(), &name, &digest) {
            content = html! { (content) (decision(&frame, &name, &candidate)) };
        }
    }
    respond(&frame, &name, &content, &report)
}

/// What can be done with a candidate.
fn decision(frame: &Frame<'_>, pipeline: &str, candidate: &Candidate) -> Markup {
    let Candidate { digest, file_name, plugin, .. } = candidate;
    let action = |action: &str| frame.console.link_of(pipeline, &format!("/candidates/{digest}/{action}"));
    html! {
        section {
            h2 { "Decide about " (safe(file_name)) " (" (bytes(plugin.len() as u64)) ")" }
            div .choices {
                form method="post" action=(action("swap")) data-confirm="Make this version active on all workers?" {
                    (frame.key()) button { "Swap" }
                }
                form method="post" action=(action("shadow")) { (frame.key()) button .plain { "Run as a shadow" } }
                form method="post" action=(action("discard")) { (frame.key()) button .plain { "Discard" } }
            }
            (frame.command(&format!("mapper-host swap {file_name}")))
            (frame.command(&format!("mapper-host shadow {file_name}")))
        }
    }
}

/// Swaps to a plugin, or only tries it out.
async fn swap_to(
    console: &Console,
    session: &Session,
    pipeline: &str,
    plugin: Bytes,
    is_dry_run: bool,
) -> Result<Report, ApiError> {
    let route = if is_dry_run { "/swap?dry-run=true" } else { "/swap" };
    // A refusal is a report, too.
    let accepted = [StatusCode::UNPROCESSABLE_ENTITY];
    session.client(console).send(Method::POST, of_pipeline(pipeline, route), Payload::Plugin(plugin), &accepted).await
}

/// The page with a result; its status is that of the API.
pub(super) fn respond(frame: &Frame<'_>, pipeline: &str, content: &Markup, report: &Report) -> Response {
    let mut response = frame.page(&html! {
        (content)
        p { a href=(frame.console.link_of(pipeline, "/versions")) { "To the versions" } }
    });
    if report.outcome == SwapOutcome::Refused {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    response
}

/// The candidate of a form, or the page that says why there is none.
fn candidate(console: &Console, session: &Session, (name, digest): (&str, &str)) -> Result<Candidate, Box<Response>> {
    console.candidates.get(session.id(), name, digest).ok_or_else(|| {
        let reason =
            format!("the upload {digest} is not here any more: newer ones have replaced it. Upload the plugin again");
        Box::new(frame(console, session, name, false).error(&ApiError { status: StatusCode::NOT_FOUND, reason }))
    })
}

async fn swap(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path((name, digest)): Path<(String, String)>,
    _: OwnForm<NoFields>,
) -> Response {
    let candidate = match candidate(&console, &session, (&name, &digest)) {
        Ok(candidate) => candidate,
        Err(refused) => return *refused,
    };
    let frame = frame(&console, &session, &name, false);
    match swap_to(&console, &session, &name, candidate.plugin, false).await {
        Ok(report) => {
            if report.outcome != SwapOutcome::Refused {
                console.candidates.remove(session.id(), &name, &digest);
            }
            respond(&frame, &name, &result(&report), &report)
        }
        Err(error) => frame.error(&error),
    }
}

async fn shadow(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path((name, digest)): Path<(String, String)>,
    _: OwnForm<NoFields>,
) -> Response {
    let candidate = match candidate(&console, &session, (&name, &digest)) {
        Ok(candidate) => candidate,
        Err(refused) => return *refused,
    };
    let path = of_pipeline(&name, "/shadow");
    let started: Result<Option<ShadowStatus>, _> =
        session.client(&console).send(Method::POST, path, Payload::Plugin(candidate.plugin), &[]).await;
    match started {
        Ok(_) => {
            console.candidates.remove(session.id(), &name, &digest);
            Redirect::to(&console.link_of(&name, "/versions")).into_response()
        }
        Err(error) => frame(&console, &session, &name, false).error(&error),
    }
}

async fn discard(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path((name, digest)): Path<(String, String)>,
    _: OwnForm<NoFields>,
) -> Response {
    console.candidates.remove(session.id(), &name, &digest);
    Redirect::to(&console.link_of(&name, "/versions")).into_response()
}

async fn stop_shadow(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
    _: OwnForm<NoFields>,
) -> Response {
    let path = of_pipeline(&name, "/shadow");
    let stopped: Result<Option<ShadowStatus>, _> =
        session.client(&console).send(Method::DELETE, path, Payload::None, &[]).await;
    match stopped {
        Ok(_) => Redirect::to(&console.link_of(&name, "/versions")).into_response(),
        Err(error) => frame(&console, &session, &name, false).error(&error),
    }
}
