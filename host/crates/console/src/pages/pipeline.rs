//! The page of a pipeline: its state, its partitions, what it did in the last hour.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use mapper_api::samples::{Samples, TimelineEvent};
use mapper_api::status::{Partition, Status};
use mapper_api::versions::TermView;
use maud::{Markup, html};

use super::PageNumber;
use super::spans::SpansByPartition;
use crate::Console;
use crate::api::{ApiError, Client, escaped, of_pipeline};
use crate::chart::{Line, plot};
use crate::format::{bytes, count, milliseconds, rate, safe, time, trigger_words};
use crate::frame::{Frame, Tab, facts, pager};
use crate::session::Session;

const PARTITIONS_PER_PAGE: usize = 100;
/// The events that are shown.
const MAX_EVENTS: usize = 50;

/// What the page shows.
struct View {
    status: Status,
    samples: Samples,
    timeline: Vec<TimelineEvent>,
    /// Empty while the pipeline starts.
    history: Vec<TermView>,
}

impl View {
    async fn read(client: &Client<'_>, name: &str) -> Result<Self, ApiError> {
        Ok(Self {
            status: client.get(of_pipeline(name, "/status")).await?,
            samples: client.get(of_pipeline(name, "/samples")).await?,
            timeline: client.get(of_pipeline(name, "/timeline")).await?,
            history: client.get(of_pipeline(name, "/history")).await.unwrap_or_default(),
        })
    }
}

pub(super) async fn page(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
    Query(number): Query<PageNumber>,
) -> Response {
    let frame = Frame {
        console: &console,
        session: &session,
        title: &name,
        tab: Some((&name, Tab::Pipeline)),
        is_live: true,
        events: None,
    };
    match View::read(&session.client(&console), &name).await {
        Ok(view) => frame.page(&content(&frame, &view, number)),
        Err(error) => frame.error(&error),
    }
}

fn content(frame: &Frame<'_>, view: &View, number: PageNumber) -> Markup {
    let View { status, samples, timeline, history } = view;
    html! {
        (reasons(status))
        (state(status))
        section {
            h2 { "Last hour" }
            div .plots { (plots(samples)) }
        }
        (partitions(frame, status, history, number))
        (events(timeline, history))
    }
}

/// Why the pipeline needs attention.
fn reasons(status: &Status) -> Markup {
    html! {
        @for reason in &status.not_ready {
            p .message.doubtful { strong { (safe(&reason.component)) ": " } (safe(&reason.reason)) }
        }
        @for stuck in &status.stuck { p .message.bad { "The process must be restarted: " (safe(stuck)) } }
        @if let Some(error) = &status.config_error { p .message.doubtful { "The settings file was not applied: " (safe(error)) } }
    }
}

fn state(status: &Status) -> Markup {
    let (counts, work) = (&status.counts, &status.work);
    let plugin = status.plugin.as_ref();
    facts(&[
        ("State", html! { (safe(&status.state)) @if status.ready { ", ready" } @else { ", not ready" } }),
        (
            "Version",
            html! {
                @match plugin {
                    Some(plugin) => { (safe(&plugin.name)) " " (safe(&plugin.version)) " since " (time(&plugin.since)) }
                    None => "loading",
                }
            },
        ),
        ("Delivery", html! { (safe(&work.delivery)) ", group " code { (safe(&work.group)) } }),
        (
            "Topics",
            html! {
                code { (safe(&work.input_topic)) } " → "
                @for (index, topic) in work.output_topics.iter().enumerate() {
                    @if index > 0 { ", " }
                    code { (safe(topic)) }
                }
                ", dead letters " code { (safe(&work.dead_letter_topic)) }
            },
        ),
        (
            "Records",
            html! {
                (count(counts.records_in)) " in, " (count(counts.records_out)) " out, " (count(counts.skipped)) " skipped, "
                (count(counts.dead_letters)) " dead letters"
            },
        ),
        (
            "Transactions",
            html! {
                (count(counts.transactions)) " committed, " (count(counts.aborts)) " aborted, " (count(counts.rebalances)) " rebalances"
            },
        ),
    ])
}

fn plots(samples: &Samples) -> Markup {
    let known = |values: &[f64]| values.iter().copied().map(Some).collect();
    let whole = |values: &[u64]| values.iter().map(|value| Some(*value as f64)).collect();
    let at = &samples.at_ms;
    html! {
        (plot("Records per second", at, &[
            Line { name: "in", class: "a", values: known(&samples.records_in) },
            Line { name: "out", class: "b", values: known(&samples.records_out) },
            Line { name: "dead letters", class: "c", values: known(&samples.dead_letters) },
        ], rate))
        (plot("Mapping, p99 of a call", at, &[Line { name: "p99", class: "a", values: samples.mapping_p99_ms.clone() }], milliseconds))
        (plot("Records of a call", at, &[Line { name: "mean", class: "a", values: samples.batch_records.clone() }], rate))
        (plot("Lag", at, &[Line { name: "records", class: "a", values: whole(&samples.lag) }], rate))
        (plot("Memory of the plugin", at, &[Line { name: "all instances", class: "a", values: whole(&samples.guest_memory_bytes) }],
            |value| bytes(value as u64)))
    }
}

fn partitions(frame: &Frame<'_>, status: &Status, history: &[TermView], number: PageNumber) -> Markup {
    let (page, shown) = number.of(&status.partitions, PARTITIONS_PER_PAGE);
    let spans = SpansByPartition::new(history);
    html! {
        section {
            h2 { "Partitions" }
            @if status.partitions.is_empty() {
                p .quiet { "This host has no partition now. A rebalance assigns them." }
            } @else {
                div .scroll tabindex="0" role="group" aria-label="Table" {
                    table {
                        thead { tr {
                            th scope="col" { "Partition" } th scope="col" .number { "Worker" } th scope="col" .number { "Position" }
                            th scope="col" .number { "Committed" } th scope="col" .number { "End" } th scope="col" .number { "Lag" }
                            th scope="col" { "Versions by offset" }
                        } }
                        tbody { @for partition in shown { (row(frame, partition, &spans)) } }
                    }
                }
                p .quiet { "A part of a bar leads to the dead letters of its records." }
                (pager(&frame.console.link_of(frame.pipeline(), ""), page, status.partitions.len(), PARTITIONS_PER_PAGE))
            }
        }
    }
}

fn row(frame: &Frame<'_>, partition: &Partition, spans: &SpansByPartition<'_>) -> Markup {
    let letters = |range: &str| {
        let path = format!("/dead-letters/letters?state=all&source={}", escaped(range));
        frame.console.link_of(frame.pipeline(), &path)
    };
    let offset = |offset: Option<i64>| offset.map_or_else(|| "–".to_owned(), |offset| offset.to_string());
    html! {
        tr {
            th scope="row" { (safe(&partition.topic)) "/" (partition.partition) }
            td .number { (partition.worker) }
            td .number { (offset(partition.position)) }
            td .number { (offset(partition.committed)) }
            td .number { (offset(partition.end)) }
            td .number { (partition.lag.map_or_else(|| "–".to_owned(), count)) }
            td { @match spans.bar(partition, letters) { Some(bar) => (bar), None => span .quiet { "none yet" } } }
        }
    }
}

/// Events of the telemetry and swaps of the history, the latest first.
fn events(timeline: &[TimelineEvent], history: &[TermView]) -> Markup {
    let mut events: Vec<(&str, Markup)> =
        timeline.iter().map(|event| (event.at.as_str(), event_words(event))).collect();
    events.extend(history.iter().map(|term| (term.since.as_str(), swap_words(term))));
    // RFC 3339 in UTC with the same precision sorts as text.
    events.sort_by(|(a, _), (b, _)| b.cmp(a));
    html! {
        section {
            h2 { "Time line" }
            @if events.is_empty() { p .quiet { "No swap, abort, rebalance or breaker since the start." } }
            ol .timeline { @for (at, words) in events.iter().take(MAX_EVENTS) { li { (time(at)) " " (words) } } }
        }
    }
}

fn event_words(event: &TimelineEvent) -> Markup {
    let what = match event.kind.as_str() {
        "transaction-aborted" => "aborted a transaction",
        "partitions-revoked" => "partitions were revoked",
        "breaker-opened" => "breaker opened",
        "breaker-closed" => "breaker closed",
        "registry-unavailable" => "waits for the schema registry",
        "registry-available" => "schema registry answers again",
        kind => kind,
    };
    html! {
        span .(event.kind) { "worker " (event.worker) ": " (what) }
        @if event.count > 1 { " " (count(event.count)) " times" }
        ": " (safe(&event.reason))
    }
}

fn swap_words(term: &TermView) -> Markup {
    html! {
        strong { "version " (safe(&term.version.name)) " " (safe(&term.version.version)) " became active" }
        " (" (trigger_words(term.by)) ")"
        @if let Some(failure) = &term.probation_failure { ", and failed its probation: " (safe(failure)) }
    }
}
