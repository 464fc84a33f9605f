//! Dead letters: decisions, test cases, the try-out of a fix, and redrives.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use mapper_api::dead_letters::{DecisionRequest, DiscardRequest, DiscardedLetters, RecordedDecision};
use mapper_api::redrives::{LetterTryOut, Redrive, TriedLetter};
use maud::{Markup, html};
use serde::Deserialize;

use super::upload::{MAX_FORM_BYTES, Upload};
use super::{NoFields, OwnForm};
use crate::Console;
use crate::api::{ApiError, Payload, escaped, of_pipeline};
use crate::format::{count, excerpt, safe};
use crate::frame::Frame;
use crate::pages::dead_letters::frame;
use crate::session::Session;

const MAX_RESULT_CHARS: usize = 400;

pub(super) fn routes() -> Router<Arc<Console>> {
    const GROUP: &str = "/pipelines/{name}/dead-letters/groups/{fingerprint}";
    const REDRIVE: &str = "/pipelines/{name}/redrives/{id}";
    Router::new()
        .route(&format!("{GROUP}/cases"), get(cases))
        .route(&format!("{GROUP}/decide"), post(decide))
        .route(&format!("{GROUP}/discard"), post(discard))
        .route(&format!("{GROUP}/try"), post(try_out).layer(DefaultBodyLimit::max(MAX_FORM_BYTES)))
        .route(&format!("{GROUP}/redrive"), post(redrive))
        .route(&format!("{REDRIVE}/continue"), post(go_on))
        .route(&format!("{REDRIVE}/stop"), post(stop))
}

fn group_page(console: &Console, pipeline: &str, fingerprint: &str) -> String {
    console.link_of(pipeline, &format!("/dead-letters/groups/{}", escaped(fingerprint)))
}

/// The test cases of a group as a file.
async fn cases(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path((name, fingerprint)): Path<(String, String)>,
) -> Response {
    let path = of_pipeline(&name, &format!("/dead-letters/cases?group={}", escaped(&fingerprint)));
    match session.client(&console).get_bytes(path).await {
        Ok(lines) => {
            let headers =
                [(CONTENT_TYPE, "application/jsonl"), (CONTENT_DISPOSITION, "attachment; filename=\"bug.jsonl\"")];
            (headers, lines).into_response()
        }
        Err(error) => frame(&console, &session, &name, "Test cases").error(&error),
    }
}

#[derive(Deserialize)]
struct Decision {
    reason: String,
    mark: String,
}

async fn decide(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path((name, fingerprint)): Path<(String, String)>,
    OwnForm(Decision { reason, mark }): OwnForm<Decision>,
) -> Response {
    let route = format!("/dead-letters/groups/{}/{}", escaped(&fingerprint), escaped(&mark));
    let body = Payload::json(&DecisionRequest { reason, ..DecisionRequest::default() });
    let recorded: Result<RecordedDecision, _> =
        session.client(&console).send(Method::POST, of_pipeline(&name, &route), body, &[]).await;
    match recorded {
        Ok(_) => Redirect::to(&group_page(&console, &name, &fingerprint)).into_response(),
        Err(error) => frame(&console, &session, &name, "Nothing was recorded").error(&error),
    }
}

#[derive(Deserialize)]
struct Discard {
    reason: String,
}

async fn discard(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path((name, fingerprint)): Path<(String, String)>,
    OwnForm(Discard { reason }): OwnForm<Discard>,
) -> Response {
    let path = of_pipeline(&name, &format!("/dead-letters/discard?group={}", escaped(&fingerprint)));
    let body = Payload::json(&DiscardRequest { reason });
    let discarded: Result<DiscardedLetters, _> = session.client(&console).send(Method::POST, path, body, &[]).await;
    let frame = frame(&console, &session, &name, "Discarded letters");
    match discarded {
        Ok(discarded) => frame.page(&html! {
            p .message.good role="status" { (count(discarded.discarded)) " letters are closed: " (safe(&discarded.reason)) }
            p { a href=(console.link_of(&name, "/dead-letters")) { "To the dead letters" } }
        }),
        Err(error) => frame.error(&error),
    }
}

async fn try_out(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path((name, fingerprint)): Path<(String, String)>,
    form: Multipart,
) -> Response {
    let frame = frame(&console, &session, &name, "Try-out of dead letters");
    let Upload { file_name, plugin, .. } = match Upload::read(&frame, form).await {
        Ok(upload) => upload,
        Err(refused) => return *refused,
    };
    let path = of_pipeline(&name, &format!("/dead-letters/try?group={}", escaped(&fingerprint)));
    let tried: Result<LetterTryOut, _> =
        session.client(&console).send(Method::POST, path, Payload::Plugin(plugin.clone()), &[]).await;
    match tried {
        Ok(tried) => {
            let digest = console.candidates.add(session.id(), &name, &file_name, plugin);
            frame.page(&html! {
                (result(&tried))
                (redrive_form(&frame, &name, &fingerprint, &digest, &file_name))
                p { a href=(group_page(&console, &name, &fingerprint)) { "To the group" } }
            })
        }
        Err(error) => frame.error(&error),
    }
}

fn result(tried: &LetterTryOut) -> Markup {
    let class = if tried.passed == tried.letters && tried.letters > 0 { "good" } else { "doubtful" };
    html! {
        p .message.(class) role="status" {
            strong { (count(tried.passed)) " of " (count(tried.letters)) " letters pass" }
            " with " (count(tried.outputs)) " outputs, " (count(tried.skipped)) " of them without one. "
            (count(tried.failed_as_before)) " fail as before, " (count(tried.failed_differently)) " fail differently. Nothing was written."
        }
        (samples("Letters that pass", &tried.samples))
        @for (fingerprint, failure) in &tried.new_failures {
            (samples(&format!("{} fail with {fingerprint}, {}: {}", count(failure.count), failure.kind, failure.message), &failure.samples))
        }
    }
}

fn samples(title: &str, tried: &[TriedLetter]) -> Markup {
    html! {
        @if !tried.is_empty() {
            h2 { (excerpt(title, MAX_RESULT_CHARS)) }
            div .scroll tabindex="0" role="group" aria-label="Table" { table .differences {
                thead { tr { th scope="col" { "Record" } th scope="col" { "In the letter" } th scope="col" { "With this version" } } }
                tbody { @for letter in tried { tr {
                    th scope="row" { (safe(&letter.record)) }
                    td { pre { (excerpt(&letter.before, MAX_RESULT_CHARS)) } }
                    td { pre { (excerpt(&letter.now, MAX_RESULT_CHARS)) } }
                } } }
            } }
        }
    }
}

/// The form that redrives the letters with the version that was tried.
fn redrive_form(frame: &Frame<'_>, pipeline: &str, fingerprint: &str, digest: &str, file_name: &str) -> Markup {
    let action = format!("{}/redrive", group_page(frame.console, pipeline, fingerprint));
    html! {
        form .card method="post" action=(action) data-confirm="Redrive the letters with this version?" {
            (frame.key())
            input type="hidden" name="candidate" value=(digest);
            label for="batches" { "Redrive the letters with this version, in batches; after each one you are asked" }
            input #batches name="batches" value="10,100,all" pattern="[0-9,al]*";
            button { "Redrive" }
        }
        (frame.command(&format!("mapper-host dlq redrive --plugin {file_name} --group {fingerprint} --batches 10,100,all")))
    }
}

#[derive(Deserialize)]
struct Start {
    batches: String,
    /// The digest of the tried version; without one the active version.
    candidate: Option<String>,
}

async fn redrive(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path((name, fingerprint)): Path<(String, String)>,
    OwnForm(Start { batches, candidate }): OwnForm<Start>,
) -> Response {
    let frame = frame(&console, &session, &name, "No redrive was started");
    let body = match candidate.as_deref().map(|digest| (digest, console.candidates.get(session.id(), &name, digest))) {
        None => Payload::None,
        Some((_, Some(candidate))) => Payload::Plugin(candidate.plugin),
        Some((digest, None)) => {
            let reason = format!(
                "the upload {digest} is not here any more: newer ones have replaced it. Upload the plugin again"
            );
            return frame.error(&ApiError { status: StatusCode::NOT_FOUND, reason });
        }
    };
    let batches = if batches.is_empty() { String::new() } else { format!("&batches={}", escaped(&batches)) };
    let path = of_pipeline(&name, &format!("/redrives?group={}{batches}", escaped(&fingerprint)));
    let started: Result<Redrive, _> = session.client(&console).send(Method::POST, path, body, &[]).await;
    match started {
        Ok(redrive) => Redirect::to(&redrive_page(&console, &name, &redrive.id)).into_response(),
        Err(error) => frame.error(&error),
    }
}

fn redrive_page(console: &Console, pipeline: &str, id: &str) -> String {
    console.link_of(pipeline, &format!("/redrives/{}", escaped(id)))
}

async fn go_on(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path((name, id)): Path<(String, String)>,
    _: OwnForm<NoFields>,
) -> Response {
    change(&console, &session, (&name, &id), (Method::POST, "/continue")).await
}

async fn stop(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path((name, id)): Path<(String, String)>,
    _: OwnForm<NoFields>,
) -> Response {
    change(&console, &session, (&name, &id), (Method::DELETE, "")).await
}

/// Changes a running redrive, and shows it.
async fn change(
    console: &Console,
    session: &Session,
    (name, id): (&str, &str),
    (method, route): (Method, &str),
) -> Response {
    let path = of_pipeline(name, &format!("/redrives/{}{route}", escaped(id)));
    let changed: Result<Redrive, _> = session.client(console).send(method, path, Payload::None, &[]).await;
    match changed {
        Ok(_) => Redirect::to(&redrive_page(console, name, id)).into_response(),
        Err(error) => frame(console, session, name, "Redrive").error(&error),
    }
}
