//! The pages of the documentation.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use maud::{PreEscaped, html};

use crate::Console;
use crate::api::ApiError;
use crate::docs;
use crate::frame::Frame;
use crate::session::Session;

fn frame<'a>(console: &'a Console, session: &'a Session, title: &'a str) -> Frame<'a> {
    Frame { console, session, title, tab: None, is_live: false, events: None }
}

pub(super) async fn index(State(console): State<Arc<Console>>, Extension(session): Extension<Session>) -> Response {
    frame(&console, &session, "Documentation").page(&html! {
        p { "The documentation of this version." }
        ul { @for (name, title) in docs::titles() { li { a href=(console.link(&format!("/docs/{name}"))) { (title) } } } }
    })
}

pub(super) async fn page(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
) -> Response {
    match docs::page(&name) {
        Some(page) => frame(&console, &session, &page.title).page(&html! {
            p { a href=(console.link("/docs")) { "All pages" } }
            div .docs { (PreEscaped(page.html)) }
        }),
        None => {
            let reason = format!("there is no page {name:?} in the documentation");
            frame(&console, &session, "Not found").error(&ApiError { status: StatusCode::NOT_FOUND, reason })
        }
    }
}

pub(super) async fn image(Path(name): Path<String>) -> Response {
    match docs::IMAGES.iter().find(|(known, _)| known.strip_prefix("images/") == Some(&*name)) {
        Some((_, image)) => ([(CONTENT_TYPE, "image/png")], *image).into_response(),
        None => (StatusCode::NOT_FOUND, "not found\n").into_response(),
    }
}
