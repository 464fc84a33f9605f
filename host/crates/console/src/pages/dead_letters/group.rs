//! A group of dead letters: what fails, and what can be done about it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use mapper_api::dead_letters::{Decision, LetterGroup, LetterGroupDetails};
use maud::{Markup, html};

use super::list::table;
use super::{frame, lag, trend};
use crate::Console;
use crate::api::{escaped, of_pipeline};
use crate::format::{count, safe, share, short_digest, time};
use crate::frame::{Frame, facts};
use crate::session::Session;

pub(in crate::pages) async fn page(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path((name, fingerprint)): Path<(String, String)>,
) -> Response {
    let title = format!("Group {fingerprint}");
    let frame = frame(&console, &session, &name, &title);
    let path = of_pipeline(&name, &format!("/dead-letters/groups/{}", escaped(&fingerprint)));
    let group: Result<LetterGroupDetails, _> = session.client(&console).get(path).await;
    match group {
        Ok(group) => frame.page(&content(&frame, &name, &group)),
        Err(error) => frame.error(&error),
    }
}

fn content(frame: &Frame<'_>, pipeline: &str, details: &LetterGroupDetails) -> Markup {
    let LetterGroupDetails { group, letters, as_of } = details;
    html! {
        (lag(as_of.as_deref()))
        p .message.doubtful { strong { (safe(&group.kind)) ": " } (safe(&group.message)) }
        (figures(group))
        @if let Some(backtrace) = letters.iter().find_map(|letter| letter.backtrace.as_deref()) {
            section { h2 { "Backtrace and log" } pre { (safe(backtrace)) } }
        }
        section {
            h2 { "Letters" }
            (table(frame, letters))
            p { a href=(frame.console.link_of(pipeline, &format!("/dead-letters/letters?group={}", group.fingerprint))) { "All letters of the group" } }
            (frame.command(&format!("mapper-host dlq show {}", group.fingerprint)))
        }
        (fix(frame, pipeline, group))
        (decide(frame, pipeline, group))
        (history(group))
    }
}

fn figures(group: &LetterGroup) -> Markup {
    let when = |at: &Option<String>| html! { @if let Some(at) = at { (time(at)) } @else { "unknown" } };
    facts(&[
        (
            "State",
            html! { strong { (group.state.name()) } @if let Some(decision) = &group.decision { " by " (safe(&decision.by)) } },
        ),
        ("Open letters", html! { (count(group.count)) ", " (share(group.share_of_letters)) " of all letters" }),
        (
            "Share of the records meanwhile",
            html! { (group.share_of_records.map_or_else(|| "unknown".to_owned(), share)) },
        ),
        ("Failures per hour of the last day", trend(&group.trend)),
        ("First and last failure", html! { (when(&group.first_failed)) " – " (when(&group.last_failed)) }),
        ("Most failures of a record", html! { (group.max_attempt) }),
        (
            "Versions",
            html! { @for version in &group.versions {
                div { (safe(&version.version.name)) " " (safe(&version.version.version)) " " code title=(version.version.digest) { (short_digest(&version.version.digest)) }
                    ": " (count(version.count)) }
            } },
        ),
    ])
}

/// Test cases, a try-out of a fix, and the redrive.
fn fix(frame: &Frame<'_>, pipeline: &str, group: &LetterGroup) -> Markup {
    let disabled = !frame.may_change();
    let link =
        |route: &str| frame.console.link_of(pipeline, &format!("/dead-letters/groups/{}{route}", group.fingerprint));
    html! {
        section {
            h2 { "Fix it" }
            p { a href=(link("/cases")) download { "Download test cases of these records" } ": add them to the cases of the plugin, fix it, and run " code { "mapper-host test" } "." }
            (frame.command(&format!("mapper-host dlq cases {} > cases/bug.jsonl", group.fingerprint)))
            form .card method="post" enctype="multipart/form-data" action=(link("/try")) data-upload {
                (frame.key())
                label for="try-plugin" { "Try a version on the letters; nothing is written" }
                input #try-plugin type="file" name="plugin" accept=".wasm,application/wasm" required;
                button disabled[disabled] { "Upload and try" }
            }
            (frame.command(&format!("mapper-host dlq try FILE.wasm --group {}", group.fingerprint)))
            form .card method="post" action=(link("/redrive")) data-confirm="Redrive these letters with the active version?" {
                (frame.key())
                p { "Redrive the letters with the active version: its outputs, and what is done about the letters, are written in one transaction." }
                label for="batches" { "Batches; after each one you are asked" }
                input #batches name="batches" value="10,100,all" pattern="[0-9,al]*";
                button disabled[disabled] { "Redrive" }
            }
            (frame.command(&format!("mapper-host dlq redrive --group {} --batches 10,100,all", group.fingerprint)))
        }
    }
}

/// The decisions that people make about a group: the route, its title, and the command.
const DECISIONS: [(&str, &str, &str); 4] = [
    ("acknowledge", "Acknowledge", "ack"),
    ("resolve", "Mark as resolved", "resolve"),
    ("mute", "Mute", "mute"),
    ("reopen", "Reopen", "reopen"),
];

fn decide(frame: &Frame<'_>, pipeline: &str, group: &LetterGroup) -> Markup {
    let disabled = !frame.may_change();
    let link =
        |route: &str| frame.console.link_of(pipeline, &format!("/dead-letters/groups/{}{route}", group.fingerprint));
    html! {
        section {
            h2 { "Decide" }
            form .card method="post" action=(link("/decide")) {
                (frame.key())
                label for="reason" { "Reason; it is recorded with the time and the machine" }
                input #reason name="reason" required maxlength="1000";
                div .choices {
                    @for (mark, title, _) in DECISIONS { button .plain name="mark" value=(mark) disabled[disabled] { (title) } }
                }
            }
            @for (_, _, command) in DECISIONS { (frame.command(&format!("mapper-host dlq {command} {} --reason TEXT", group.fingerprint))) }
            form .card method="post" action=(link("/discard")) data-confirm="Close these letters without processing them?" {
                (frame.key())
                label for="discard-reason" { "Discard: close the letters without processing their records, because" }
                input #discard-reason name="reason" required maxlength="1000";
                button disabled[disabled] { "Discard " (count(group.count)) " letters" }
            }
            (frame.command(&format!("mapper-host dlq discard {} --reason TEXT", group.fingerprint)))
        }
    }
}

fn history(group: &LetterGroup) -> Markup {
    let decisions: Vec<&Decision> = group.decision.iter().chain(&group.history).collect();
    html! {
        @if !decisions.is_empty() {
            section {
                h2 { "Who did what" }
                ol .timeline { @for decision in decisions { li {
                    (time(&decision.at)) " " strong { (safe(&decision.mark)) } " by " (safe(&decision.by)) ": " (safe(&decision.reason))
                    @if let Some(until) = &decision.until { ", until " (time(until)) }
                } } }
            }
        }
    }
}
