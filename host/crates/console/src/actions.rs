//! The forms that change something: they call the API, and show what it answers.

mod candidate;
mod letters;
mod playground;
mod rollback;
mod upload;

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Form, Router};
use maud::html;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Console;
use super::frame::Frame;
use super::session::Session;

pub(crate) fn routes() -> Router<Arc<Console>> {
    candidate::routes().merge(rollback::routes()).merge(letters::routes()).merge(playground::routes())
}

/// The fields of a form of this session. The extractor answers any other form, so that no action can forget the check.
pub(crate) struct OwnForm<T>(pub(crate) T);

/// A form without other fields than its key.
#[derive(Deserialize)]
pub(crate) struct NoFields {}

#[derive(Deserialize)]
struct Keyed<T> {
    key: String,
    #[serde(flatten)]
    fields: T,
}

impl<T: DeserializeOwned> FromRequest<Arc<Console>> for OwnForm<T> {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Arc<Console>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let session = Extension::<Session>::from_request_parts(&mut parts, console).await;
        let Extension(session) = session.map_err(IntoResponse::into_response)?;
        let form = Form::<Keyed<T>>::from_request(Request::from_parts(parts, body), console).await;
        let Form(Keyed { key, fields }) = form.map_err(IntoResponse::into_response)?;
        refuse_foreign_form(console, &session, &key).map_or(Ok(Self(fields)), Err)
    }
}

/// The page for a form that another site has sent, or that is older than the host; `None` for a form of this session.
fn refuse_foreign_form(console: &Console, session: &Session, key: &str) -> Option<Response> {
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
