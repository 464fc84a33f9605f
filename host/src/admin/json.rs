//! An answer in JSON that is safe to print at a terminal, as `curl` does.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::payloads::AnswerType;
use mapper_terminal::output::escape;

/// Like the type of axum, but escapes control characters, and says what its fields are.
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize + JsonSchema> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(json) => {
                let json_type = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
                let mut response = (json_type, escape::json(&json).into_owned()).into_response();
                response.extensions_mut().insert(AnswerType::of::<T>());
                response
            }
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answer_has_no_control_characters_and_the_same_meaning() {
        let name = "a\u{1b}[2J\u{9b}2J\u{202e}";
        let response = Json(name).into_response();
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        assert_eq!(body, r#""a\u001b[2J\u009b2J\u202e""#);
        assert_eq!(serde_json::from_slice::<String>(&body).unwrap(), name);
    }
}
