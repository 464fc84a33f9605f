//! The pages.

mod audit;
pub(crate) mod dead_letters;
mod docs;
mod live;
mod overview;
mod pipeline;
pub(crate) mod playground;
mod redrives;
mod settings;
mod spans;
mod version_details;
pub(crate) mod versions;

use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::Console;
use super::api::ApiError;
use super::frame::Frame;
use super::session::Session;

pub(crate) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/", get(overview::page))
        .route("/settings", get(settings::page_of_host))
        .route("/pipelines/{name}", get(pipeline::page))
        .route("/pipelines/{name}/live", get(live::page))
        .route("/pipelines/{name}/playground", get(playground::page))
        .route("/pipelines/{name}/versions", get(versions::page))
        .route("/pipelines/{name}/dead-letters", get(dead_letters::page))
        .route("/pipelines/{name}/dead-letters/groups/{fingerprint}", get(dead_letters::group_page))
        .route("/pipelines/{name}/dead-letters/letters", get(dead_letters::list_page))
        .route("/pipelines/{name}/dead-letters/letter", get(dead_letters::letter_page))
        .route("/pipelines/{name}/redrives", get(redrives::list))
        .route("/pipelines/{name}/redrives/{id}", get(redrives::page))
        .route("/docs", get(docs::index))
        .route("/docs/{page}", get(docs::page))
        .route("/docs/images/{image}", get(docs::image))
        .route("/pipelines/{name}/audit", get(audit::page))
        .route("/pipelines/{name}/settings", get(settings::page))
        .route("/{*path}", get(not_found))
}

/// The page of a list.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default)]
pub(crate) struct PageNumber {
    page: usize,
}

impl Default for PageNumber {
    fn default() -> Self {
        Self { page: 1 }
    }
}

impl PageNumber {
    /// The number, within the pages that there are, and the items of that page.
    fn of<T>(self, items: &[T], per_page: usize) -> (usize, &[T]) {
        let page = self.page.clamp(1, items.len().div_ceil(per_page).max(1));
        let from = ((page - 1) * per_page).min(items.len());
        (page, &items[from..(from + per_page).min(items.len())])
    }
}

async fn not_found(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path(path): Path<String>,
) -> Response {
    let frame =
        Frame { console: &console, session: &session, title: "Not found", tab: None, is_live: false, events: None };
    let reason = format!("there is no page at {path:?}");
    frame.error(&ApiError { status: StatusCode::NOT_FOUND, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_of_a_list_is_always_one_that_exists() {
        let items: Vec<usize> = (0..25).collect();
        let of = |page| {
            let (page, items) = PageNumber { page }.of(&items, 10);
            (page, items.first().copied(), items.len())
        };
        assert_eq!(
            [of(0), of(1), of(3), of(9)],
            [(1, Some(0), 10), (1, Some(0), 10), (3, Some(20), 5), (3, Some(20), 5)]
        );
        assert_eq!(PageNumber { page: 2 }.of::<usize>(&[], 10), (1, &[][..]));
    }
}
