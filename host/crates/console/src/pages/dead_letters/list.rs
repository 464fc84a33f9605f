//! Single letters, selected by filters, as pages.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use mapper_api::dead_letters::{Letter, LetterGroupState, LetterPage};
use mapper_terminal::shell::quoted;
use maud::{Markup, html};
use serde::Deserialize;

use super::frame;
use crate::Console;
use crate::api::{escaped, of_pipeline};
use crate::format::{count, excerpt, safe, time};
use crate::frame::Frame;
use crate::session::Session;

const LETTERS_PER_PAGE: usize = 50;
const MAX_INPUT_CHARS: usize = 300;
const MAX_MESSAGE_CHARS: usize = 200;
/// The states of letters, beside those of groups.
const STATES: [&str; 3] = ["open", "closed", "all"];

/// The filters of the API, by their names there; empty ones are none.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::pages) struct Filter {
    group: String,
    source: String,
    since: String,
    until: String,
    kind: String,
    version: String,
    key: String,
    grep: String,
    state: String,
    /// The last letter of the page before.
    after: String,
}

/// A filter as the form shows it: its name, its label, and an example of a value.
type Field<'a> = (&'static str, &'static str, &'static str, &'a str);

impl Filter {
    fn fields(&self) -> [Field<'_>; 8] {
        [
            ("group", "Group", "fingerprint", &self.group),
            ("source", "Records", "visits/0@100..200", &self.source),
            ("since", "Since", "2h", &self.since),
            ("until", "Until", "2026-11-27", &self.until),
            ("kind", "Kind", "trap", &self.kind),
            ("version", "Version", "number or digest", &self.version),
            ("key", "Key", "", &self.key),
            ("grep", "Text", "", &self.grep),
        ]
    }

    fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let fields = self.fields().map(|(name, _, _, value)| (name, value)).into_iter();
        fields.chain([("state", self.state.as_str())]).filter(|(_, value)| !value.is_empty())
    }

    /// The filters as a query, each with `&` before it.
    fn query(&self) -> String {
        self.given().map(|(name, value)| format!("&{name}={}", escaped(value))).collect()
    }

    /// The command that lists the same letters.
    fn command(&self) -> String {
        let flag = |(name, value): (&str, &str)| {
            let name = if name == "version" { "failed-in" } else { name };
            let separator = if value.starts_with('-') { '=' } else { ' ' };
            format!(" --{name}{separator}{}", quoted(value))
        };
        format!("mapper-host dlq list{}", self.given().map(flag).collect::<String>())
    }
}

pub(in crate::pages) async fn page(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
    Query(filter): Query<Filter>,
) -> Response {
    let frame = frame(&console, &session, &name, "Letters");
    let after = if filter.after.is_empty() { String::new() } else { format!("&after={}", escaped(&filter.after)) };
    let path = of_pipeline(&name, &format!("/dead-letters?limit={LETTERS_PER_PAGE}{}{after}", filter.query()));
    let letters: Result<LetterPage, _> = session.client(&console).get(path).await;
    match letters {
        Ok(page) => frame.page(&content(&frame, &page, &filter)),
        Err(error) => frame.error(&error),
    }
}

fn content(frame: &Frame<'_>, page: &LetterPage, filter: &Filter) -> Markup {
    let link = |after: &str| {
        let path = format!("/dead-letters/letters?after={}{}", escaped(after), filter.query());
        frame.console.link_of(frame.pipeline(), &path)
    };
    html! {
        (form(frame, filter))
        @if page.letters.is_empty() {
            p { "No letter is selected" @if !filter.after.is_empty() { " after " (safe(&filter.after)) } "." }
        } @else {
            p .summary { strong { (count(page.letters.len() as u64)) " letters" } ", in the order of partition and offset." }
            (table(frame, &page.letters))
        }
        @if page.next.is_some() || !filter.after.is_empty() {
            nav .pager aria-label="Pages of the list" {
                @if !filter.after.is_empty() { a href=(link("")) { "From the beginning" } }
                @if let Some(next) = &page.next { a rel="next" href=(link(next)) { "Next page" } }
            }
        }
        (frame.command(&filter.command()))
    }
}

fn form(frame: &Frame<'_>, filter: &Filter) -> Markup {
    let states = STATES.into_iter().chain(LetterGroupState::ALL.map(LetterGroupState::name));
    html! {
        form .filters method="get" action=(frame.console.link_of(frame.pipeline(), "/dead-letters/letters")) {
            @for (name, label, example, value) in filter.fields() {
                div {
                    label for=(format!("filter-{name}")) { (label) }
                    input id=(format!("filter-{name}")) name=(name) value=(value) placeholder=(example);
                }
            }
            div {
                label for="filter-state" { "State" }
                select #filter-state name="state" {
                    @for state in states { option value=(state) selected[filter.state == state] { (state) } }
                }
            }
            button .plain { "Filter" }
        }
    }
}

/// Letters with the beginning of their inputs.
pub(super) fn table(frame: &Frame<'_>, letters: &[Letter]) -> Markup {
    html! {
        div .scroll tabindex="0" role="group" aria-label="Table" {
            table {
                thead { tr {
                    th scope="col" { "Letter" } th scope="col" { "Record" } th scope="col" { "Failed" } th scope="col" { "Failure" }
                    th scope="col" { "Input" }
                } }
                tbody { @for letter in letters { (row(frame, letter)) } }
            }
        }
    }
}

fn row(frame: &Frame<'_>, letter: &Letter) -> Markup {
    let path = format!("/dead-letters/letter?position={}", escaped(&letter.position));
    let input = letter.input.as_ref();
    html! {
        tr {
            th scope="row" { a href=(frame.console.link_of(frame.pipeline(), &path)) { (safe(&letter.position)) } p .quiet { (safe(&letter.state)) } }
            td { (letter.source.as_deref().map_or_else(|| "unknown".into(), safe)) }
            td { @if let Some(at) = &letter.failed_at { (time(at)) } }
            td { (safe(&letter.kind)) ": " (excerpt(&letter.message, MAX_MESSAGE_CHARS)) }
            td {
                @match input.and_then(|input| input.value.as_deref()) {
                    Some(value) => pre { (excerpt(value, MAX_INPUT_CHARS)) },
                    None => span .quiet { @if input.is_some_and(|input| input.value_base64.is_some()) { "binary" } @else { (frame.session.absent("no value")) } },
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_the_command_have_the_filters_that_are_given() {
        let filter = Filter {
            source: "visits/0@10..20".into(),
            version: "1.0".into(),
            grep: "it's & <b>".into(),
            state: "all".into(),
            after: "visits_dlq/0@7".into(),
            ..Filter::default()
        };
        assert_eq!(filter.query(), "&source=visits%2F0%4010..20&version=1.0&grep=it%27s%20%26%20%3Cb%3E&state=all");
        let of_dash = Filter { key: "-1".into(), ..Filter::default() };
        assert_eq!(of_dash.command(), "mapper-host dlq list --key=-1");
        let command =
            "mapper-host dlq list --source visits/0@10..20 --failed-in 1.0 --grep 'it'\\''s & <b>' --state all";
        assert_eq!(filter.command(), command);
        assert_eq!(Filter::default().command(), "mapper-host dlq list");
    }
}
