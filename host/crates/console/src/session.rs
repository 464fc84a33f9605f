//! The session of a viewer: a random id, the token of the API if it was given, and the key that forms must carry.

use std::sync::{Arc, OnceLock};

use axum::extract::{Request, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use mapper_api::payloads::Payloads;
use sha2::Sha256;

use super::Console;
use super::api::Client;

const SESSION: &str = "mapper_session";
const TOKEN: &str = "mapper_token";
const THEME: &str = "mapper_theme";
/// The bytes of a session id.
const ID_BYTES: usize = 16;

/// The key that signs session ids. A restart of the host makes a new one: forms of before are then refused, and loaded again.
pub(crate) struct Keys([u8; 32]);

impl Keys {
    pub(crate) fn new() -> Self {
        Self(rand::random())
    }

    fn mac(&self, id: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        mac.update(id.as_bytes());
        mac
    }

    /// What the forms of a session carry.
    fn form_key(&self, id: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.mac(id).finalize().into_bytes())
    }

    /// Compares in constant time.
    fn is_form_key(&self, id: &str, given: &str) -> bool {
        BASE64_URL_SAFE_NO_PAD.decode(given).is_ok_and(|given| self.mac(id).verify_slice(&given).is_ok())
    }
}

/// The chosen colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Theme {
    /// Those of the system.
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub(crate) const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub(crate) fn parse(name: &str) -> Self {
        Self::ALL.into_iter().find(|theme| theme.name() == name).unwrap_or_default()
    }
}

/// A viewer.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    id: String,
    pub(crate) token: Option<String>,
    pub(crate) theme: Theme,
    /// The hidden field of each form.
    pub(crate) form_key: String,
    /// Set if an answer of this request has hidden record data.
    hidden: Arc<OnceLock<Payloads>>,
}

impl Session {
    /// The API as this viewer.
    pub(crate) fn client<'a>(&'a self, console: &'a Console) -> Client<'a> {
        Client { api: &*console.api, token: self.token.as_deref(), hidden: &self.hidden }
    }

    /// Whether a form is one of this session.
    pub(crate) fn has_key(&self, console: &Console, given: &str) -> bool {
        console.keys.is_form_key(&self.id, given)
    }

    /// Whether the viewer may change something.
    pub(crate) fn may_change(&self, console: &Console) -> bool {
        !console.api.needs_token() || self.token.is_some()
    }

    /// How record data of the page is hidden, if any is.
    pub(crate) fn hidden(&self) -> Option<Payloads> {
        self.hidden.get().copied()
    }

    /// What a page shows in place of data that is not there.
    pub(crate) fn absent(&self, none: &'static str) -> &'static str {
        if self.hidden() == Some(Payloads::Off) { "left out" } else { none }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

/// Finds the session of a request, or begins one.
pub(crate) async fn open(State(console): State<Arc<Console>>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let known = cookie(headers, SESSION).filter(|id| id.len() == BASE64_URL_SAFE_NO_PAD.encode([0; ID_BYTES]).len());
    let is_new = known.is_none();
    let id = known.map_or_else(new_id, ToOwned::to_owned);
    let token = cookie(headers, TOKEN).and_then(decode);
    let theme = cookie(headers, THEME).map(Theme::parse).unwrap_or_default();
    let form_key = console.keys.form_key(&id);
    request.extensions_mut().insert(Session { id: id.clone(), token, theme, form_key, hidden: Arc::default() });
    let mut response = next.run(request).await;
    if is_new {
        response.headers_mut().append(SET_COOKIE, set_cookie(&console, SESSION, &id, None));
    }
    response
}

fn new_id() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; ID_BYTES]>())
}

fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
}

fn decode(value: &str) -> Option<String> {
    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(value).ok()?).ok()
}

/// The cookie that keeps the token until the browser is closed; without a token, the one that removes it.
pub(crate) fn token_cookie(console: &Console, token: Option<&str>) -> HeaderValue {
    match token {
        Some(token) => set_cookie(console, TOKEN, &BASE64_URL_SAFE_NO_PAD.encode(token), None),
        None => set_cookie(console, TOKEN, "", Some(0)),
    }
}

/// The cookie that keeps the colours for a year.
pub(crate) fn theme_cookie(console: &Console, theme: Theme) -> HeaderValue {
    set_cookie(console, THEME, theme.name(), Some(365 * 24 * 3600))
}

fn set_cookie(console: &Console, name: &str, value: &str, max_age: Option<u32>) -> HeaderValue {
    let age = max_age.map(|age| format!("; Max-Age={age}")).unwrap_or_default();
    let path = format!("{}{}", console.options.base_path, super::CONSOLE_PATH);
    let text = format!("{name}={value}; Path={path}; HttpOnly; SameSite=Strict{age}");
    HeaderValue::from_str(&text).expect("names, base64 and a checked path are ASCII")
}
