//! Maps the record of the form.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Router};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mapper_api::map::{MapInput, MapRequest, MapResult};
use maud::html;

use super::upload::{MAX_FORM_BYTES, Upload};
use crate::Console;
use crate::api::{ApiError, Payload, of_pipeline};
use crate::pages::playground::{Draft, form, frame, result};
use crate::session::Session;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/pipelines/{name}/playground", post(map).layer(DefaultBodyLimit::max(MAX_FORM_BYTES)))
}

async fn map(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
    multipart: Multipart,
) -> Response {
    let frame = frame(&console, &session, &name);
    let Upload { plugin, mut texts, .. } = match Upload::read(&frame, multipart).await {
        Ok(upload) => upload,
        Err(refused) => return *refused,
    };
    // A browser sends the lines of a text area with CR LF.
    let mut text = |field: &str| texts.remove(field).unwrap_or_default().replace("\r\n", "\n");
    let draft = Draft {
        position: Some(text("position")).filter(|position| !position.is_empty()),
        value: text("value"),
        is_tombstone: text("tombstone") == "true",
        record_key: text("record-key"),
        headers: text("headers"),
    };
    let mut request = match request(&draft) {
        Ok(request) => request,
        Err(reason) => return frame.error(&ApiError { status: StatusCode::BAD_REQUEST, reason }),
    };
    request.plugin_base64 = (!plugin.is_empty()).then(|| BASE64_STANDARD.encode(&plugin));
    drop(plugin);
    let path = of_pipeline(&name, "/map");
    let mapped: Result<MapResult, _> =
        session.client(&console).send(Method::POST, path, Payload::json(&request), &[]).await;
    match mapped {
        Ok(mapped) => frame.page(&html! { (result(&session, &mapped)) (form(&frame, &name, &draft)) }),
        Err(error) => frame.error(&error),
    }
}

fn request(draft: &Draft) -> Result<MapRequest, String> {
    if draft.position.is_some() {
        return Ok(MapRequest { position: draft.position.clone(), ..MapRequest::default() });
    }
    let header = |line: &str| {
        let (name, value) = line.split_once(':').ok_or_else(|| {
            format!("the header {line:?} can't be used: it has no colon. Write NAME: VALUE, a line for each header")
        })?;
        Ok((name.trim().to_owned(), Some(value.trim().to_owned())))
    };
    let headers: Result<_, String> = draft.headers.lines().filter(|line| !line.trim().is_empty()).map(header).collect();
    let record = MapInput {
        key: Some(draft.record_key.clone()).filter(|key| !key.is_empty()),
        value: (!draft.is_tombstone).then(|| draft.value.clone()),
        headers: headers?,
        ..MapInput::default()
    };
    Ok(MapRequest { record: Some(record), ..MapRequest::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_without_a_value_is_an_empty_value_and_a_tombstone_has_none() {
        let record = |draft: &Draft| request(draft).map(|request| request.record.unwrap());
        assert_eq!(record(&Draft::default()), Ok(MapInput { value: Some(String::new()), ..MapInput::default() }));
        let draft =
            Draft { is_tombstone: true, record_key: "k".into(), headers: "a: b:c\n\nd:".into(), ..Draft::default() };
        let headers = vec![("a".to_owned(), Some("b:c".to_owned())), ("d".to_owned(), Some(String::new()))];
        assert_eq!(record(&draft), Ok(MapInput { key: Some("k".into()), headers, ..MapInput::default() }));
        let error = record(&Draft { headers: "a b".into(), ..Draft::default() }).unwrap_err();
        assert!(error.contains("the header \"a b\" can't be used"), "{error}");
        let at = Draft { position: Some("visits/0@1".into()), value: "unused".into(), ..Draft::default() };
        assert_eq!(
            request(&at).map(|request| (request.position, request.record)),
            Ok((Some("visits/0@1".into()), None))
        );
    }
}
