//! The forms that change something: they call the API, and show what it answers.

mod candidate;
mod letters;
mod playground;
mod rollback;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use maud::html;
use serde::Deserialize;

use super::Console;
use super::frame::Frame;
use super::session::Session;

pub(crate) fn routes() -> Router<Arc<Console>> {
    candidate::routes().merge(rollback::routes()).merge(letters::routes()).merge(playground::routes())
}

/// A form without other fields.
#[derive(Deserialize)]
pub(crate) struct KeyOnly {
    pub(crate) key: String,
}

/// The page for a form that another site has sent, or that is older than the host; `None` for a form of this session.
pub(crate) fn refuse_foreign_form(console: &Console, session: &Session, key: &str) -> Option<Response> {
    if session.has_key(console, key) {
        return None;
    }
    let frame = Frame { console, session, title: "Nothing was changed", tab: None, is_live: false, events: None };
    let mut response = frame.page(&html! {
        p .message.bad role="alert" {
            "The form is not of this session: the host was restarted, or cookies are off. Go back, load the page again, and repeat."
        }
    });
    *response.status_mut() = StatusCode::FORBIDDEN;
    Some(response)
}
