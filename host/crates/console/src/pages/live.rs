//! The records that a pipeline has mapped lately, with their verdicts.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mapper_api::recent::{Excerpt, RecentOutput, RecentRecord, RecentRecords, RecentVerdict};
use maud::{Markup, html};
use serde::Deserialize;

use crate::Console;
use crate::api::{escaped, of_pipeline};
use crate::format::{bytes, count, safe, time};
use crate::frame::{Frame, Tab};
use crate::session::Session;

/// Which records are shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    /// A name of [`RecentVerdict`]; anything else for all.
    verdict: Option<String>,
    /// The whole key; empty for all.
    key: Option<String>,
    /// `true` stops the script that loads the page again.
    paused: Option<String>,
}

/// The filter of a page, and of its links.
#[derive(Debug, Clone, Copy)]
struct View<'a> {
    verdict: Option<RecentVerdict>,
    key: Option<&'a str>,
    is_paused: bool,
}

impl<'a> View<'a> {
    fn new(filter: &'a Filter) -> Self {
        let verdict = filter.verdict.as_deref();
        Self {
            verdict: RecentVerdict::ALL.into_iter().find(|known| verdict == Some(known.name())),
            key: filter.key.as_deref().filter(|key| !key.is_empty()),
            is_paused: filter.paused.as_deref() == Some("true"),
        }
    }

    /// The parameters of the API, with `?` before them if there are any.
    fn api_query(self) -> String {
        query(&[self.verdict_parameter(), self.key_parameter()])
    }

    fn page_query(self) -> String {
        query(&[self.verdict_parameter(), self.key_parameter(), self.is_paused.then(|| "paused=true".to_owned())])
    }

    fn verdict_parameter(self) -> Option<String> {
        self.verdict.map(|verdict| format!("verdict={}", verdict.name()))
    }

    fn key_parameter(self) -> Option<String> {
        self.key.map(|key| format!("key={}", escaped(key)))
    }
}

fn query(parameters: &[Option<String>]) -> String {
    let given: Vec<&str> = parameters.iter().flatten().map(String::as_str).collect();
    if given.is_empty() { String::new() } else { format!("?{}", given.join("&")) }
}

pub(super) async fn page(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
    Query(filter): Query<Filter>,
) -> Response {
    let view = View::new(&filter);
    let tab = Some((name.as_str(), Tab::Live));
    let frame =
        Frame { console: &console, session: &session, title: "Live", tab, is_live: !view.is_paused, events: None };
    let recent: Result<RecentRecords, _> =
        session.client(&console).get(of_pipeline(&name, &format!("/recent{}", view.api_query()))).await;
    match recent {
        Ok(recent) => frame.page(&content(&frame, &name, &recent, view)),
        Err(error) => frame.error(&error),
    }
}

fn content(frame: &Frame<'_>, pipeline: &str, recent: &RecentRecords, view: View<'_>) -> Markup {
    let RecentRecords { records, sampled } = recent;
    html! {
        p .summary {
            strong { (count(records.len() as u64)) " records" } " of a sample of " (count(*sampled)) ", the latest first."
        }
        (filters(frame, pipeline, view))
        @if records.is_empty() {
            p { @if *sampled == 0 { "The workers have mapped no record yet." } @else { "No record of the sample has this verdict and this key." } }
        } @else {
            div .scroll tabindex="0" role="group" aria-label="Table" {
                table {
                    thead { tr {
                        th scope="col" { "Record" } th scope="col" { "Verdict" } th scope="col" { "Key" } th scope="col" { "Value" }
                        th scope="col" { "Outputs or failure" }
                    } }
                    tbody { @for record in records { (row(frame, pipeline, record)) } }
                }
            }
        }
        p .quiet {
            "Each worker keeps its last 64 records without a failure and its last 64 failed ones; of a busy partition, a few of each batch. "
            "A record can be shown before its transaction is committed."
        }
    }
}

fn filters(frame: &Frame<'_>, pipeline: &str, view: View<'_>) -> Markup {
    let link = |view: View<'_>| frame.console.link_of(pipeline, &format!("/live{}", view.page_query()));
    let named = [(None, "all")].into_iter().chain(RecentVerdict::ALL.map(|verdict| (Some(verdict), verdict.name())));
    html! {
        nav .filter aria-label="Verdict" {
            @for (verdict, name) in named {
                a href=(link(View { verdict, ..view })) aria-current=[(view.verdict == verdict).then_some("page")] { (name) }
            }
            @if view.is_paused {
                a href=(link(View { is_paused: false, ..view })) { "Resume" }
            } @else {
                a href=(link(View { is_paused: true, ..view })) { "Pause" }
            }
        }
        form .filter method="get" action=(frame.console.link_of(pipeline, "/live")) {
            @if let Some(verdict) = view.verdict { input type="hidden" name="verdict" value=(verdict.name()); }
            @if view.is_paused { input type="hidden" name="paused" value="true"; }
            label for="record-key" { "Key " }
            input #record-key name="key" value=(view.key.unwrap_or_default());
            " "
            button .plain { "Filter" }
        }
    }
}

fn row(frame: &Frame<'_>, pipeline: &str, record: &RecentRecord) -> Markup {
    let class = match record.verdict {
        RecentVerdict::Produced => "good",
        RecentVerdict::Skipped => "doubtful",
        RecentVerdict::Failed => "bad",
    };
    let letter = || {
        let path = format!("/dead-letters/letter?position={}", escaped(&record.position));
        frame.console.link_of(pipeline, &path)
    };
    let again = || {
        let path = format!("/playground?position={}", escaped(&record.position));
        frame.console.link_of(pipeline, &path)
    };
    html! {
        tr .(class) {
            th scope="row" {
                (safe(&record.position))
                p .quiet { (time(&record.mapped_at)) }
                p .quiet { (safe(&record.plugin.name)) " " (safe(&record.plugin.version)) }
            }
            td {
                (record.verdict.name())
                p { a href=(again()) { "Map it again" } }
                @if record.verdict == RecentVerdict::Failed { p { a href=(letter()) { "Dead letter" } } }
            }
            td { (excerpt(record.key.as_ref(), frame.session.absent("no key"))) }
            td {
                (excerpt(record.value.as_ref(), frame.session.absent("no value")))
                @if record.headers > 0 { p .quiet { (count(record.headers)) " headers" } }
            }
            td {
                @if let Some(failure) = &record.failure { strong { (safe(&failure.kind)) } (excerpt(Some(&failure.message), "")) }
                @for output in &record.outputs { (made(frame.session, output)) }
                @if record.more_outputs > 0 { p .quiet { (count(record.more_outputs)) " further outputs" } }
            }
        }
    }
}

fn made(session: &Session, output: &RecentOutput) -> Markup {
    html! {
        div {
            span .quiet { "to " (safe(&output.topic)) @if output.key.is_some() { " with the key" } }
            @if output.key.is_some() { (excerpt(output.key.as_ref(), "")) }
            (excerpt(output.value.as_ref(), session.absent("no value")))
        }
    }
}

/// Text as it is, and other bytes with escapes.
pub(super) fn excerpt(excerpt: Option<&Excerpt>, none: &str) -> Markup {
    let Some(Excerpt { text, base64, bytes: length, cut }) = excerpt else {
        return html! { span .quiet { (none) } };
    };
    let binary = base64.as_deref().and_then(|base64| BASE64_STANDARD.decode(base64).ok());
    html! {
        @match (text, binary) {
            (Some(text), _) => pre { (safe(text)) @if *cut { "…" } },
            (None, Some(binary)) => pre { (binary.escape_ascii().to_string()) @if *cut { "…" } },
            (None, None) => span .quiet { (none) },
        }
        @if *cut { p .quiet { (bytes(*length)) " in all" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_the_other_filters_and_escape_the_key() {
        let filter =
            Filter { verdict: Some("failed".into()), key: Some("a&b=<c>".into()), paused: Some("true".into()) };
        let view = View::new(&filter);
        assert_eq!(view.page_query(), "?verdict=failed&key=a%26b%3D%3Cc%3E&paused=true");
        assert_eq!(View { is_paused: false, ..view }.page_query(), view.api_query());
        let none = Filter { verdict: Some("other".into()), key: Some(String::new()), paused: None };
        assert_eq!(View::new(&none).page_query(), "");
    }
}
