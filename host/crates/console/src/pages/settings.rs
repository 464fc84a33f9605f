//! The settings in force of a pipeline and of the host, and where each came from.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use mapper_api::SETTINGS_PATH;
use mapper_api::settings::{SettingInForce, SettingSource};
use maud::{Markup, html};
use serde::Deserialize;

use crate::Console;
use crate::api::{ApiError, of_pipeline};
use crate::format::{count, excerpt, safe};
use crate::frame::{Frame, Tab};
use crate::session::Session;

/// The characters of a value that are shown.
const MAX_VALUE_CHARS: usize = 2000;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    /// `true` leaves out the defaults.
    given: Option<String>,
}

impl Filter {
    fn is_given(&self) -> bool {
        self.given.as_deref() == Some("true")
    }
}

pub(super) async fn page(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
    Query(filter): Query<Filter>,
) -> Response {
    let tab = Some((name.as_str(), Tab::Settings));
    let frame = Frame { console: &console, session: &session, title: "Settings", tab, is_live: false, events: None };
    let settings = session.client(&console).get(of_pipeline(&name, "/settings")).await;
    let others = html! { p { a href=(console.link("/settings")) { "Settings of the host" } } };
    respond(&frame, settings, &console.link_of(&name, "/settings"), &filter, &others)
}

pub(super) async fn page_of_host(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Query(filter): Query<Filter>,
) -> Response {
    let title = "Settings of the host";
    let frame = Frame { console: &console, session: &session, title, tab: None, is_live: false, events: None };
    let settings = session.client(&console).get(SETTINGS_PATH.to_owned()).await;
    let others = html! { p { "All pipelines share them. The page of a pipeline has its own settings." } };
    respond(&frame, settings, &console.link("/settings"), &filter, &others)
}

fn respond(
    frame: &Frame<'_>,
    settings: Result<Vec<SettingInForce>, ApiError>,
    link: &str,
    filter: &Filter,
    others: &Markup,
) -> Response {
    match settings {
        Ok(settings) => {
            frame.page(&html! { (content(&settings, link, filter)) (others) (frame.command("mapper-host run --help")) })
        }
        Err(error) => frame.error(&error),
    }
}

fn content(settings: &[SettingInForce], link: &str, filter: &Filter) -> Markup {
    let is_given = |setting: &&SettingInForce| setting.source != SettingSource::Default;
    let shown: Vec<&SettingInForce> =
        settings.iter().filter(|setting| !filter.is_given() || is_given(setting)).collect();
    let current = |is_current: bool| is_current.then_some("page");
    html! {
        p .summary {
            strong { (count(settings.iter().filter(is_given).count() as u64)) " given" }
            ", the others have their defaults. A flag overrides a variable, which overrides the settings file; a table of a pipeline overrides all."
        }
        nav .filter aria-label="Which settings" {
            a href=(link) aria-current=[current(!filter.is_given())] { "all" }
            a href=(format!("{link}?given=true")) aria-current=[current(filter.is_given())] { "given" }
        }
        @for group in shown.chunk_by(|a, b| a.group == b.group) {
            section {
                h2 { (safe(&group[0].group)) }
                div .scroll tabindex="0" role="group" aria-label="Table" {
                    table {
                        thead { tr { th scope="col" { "Setting" } th scope="col" { "Value" } th scope="col" { "From" } } }
                        tbody { @for setting in group { (row(setting)) } }
                    }
                }
            }
        }
    }
}

fn row(setting: &SettingInForce) -> Markup {
    let value = setting.value.as_deref().map(|value| excerpt(value, MAX_VALUE_CHARS));
    html! {
        tr {
            th scope="row" {
                code { "--" (safe(&setting.name)) }
                @if let Some(key) = &setting.key { " " code { (safe(key)) } }
            }
            td {
                @match (value, setting.is_hidden) {
                    (Some(value), false) if setting.source == SettingSource::Default => span .quiet { (value) },
                    (Some(value), false) => (value),
                    (Some(value), true) => { (value) " " span .quiet { "(a part is hidden)" } },
                    (None, true) => span .quiet { "hidden: it may be secret" },
                    (None, false) => span .quiet { "none" },
                }
            }
            td { (setting.origin.as_deref().map_or_else(|| "default".into(), safe)) }
        }
    }
}
