//! The versions of a plugin: the active one, the history, the upload of a candidate, rollback and shadow.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use mapper_api::status::{Plugin, Status};
use mapper_api::version_details::VersionList;
use mapper_api::versions::{
    Difference, ProbationStatus, Report, ShadowStatus, SwapOutcome, TermView, TryOut, Version, Versions,
};
use maud::{Markup, html};

use super::version_details;
use crate::Console;
use crate::api::of_pipeline;
use crate::format::{bytes, count, excerpt, safe, share, short_digest, time, trigger_words};
use crate::frame::{Frame, Tab, facts};
use crate::session::Session;

/// The characters of a record that a difference shows.
const MAX_INPUT_CHARS: usize = 400;
/// The terms that are shown.
const MAX_TERMS: usize = 50;

pub(super) async fn page(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
) -> Response {
    let frame = frame(&console, &session, &name, true);
    let client = session.client(&console);
    let status: Status = match client.get(of_pipeline(&name, "/status")).await {
        Ok(status) => status,
        Err(error) => return frame.error(&error),
    };
    let history: Vec<TermView> = client.get(of_pipeline(&name, "/history")).await.unwrap_or_default();
    let details: Option<VersionList> = client.get(of_pipeline(&name, "/versions")).await.ok();
    frame.page(&content(&frame, &status, &history, details.as_ref()))
}

pub(crate) fn frame<'a>(console: &'a Console, session: &'a Session, pipeline: &'a str, is_live: bool) -> Frame<'a> {
    Frame { console, session, title: "Versions", tab: Some((pipeline, Tab::Versions)), is_live, events: None }
}

fn content(frame: &Frame<'_>, status: &Status, history: &[TermView], details: Option<&VersionList>) -> Markup {
    let versions = status.versions.as_ref();
    html! {
        @match &status.plugin { Some(plugin) => (active(plugin, versions)), None => p .message { "The plugin is being loaded." } }
        @if let Some(versions) = versions {
            @if let Some(error) = &versions.history_error { p .message.bad { "The history can't be written: " (safe(error)) } }
            @if let Some(step) = versions.swapping { p .message { "A swap is in progress: " (step) "." } }
            @if let Some(probation) = &versions.probation { (on_probation(probation)) }
            @if let Some(report) = &versions.last { section { h2 { "Last swap" } (result(report)) } }
            @if let Some(status) = &versions.shadow { (shadow(frame, status)) }
        }
        (upload(frame))
        (terms(frame, history))
        @if let Some(details) = details { (version_details::section(details)) }
    }
}

fn active(plugin: &Plugin, versions: Option<&Versions>) -> Markup {
    facts(&[
        (
            "Active version",
            html! { strong { (safe(&plugin.name)) " " (safe(&plugin.version)) } " since " (time(&plugin.since)) },
        ),
        ("Activated by", html! { @if let Some(versions) = versions { (trigger_words(versions.by)) } }),
        ("Digest", html! { code .digest { (plugin.digest) } }),
        ("Contract", html! { (safe(&plugin.contract)) }),
        ("Size", html! { (bytes(plugin.bytes)) }),
        ("File", html! { code { (safe(&plugin.file)) } }),
    ])
}

fn on_probation(probation: &ProbationStatus) -> Markup {
    let ProbationStatus { records, max_records, failed, ratio_before } = probation;
    html! {
        section {
            h2 { "Probation" }
            p {
                "The active version has mapped " (count(*records)) " of " (count(*max_records)) " records; "
                (count(*failed)) " failed"
                @if let Some(before) = ratio_before { " (before: " (share(*before)) " of all)" }
                ". If it fails too often, the host returns to the version before."
            }
            progress max=(max_records) value=(records) aria-label="Records of the probation" {}
        }
    }
}

/// The result of a swap or of a try-out.
pub(crate) fn result(report: &Report) -> Markup {
    let (class, outcome) = match report.outcome {
        SwapOutcome::Swapped => ("good", "The version is active on all workers."),
        SwapOutcome::Unchanged => ("good", "This version was active already."),
        SwapOutcome::Tried => ("good", "The try-out succeeded. The active version was not changed."),
        SwapOutcome::Switching => ("doubtful", "Not all workers have switched yet. They will."),
        SwapOutcome::Refused => ("bad", "The version was refused. The one before stays active."),
    };
    html! {
        p .message.(class) role="status" {
            strong { (outcome) }
            @if let Some(step) = report.step { " It failed at the step " (step) "." }
            @if let Some(reason) = &report.reason { " " (safe(reason)) }
        }
        (facts(&[
            ("From", version(&report.from)),
            ("To", html! { @match &report.to { Some(to) => (version(to)), None => "unknown" } }),
            ("At", html! { (time(&report.at)) ", took " (count(report.took_ms)) " ms" @if report.forced { ", without a try-out" } }),
        ]))
        @if let Some(found) = &report.try_out { (try_out(found)) }
    }
}

fn version(version: &Version) -> Markup {
    html! { (safe(&version.name)) " " (safe(&version.version)) " " code title=(version.digest) { (short_digest(&version.digest)) } }
}

fn try_out(found: &TryOut) -> Markup {
    let TryOut { records, cases, same, different, broken, fixed, differences: shown } = found;
    html! {
        p {
            "Tried out on " (records) " recent records and " (cases) " cases: " (same) " the same, " (different) " different"
            @if *different > 0 { " (" (broken) " broken, " (fixed) " fixed)" }
            "."
        }
        (differences(shown))
    }
}

/// The results of two versions side by side.
fn differences(shown: &[Difference]) -> Markup {
    html! {
        @if !shown.is_empty() {
            div .scroll tabindex="0" role="group" aria-label="Table" {
                table .differences {
                    thead { tr {
                        th scope="col" { "Record" } th scope="col" { "Before" } th scope="col" { "With the new version" }
                    } }
                    tbody {
                        @for Difference { record, input, old, new } in shown {
                            tr {
                                th scope="row" { (safe(record)) pre { (excerpt(input, MAX_INPUT_CHARS)) } }
                                td { pre { (excerpt(old, MAX_INPUT_CHARS)) } }
                                td { pre { (excerpt(new, MAX_INPUT_CHARS)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn shadow(frame: &Frame<'_>, status: &ShadowStatus) -> Markup {
    let pipeline = frame.pipeline();
    html! {
        section {
            h2 { "Shadow" }
            p {
                (version(&status.version)) " beside " (version(&status.against)) " since " (time(&status.since))
                @if let Some(why) = &status.ended { ", ended: " (safe(why)) }
            }
            p {
                (count(status.seen)) " records seen, " (count(status.unseen)) " not: " (count(status.same)) " the same, "
                (count(status.different)) " different (" (count(status.broken)) " broken, " (count(status.fixed)) " fixed)."
            }
            (differences(&status.differences))
            @if status.running {
                form method="post" action=(frame.console.link_of(pipeline, "/shadow/stop")) data-confirm="End the shadow?" {
                    (frame.key())
                    button disabled[!frame.may_change()] { "End the shadow" }
                }
                (frame.command("mapper-host shadow --stop"))
            }
        }
    }
}

fn upload(frame: &Frame<'_>) -> Markup {
    let pipeline = frame.pipeline();
    html! {
        section {
            h2 { "Try a version out" }
            p { "The host maps recent records with it beside the active version and shows where they differ. Nothing is produced." }
            form .card method="post" enctype="multipart/form-data" action=(frame.console.link_of(pipeline, "/candidates")) data-upload {
                (frame.key())
                label for="plugin" { "Plugin (.wasm), 64 MiB at most" }
                input #plugin type="file" name="plugin" accept=".wasm,application/wasm" required;
                button disabled[!frame.may_change()] { "Upload and try out" }
            }
            (frame.command("mapper-host swap --dry-run FILE.wasm"))
        }
    }
}

fn terms(frame: &Frame<'_>, history: &[TermView]) -> Markup {
    html! {
        section {
            h2 { "History" }
            @if history.is_empty() { p .quiet { "No version was active yet." } }
            @else {
                div .scroll tabindex="0" role="group" aria-label="Table" {
                    table {
                        thead { tr {
                            th scope="col" { "Version" } th scope="col" { "Active since" } th scope="col" { "Because" }
                            th scope="col" .number { "In" } th scope="col" .number { "Out" } th scope="col" .number { "Dead letters" }
                            th scope="col" { "Rollback" }
                        } }
                        tbody { @for term in history.iter().take(MAX_TERMS) { (row(frame, term, history)) } }
                    }
                }
                (frame.command("mapper-host history"))
            }
        }
    }
}

fn row(frame: &Frame<'_>, term: &TermView, history: &[TermView]) -> Markup {
    let pipeline = frame.pipeline();
    let dead_letters: u64 = term.tally.dead_letters.values().sum();
    let present = history.iter().find(|term| term.current).map(|term| term.version.digest.as_str());
    html! {
        tr .good[term.current] {
            th scope="row" { (version(&term.version)) @if term.current { " " span .tag { "active" } } }
            td { (time(&term.since)) }
            td {
                (trigger_words(term.by))
                @if term.forced { ", without a try-out" }
                @if let Some(failure) = &term.probation_failure { p .quiet { "failed its probation: " (safe(failure)) } }
            }
            td .number { (count(term.tally.records_in)) }
            td .number { (count(term.tally.records_out)) }
            td .number { (count(dead_letters)) }
            td {
                @if present.is_some_and(|present| present != term.version.digest) {
                    a href=(frame.console.link_of(pipeline, &format!("/rollback?to={}", term.version.digest))) { "Return to it" }
                }
            }
        }
    }
}
