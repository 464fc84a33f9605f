//! The redrives of a pipeline, and one of them with its progress.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use mapper_api::redrives::{Redrive, RedriveState};
use maud::{Markup, html};

use super::dead_letters::frame;
use crate::Console;
use crate::api::{escaped, of_pipeline};
use crate::format::{count, rate, safe, time};
use crate::frame::{Frame, facts};
use crate::session::Session;

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
) -> Response {
    let frame = Frame { is_live: true, ..frame(&console, &session, &name, "Redrives") };
    let redrives: Result<Vec<Redrive>, _> = session.client(&console).get(of_pipeline(&name, "/redrives")).await;
    match redrives {
        Ok(redrives) => frame.page(&table(&frame, &name, &redrives)),
        Err(error) => frame.error(&error),
    }
}

fn table(frame: &Frame<'_>, pipeline: &str, redrives: &[Redrive]) -> Markup {
    html! {
        @if redrives.is_empty() { p { "This host has started no redrive since its start." } }
        @else {
            div .scroll tabindex="0" role="group" aria-label="Table" { table {
                thead { tr { th scope="col" { "Redrive" } th scope="col" { "State" } th scope="col" .number { "Done" } th scope="col" .number { "Letters" }
                    th scope="col" .number { "Failed again" } th scope="col" { "Started" } } }
                tbody { @for redrive in redrives { tr {
                    th scope="row" { a href=(frame.console.link_of(pipeline, &format!("/redrives/{}", escaped(&redrive.id)))) { (safe(&redrive.id)) } }
                    td { (redrive.state.name()) }
                    td .number { (count(redrive.progress.done)) }
                    td .number { (count(redrive.progress.letters)) }
                    td .number { (count(redrive.progress.failed_again)) }
                    td { (time(&redrive.started)) }
                } } }
            } }
        }
    }
}

pub(super) async fn page(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path((name, id)): Path<(String, String)>,
) -> Response {
    let title = format!("Redrive {id}");
    let mut frame = frame(&console, &session, &name, &title);
    let path = of_pipeline(&name, &format!("/redrives/{}", escaped(&id)));
    let redrive: Result<Redrive, _> = session.client(&console).get(path.clone()).await;
    match redrive {
        Ok(redrive) => {
            frame.events = (!redrive.state.is_ended()).then(|| format!("{}{path}/events", console.options.base_path));
            frame.page(&content(&frame, &name, &redrive))
        }
        Err(error) => frame.error(&error),
    }
}

fn content(frame: &Frame<'_>, pipeline: &str, redrive: &Redrive) -> Markup {
    let Redrive { id, state, by, started, ended, version, to_input, progress, new_groups, left_out, error } = redrive;
    let action = |action: &str| frame.console.link_of(pipeline, &format!("/redrives/{}/{action}", escaped(id)));
    let class = match state {
        RedriveState::Finished => "good",
        RedriveState::Failed => "bad",
        _ => "doubtful",
    };
    html! {
        p .message.(class) role="status" {
            strong { (words(*state)) }
            @if let Some(error) = error { " " (safe(error)) }
        }
        progress max=(progress.letters.max(1)) value=(progress.done) aria-label="Letters that are done" {}
        (facts(&[
            ("Letters", html! { (count(progress.done)) " of " (count(progress.letters)) " done" }),
            ("Outputs", html! { (count(progress.outputs)) ", " (count(progress.skipped)) " letters without one" }),
            ("Failed again", html! { (count(progress.failed_again)) }),
            ("Speed", html! { (rate(progress.per_second)) " letters/s" @if let Some(left) = progress.seconds_left { ", " (count(left as u64)) " s left" } }),
            ("Version", html! {
                @if *to_input { "none: the records go to their input topics" }
                @else if let Some(version) = version { (safe(&version.name)) " " (safe(&version.version)) }
                @else { "being loaded" }
            }),
            ("Started", html! { (time(started)) " by " (safe(by)) @if let Some(ended) = ended { ", ended " (time(ended)) } }),
        ]))
        @if let Some(left_out) = left_out {
            @if left_out.exhausted + left_out.lost + left_out.stale > 0 {
                p { "Left out: " (count(left_out.exhausted)) " failed too often, " (count(left_out.lost)) " were cut and are not in their topic any more, "
                    (count(left_out.stale)) " have a newer output of their key." }
            }
        }
        @if !new_groups.is_empty() {
            h2 { "New kinds of failures" }
            ul { @for (fingerprint, failure) in new_groups { li {
                a href=(frame.console.link_of(pipeline, &format!("/dead-letters/groups/{}", escaped(fingerprint)))) { code { (safe(fingerprint)) } }
                ": " (safe(failure))
            } } }
        }
        div .choices {
            @if *state == RedriveState::Waiting {
                form method="post" action=(action("continue")) { (frame.key()) button disabled[!frame.may_change()] { "Continue with the next batch" } }
            }
            @if !state.is_ended() && *state != RedriveState::Stopping {
                form method="post" action=(action("stop")) { (frame.key()) button .plain disabled[!frame.may_change()] { "Stop" } }
            }
        }
        p { a href=(frame.console.link_of(pipeline, "/dead-letters")) { "To the dead letters" } }
    }
}

fn words(state: RedriveState) -> &'static str {
    match state {
        RedriveState::Starting => "It loads the plugin and looks for the letters.",
        RedriveState::Running => "It maps letters.",
        RedriveState::Waiting => "A batch is done. The next one waits for your decision.",
        RedriveState::Stopping => "It ends after the open transaction.",
        RedriveState::Finished => "Finished.",
        RedriveState::Stopped => "Stopped. The next redrive takes the other letters.",
        RedriveState::Failed => "It failed. The next redrive takes the letters that are not done.",
    }
}
