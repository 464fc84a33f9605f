//! The groups of dead letters of a pipeline, one group, and one letter.

mod group;
mod letter;
mod list;

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use mapper_api::dead_letters::{LetterCounts, LetterGroup, LetterGroupState, LetterGroups, LetterTrend};
use maud::{Markup, html};
use serde::Deserialize;

use crate::Console;
use crate::api::of_pipeline;
use crate::chart::sparkline;
use crate::format::{count, excerpt, safe, share, time};
use crate::frame::{Frame, Tab};
use crate::session::Session;

pub(super) use group::page as group_page;
pub(super) use letter::page as letter_page;
pub(super) use list::page as list_page;

/// The groups of a page.
const MAX_GROUPS: usize = 100;
/// The characters of a message in a table.
const MAX_MESSAGE_CHARS: usize = 200;

/// Which groups are shown.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filter {
    /// A name of [`LetterGroupState`] or `all`; without one, those that nobody has decided about.
    state: Option<String>,
}

/// The frame of a page below the tab of dead letters.
pub(crate) fn frame<'a>(console: &'a Console, session: &'a Session, pipeline: &'a str, title: &'a str) -> Frame<'a> {
    Frame { console, session, title, tab: Some((pipeline, Tab::DeadLetters)), is_live: false, events: None }
}

pub(super) async fn page(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
    Query(filter): Query<Filter>,
) -> Response {
    let frame = frame(&console, &session, &name, "Dead letters");
    let state = filter.state.as_deref().filter(|state| *state == "all" || state_named(state).is_some());
    let query = state.map(|state| format!("&state={state}")).unwrap_or_default();
    let path = of_pipeline(&name, &format!("/dead-letters/groups?limit={MAX_GROUPS}{query}"));
    let groups: Result<LetterGroups, _> = session.client(&console).get(path).await;
    match groups {
        Ok(groups) => frame.page(&content(&frame, &name, &groups, state)),
        Err(error) => frame.error(&error),
    }
}

fn state_named(name: &str) -> Option<LetterGroupState> {
    LetterGroupState::ALL.into_iter().find(|state| state.name() == name)
}

fn content(frame: &Frame<'_>, pipeline: &str, found: &LetterGroups, state: Option<&str>) -> Markup {
    let link = |state: &str| frame.console.link_of(pipeline, &format!("/dead-letters{state}"));
    let states = LetterGroupState::ALL.map(LetterGroupState::name).into_iter().chain(["all"]);
    html! {
        (lag(found.as_of.as_deref()))
        p .summary {
            strong { (count(found.letters.open)) " open letters" } " of " code { (safe(&found.topic)) } " in "
            (count(found.groups.len() as u64)) " groups."
        }
        nav .filter aria-label="State of the groups" {
            a href=(link("")) aria-current=[state.is_none().then_some("page")] { "undecided" }
            @for name in states {
                a href=(link(&format!("?state={name}"))) aria-current=[(state == Some(name)).then_some("page")] { (name) }
            }
        }
        @if found.groups.is_empty() {
            p { "No group of dead letters" @if state.is_some() { " has this state" } "." }
        } @else {
            div .scroll tabindex="0" role="group" aria-label="Table" {
                table {
                    thead { tr {
                        th scope="col" { "Failure" } th scope="col" { "State" } th scope="col" .number { "Letters" }
                        th scope="col" .number { "Share of records" }
                        th scope="col" { "Last day, per hour" } th scope="col" { "First" } th scope="col" { "Last" } th scope="col" { "Versions" }
                    } }
                    tbody { @for group in &found.groups { (row(frame, pipeline, group)) } }
                }
            }
        }
        (remarks(&found.letters))
        @if found.hidden_groups.is_some_and(|hidden| hidden > 0) {
            p .quiet { (count(found.hidden_groups.unwrap_or_default())) " further groups have another state, or are beyond the first " (MAX_GROUPS) "." }
        }
        p {
            a href=(frame.console.link_of(pipeline, "/dead-letters/letters")) { "Search letters" } " · "
            a href=(frame.console.link_of(pipeline, "/redrives")) { "Redrives of this host" }
        }
        (frame.command("mapper-host dlq groups"))
    }
}

/// Says that the page does not show the latest changes, and what it shows.
fn lag(as_of: Option<&str>) -> Markup {
    html! {
        @if let Some(as_of) = as_of {
            p .message.doubtful {
                "The host is still reading the latest letters and decisions. This page shows those of " (time(as_of)) ". Load it again for later ones."
            }
        }
    }
}

/// How many letters failed in each hour, as a line and in words.
fn trend(trend: &LetterTrend) -> Markup {
    let counts: Vec<f64> = trend.counts.iter().map(|count| *count as f64).collect();
    let (total, most) = (trend.counts.iter().sum(), trend.counts.iter().copied().max().unwrap_or_default());
    let latest = trend.counts.last().copied().unwrap_or_default();
    let words = format!(
        "{} in the last day, at most {} in an hour, {} in the present one",
        count(total),
        count(most),
        count(latest)
    );
    html! { (sparkline(&counts, trend.counts.len(), &words)) span .quiet { " " (count(total)) } }
}

fn row(frame: &Frame<'_>, pipeline: &str, group: &LetterGroup) -> Markup {
    let class = match group.state {
        LetterGroupState::Regressed => "bad",
        LetterGroupState::New | LetterGroupState::Ongoing => "doubtful",
        _ => "good",
    };
    let when = |at: &Option<String>| html! { @if let Some(at) = at { (time(at)) } @else { "unknown" } };
    html! {
        tr .(class) {
            th scope="row" {
                a href=(frame.console.link_of(pipeline, &format!("/dead-letters/groups/{}", group.fingerprint))) { code { (group.fingerprint) } }
                p .quiet { (safe(&group.kind)) ": " (excerpt(&group.message, MAX_MESSAGE_CHARS)) }
            }
            td { (group.state.name()) }
            td .number { (count(group.count)) }
            td .number { (group.share_of_records.map_or_else(|| "–".to_owned(), share)) }
            td { (trend(&group.trend)) }
            td { (when(&group.first_failed)) }
            td { (when(&group.last_failed)) }
            td { @for version in group.versions.iter().take(3) { div { (safe(&version.version.version)) " " span .quiet { "(" (count(version.count)) ")" } } } }
        }
    }
}

/// What the scan of the topic found beside open letters.
fn remarks(letters: &LetterCounts) -> Markup {
    let remark = |number: u64, text: &str| html! { @if number > 0 { li { (count(number)) " " (text) } } };
    html! {
        ul .quiet {
            (remark(letters.closed, "letters were redriven, returned, discarded, or replaced by a later one"))
            (remark(letters.foreign, "records of the topic are no dead letters in a known format"))
            (remark(letters.removed, "letters were removed by the retention of the topic"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trend_is_a_line_of_all_intervals_and_in_words() {
        let mut counts = vec![0; 24];
        (counts[3], counts[23]) = (1200, 7);
        let shown = trend(&LetterTrend { from: String::new(), interval_seconds: 3600, counts }).into_string();
        let words = "1\u{202f}207 in the last day, at most 1\u{202f}200 in an hour, 7 in the present one";
        assert!(shown.contains(words), "{shown}");
        assert_eq!(shown.matches('L').count(), 23, "{shown}");
    }

    #[test]
    fn page_says_of_which_time_it_is_only_if_it_lags() {
        assert_eq!(lag(None).into_string(), "");
        let shown = lag(Some("2026-11-27T10:00:00.000Z")).into_string();
        assert!(shown.contains("datetime=\"2026-11-27T10:00:00.000Z\"") && shown.contains("Load it again"), "{shown}");
    }
}
