//! A record that a version maps without producing anything: the form, and the result.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mapper_api::map::{MapFailure, MapHeader, MapOutput, MapResult};
use mapper_api::recent::RecentVerdict;
use maud::{Markup, html};
use serde::Deserialize;

use super::live::excerpt;
use crate::Console;
use crate::format::{bytes, count, milliseconds, safe, short_digest, time_of_ms};
use crate::frame::{Frame, Tab, facts};
use crate::session::Session;

/// The record of the form, as the viewer has given it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Draft {
    /// Of a recent record; the other fields are then unused.
    pub(crate) position: Option<String>,
    #[serde(skip)]
    pub(crate) value: String,
    #[serde(skip)]
    pub(crate) is_tombstone: bool,
    #[serde(skip)]
    pub(crate) record_key: String,
    /// A line for each header, `NAME: VALUE`.
    #[serde(skip)]
    pub(crate) headers: String,
}

pub(crate) fn frame<'a>(console: &'a Console, session: &'a Session, pipeline: &'a str) -> Frame<'a> {
    let tab = Some((pipeline, Tab::Playground));
    Frame { console, session, title: "Playground", tab, is_live: false, events: None }
}

pub(super) async fn page(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
    Query(draft): Query<Draft>,
) -> Response {
    let frame = frame(&console, &session, &name);
    frame.page(&form(&frame, &name, &draft))
}

pub(crate) fn form(frame: &Frame<'_>, pipeline: &str, draft: &Draft) -> Markup {
    let disabled = !frame.may_change();
    let link = |path: &str| frame.console.link_of(pipeline, path);
    html! {
        section {
            h2 { "Map a record" }
            p { "A version maps it on a thread of its own, with the limits of the pipeline. Nothing is produced or committed." }
            form .card method="post" enctype="multipart/form-data" action=(link("/playground")) {
                (frame.key())
                @match &draft.position {
                    Some(position) => {
                        input type="hidden" name="position" value=(position);
                        p { "The recent record " strong { (safe(position)) } ". " a href=(link("/playground")) { "Write another one" } }
                    }
                    None => {
                        p { a href=(link("/live")) { "Pick one of the latest records" } ", or write one:" }
                        label for="record-value" { "Value" }
                        textarea #record-value name="value" rows="6" spellcheck="false" { "\n" (draft.value) }
                        label { input type="checkbox" name="tombstone" value="true" checked[draft.is_tombstone]; " no value: a tombstone" }
                        label for="record-key" { "Key; empty for none" }
                        input #record-key name="record-key" value=(draft.record_key);
                        label for="record-headers" { "Headers, a line for each: NAME: VALUE" }
                        textarea #record-headers name="headers" rows="2" spellcheck="false" { "\n" (draft.headers) }
                    }
                }
                label for="plugin" { "Plugin; without a file, the active version" }
                input #plugin type="file" name="plugin" accept=".wasm,application/wasm";
                button disabled[disabled] { "Map" }
            }
            (frame.command("mapper-host map FILE.wasm < records.jsonl"))
        }
    }
}

pub(crate) fn result(session: &Session, result: &MapResult) -> Markup {
    let (class, words) = match result.verdict {
        RecentVerdict::Produced => ("good", "The record has outputs"),
        RecentVerdict::Skipped => ("doubtful", "The record is skipped: it has no output"),
        RecentVerdict::Failed => ("bad", "The record fails, and would become a dead letter"),
    };
    let MapResult { plugin, .. } = result;
    html! {
        section {
            h2 { "Result" }
            p .message.(class) role="status" { (words) "." }
            (facts(&[
                ("Version", html! { (safe(&plugin.name)) " " (safe(&plugin.version)) " " code title=(plugin.digest) { (short_digest(&plugin.digest)) } }),
                ("Position that the plugin saw", html! { (safe(&result.position)) }),
                ("Time, with a new instance", html! { (milliseconds(result.mapping_us as f64 / 1000.0)) }),
                ("Memory of the instance", html! { (result.memory_bytes.map_or_else(|| "gone after the crash".to_owned(), bytes)) }),
            ]))
            @if let Some(failure) = &result.failure { (failed(failure)) }
            @for (number, output) in (1..).zip(&result.outputs) { (made(session, number, output)) }
            @if result.more_outputs > 0 { p .quiet { (count(result.more_outputs)) " further outputs" } }
            @if !result.log.is_empty() { h3 { "Log of the plugin, the last lines" } pre .value tabindex="0" { (safe(&result.log)) } }
            h3 { "Test case" }
            @match &result.case {
                Some(case) => {
                    p { a href=(format!("data:application/jsonl;base64,{}", BASE64_STANDARD.encode(format!("{case}\n")))) download="case.jsonl" { "Download it" }
                        ": a line for a file of cases. Its result is the present one." }
                    pre .value tabindex="0" { (crate::format::excerpt(case, MAX_CASE_CHARS)) }
                }
                None if session.hidden().is_some() => p .quiet { "A test case has the record and its result, which are not shown." }
                None => p .quiet { "The record and its result are too large for a test case." },
            }
        }
    }
}

/// The characters of a test case that are shown. The file has all.
const MAX_CASE_CHARS: usize = 4000;

fn failed(failure: &MapFailure) -> Markup {
    html! {
        h3 { (safe(&failure.kind)) }
        (excerpt(Some(&failure.message), ""))
        @if failure.details.bytes > 0 { h3 { "Backtrace and log" } (excerpt(Some(&failure.details), "")) }
    }
}

fn made(session: &Session, number: usize, output: &MapOutput) -> Markup {
    html! {
        h3 { "Output " (number) " to " (safe(&output.topic)) }
        (facts(&[
            ("Value", excerpt(output.value.as_ref(), session.absent("tombstone: no value"))),
            ("Key", excerpt(output.key.as_ref(), session.absent("no key"))),
            ("Timestamp", html! { @match output.timestamp_ms { Some(ms) => (time_of_ms(ms)), None => span .quiet { "none" } } }),
            ("Headers", html! {
                @if output.headers.is_empty() { span .quiet { "none" } }
                @for MapHeader { name, value } in &output.headers { (excerpt(Some(name), "")) (excerpt(value.as_ref(), session.absent("null"))) }
            }),
        ]))
    }
}
