//! A rollback: first what it would do, then the decision.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use mapper_api::versions::{Report, RollbackPlan};
use maud::{Markup, html};
use serde::Deserialize;

use super::OwnForm;
use super::candidate::respond;
use crate::Console;
use crate::api::{Payload, escaped, of_pipeline};
use crate::format::{safe, short_digest, time};
use crate::frame::Frame;
use crate::pages::versions::{frame, result};
use crate::session::Session;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/pipelines/{name}/rollback", get(plan).post(rollback))
}

#[derive(Deserialize)]
struct Target {
    /// The version; the one before if it is missing.
    to: Option<String>,
}

async fn plan(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
    Query(Target { to }): Query<Target>,
) -> Response {
    let frame = frame(&console, &session, &name, false);
    let query = to.map(|to| format!("?to={}", escaped(&to))).unwrap_or_default();
    let plan: Result<RollbackPlan, _> =
        session.client(&console).get(of_pipeline(&name, &format!("/rollback{query}"))).await;
    match plan {
        Ok(plan) => frame.page(&content(&frame, &name, &plan)),
        Err(error) => frame.error(&error),
    }
}

fn content(frame: &Frame<'_>, pipeline: &str, plan: &RollbackPlan) -> Markup {
    let RollbackPlan { from, to, last_active, probation_failure } = plan;
    html! {
        section {
            h2 { "Return to " (safe(&to.name)) " " (safe(&to.version)) "?" }
            p {
                "From " strong { (safe(&from.name)) " " (safe(&from.version)) } " " code { (short_digest(&from.digest)) }
                " to " strong { (safe(&to.name)) " " (safe(&to.version)) } " " code { (short_digest(&to.digest)) }
                @if let Some(since) = last_active { ", last active since " (time(since)) } "."
            }
            @if let Some(failure) = probation_failure { p .message.doubtful { "It failed its probation then: " (safe(failure)) } }
            form method="post" action=(frame.console.link_of(pipeline, "/rollback")) {
                (frame.key())
                input type="hidden" name="to" value=(to.digest);
                input type="hidden" name="from" value=(from.digest);
                button disabled[!frame.may_change()] { "Return to this version" }
            }
            (frame.command(&format!("mapper-host rollback --to {}", short_digest(&to.digest))))
        }
    }
}

#[derive(Deserialize)]
struct Decision {
    to: String,
    /// The version that was active on the page: another one since then is not replaced.
    from: String,
}

async fn rollback(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
    OwnForm(Decision { to, from }): OwnForm<Decision>,
) -> Response {
    let frame = frame(&console, &session, &name, false);
    let path = of_pipeline(&name, &format!("/rollback?to={}&from={}", escaped(&to), escaped(&from)));
    let accepted = [StatusCode::UNPROCESSABLE_ENTITY];
    let report: Result<Report, _> = session.client(&console).send(Method::POST, path, Payload::None, &accepted).await;
    match report {
        Ok(report) => respond(&frame, &name, &result(&report), &report),
        Err(error) => frame.error(&error),
    }
}
