//! What record data the API gives out (`--admin-payloads`). All answers pass through [`apply`]: it hides the fields that the schema of an
//! answer marks, and lets no answer through that it does not know.

mod mask;

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mapper_api::payloads::{PAYLOADS_HEADER, Payloads};
use mapper_core::quotation::without_failure;
use mapper_terminal::output::escape;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde_json::Value;

use super::versions::failed;
use mask::Masks;

/// The extension of a schema that marks record data.
const MARK: &str = "x-payload";

/// Hides record data.
#[derive(Debug, Clone, Default)]
pub(super) struct PayloadFilter {
    mode: Payloads,
    masks: Masks,
}

/// The type of the JSON in the body of an answer.
#[derive(Clone, Copy)]
pub(super) struct AnswerType(fn() -> Schema);

impl AnswerType {
    pub(super) fn of<T: JsonSchema>() -> Self {
        Self(|| schema_for!(T))
    }
}

/// Of an answer whose handler hides record data itself.
#[derive(Clone, Copy)]
pub(super) struct IsFiltered;

/// For a handler whose whole answer is record data. It rejects the request unless such data is shown.
pub(super) struct WholeRecords;

impl<S: Send + Sync> FromRequestParts<S> for WholeRecords {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let filter = Extension::<PayloadFilter>::from_request_parts(parts, state).await;
        let Extension(PayloadFilter { mode, .. }) = filter.map_err(IntoResponse::into_response)?;
        if mode == Payloads::Show { Ok(Self) } else { Err(refused("the answer is record data as a whole", mode)) }
    }
}

fn refused(what: &str, mode: Payloads) -> Response {
    let why = format!(
        "the request is refused: {what}, and --admin-payloads is {mode}. Use mapper-host dlq at a terminal, or start the host with \
         --admin-payloads show"
    );
    failed(StatusCode::FORBIDDEN, why).into_response()
}

/// Hides the record data of an answer, and rejects requests whose answers would tell what records contain. For the routes of the API.
/// A console of this host can ask for a stricter mode than that of the host.
pub(super) async fn apply(State(mut filter): State<PayloadFilter>, mut request: Request, next: Next) -> Response {
    if let Some(asked) = request.headers().get(PAYLOADS_HEADER) {
        // A mode of a later version may hide more.
        let asked = asked.to_str().ok().and_then(Payloads::named).unwrap_or(Payloads::Off);
        filter.mode = filter.mode.max(asked);
    }
    let mode = filter.mode;
    if mode != Payloads::Show
        && request.method().is_safe()
        && let Some(name) = searching_parameter(request.uri(), mode)
    {
        let what = format!("the number of records that the parameter {name} selects reveals their contents");
        return refused(&what, mode);
    }
    request.extensions_mut().insert(filter.clone());
    let response = next.run(request).await;
    if mode == Payloads::Show { response } else { filter.filter(response).await }
}

/// A filter with which anyone could find out contents step by step. Equal keys can be recognised in masked answers anyway.
fn searching_parameter(uri: &Uri, mode: Payloads) -> Option<String> {
    let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else { return None };
    let names = if mode == Payloads::Mask { &["grep"][..] } else { &["grep", "key"] };
    pairs.into_iter().map(|(name, _)| name).find(|name| names.contains(&name.as_str()))
}

impl PayloadFilter {
    /// What is given out.
    pub(super) fn mode(&self) -> Payloads {
        self.mode
    }

    pub(super) fn new(mode: Payloads) -> Self {
        Self { mode, masks: Masks::default() }
    }

    /// The JSON of a value, without the record data that is not shown.
    pub(super) fn json<T: Serialize + JsonSchema>(&self, value: &T) -> serde_json::Result<String> {
        if self.mode == Payloads::Show {
            return serde_json::to_string(value);
        }
        let mut value = serde_json::to_value(value)?;
        self.hide(&mut value, &schema_for!(T));
        serde_json::to_string(&value)
    }

    async fn filter(&self, response: Response) -> Response {
        let (mut parts, body) = response.into_parts();
        if parts.extensions.get::<IsFiltered>().is_some() {
            return Response::from_parts(parts, body);
        }
        // The API bounds its own answers.
        let Ok(bytes) = to_bytes(body, usize::MAX).await else { return internal("an answer can't be read") };
        let content_type = parts.headers.get(CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
        let is_text =
            content_type.starts_with("text/plain") || content_type.starts_with("application/openmetrics-text");
        let (text, has_hidden) = if let Some(AnswerType(schema)) = parts.extensions.get().copied() {
            let Ok(mut value) = serde_json::from_slice(&bytes) else { return internal("an answer is not JSON") };
            let has_hidden = self.hide(&mut value, &schema());
            (escape::json(&value.to_string()).into_owned(), has_hidden)
        } else if is_text || bytes.is_empty() {
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<String> = text.split('\n').map(|line| self.sentence(line)).collect();
            let lines = lines.join("\n");
            let has_hidden = lines != text;
            (lines, has_hidden)
        } else {
            return refused("the answer may contain record data", self.mode);
        };
        if has_hidden {
            let name = HeaderName::from_static(PAYLOADS_HEADER);
            parts.headers.insert(name, HeaderValue::from_static(self.mode.name()));
        }
        if parts.headers.contains_key(CONTENT_LENGTH) {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
        }
        Response::from_parts(parts, Body::from(text))
    }

    /// Hides what the schema marks. Returns whether there was something.
    fn hide(&self, value: &mut Value, schema: &Schema) -> bool {
        let root = schema.as_value();
        self.hide_below(value, root, root)
    }

    fn hide_below(&self, value: &mut Value, schema: &Value, root: &Value) -> bool {
        let below = |value: &mut Value, schema: &Value| self.hide_below(value, schema, root);
        let mut has_hidden = false;
        if let Some(definition) = schema["$ref"].as_str().and_then(|path| root.pointer(path.strip_prefix('#')?)) {
            has_hidden |= below(value, definition);
        }
        for choices in ["anyOf", "oneOf", "allOf"] {
            for choice in schema[choices].as_array().into_iter().flatten() {
                has_hidden |= below(value, choice);
            }
        }
        match value {
            Value::Array(items) => {
                for item in items {
                    has_hidden |= below(item, &schema["items"]);
                }
            }
            Value::Object(fields) => {
                let known = schema["properties"].as_object();
                fields.retain(|name, field| {
                    let schema = known.and_then(|known| known.get(name)).unwrap_or(&schema["additionalProperties"]);
                    let Some(kind) = schema[MARK].as_str() else {
                        has_hidden |= below(field, schema);
                        return true;
                    };
                    if kind == "sentence" {
                        has_hidden |= self.hide_quotation(field);
                        return true;
                    }
                    has_hidden |= !field.is_null();
                    if kind == "whole" {
                        *field = Value::Null;
                    }
                    self.mask(field, kind);
                    self.mode == Payloads::Mask
                });
            }
            _ => {}
        }
        has_hidden
    }

    fn mask(&self, value: &mut Value, kind: &str) {
        match value {
            Value::String(text) => {
                *text = match kind {
                    "key" => self.masks.key(text.as_bytes()),
                    "key-base64" => self.masks.key_base64(text),
                    "value-base64" => mask::value_base64(text),
                    "message" => mask::message(text),
                    "result" => mask::result(text),
                    _ => mask::value(text),
                }
            }
            // A header: its name stays.
            Value::Array(pair) if kind == "header" => {
                pair.iter_mut().skip(1).for_each(|value| self.mask(value, "value"))
            }
            Value::Array(items) => {
                let kind = if kind == "headers" { "header" } else { kind };
                items.iter_mut().for_each(|item| self.mask(item, kind));
            }
            // An excerpt, or texts by fingerprint.
            Value::Object(fields) => {
                for (name, value) in fields {
                    let kind = match (name.as_str(), kind) {
                        ("base64", "key") => "key-base64",
                        ("base64", _) => "value-base64",
                        _ => kind,
                    };
                    self.mask(value, kind);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn hide_quotation(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => {
                let hidden = self.sentence(text);
                let has_hidden = hidden != *text;
                *text = hidden;
                has_hidden
            }
            Value::Array(items) => {
                let mut has_hidden = false;
                for item in items {
                    has_hidden |= self.hide_quotation(item);
                }
                has_hidden
            }
            _ => false,
        }
    }

    /// A message of the host, without the failure that it quotes.
    fn sentence(&self, message: &str) -> String {
        without_failure(message)
            .map_or_else(|| message.to_owned(), |start| format!("{start}<hidden: --admin-payloads {}>", self.mode))
    }
}

fn internal(what: &str) -> Response {
    let why = format!("record data can't be hidden: {what}. This is a bug of the host; report it");
    failed(StatusCode::INTERNAL_SERVER_ERROR, why).into_response()
}

#[cfg(test)]
mod tests;
