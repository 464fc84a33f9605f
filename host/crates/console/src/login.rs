//! The token of the viewer, and the colours of the pages.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use maud::html;
use serde::Deserialize;

use super::Console;
use super::actions::{NoFields, OwnForm};
use super::frame::Frame;
use super::session::{self, Session, Theme};

pub(crate) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/login", get(form).post(login))
        .route("/logout", post(logout))
        .route("/theme", post(choose_theme))
}

async fn form(State(console): State<Arc<Console>>, Extension(session): Extension<Session>) -> Response {
    page(&console, &session, None)
}

fn page(console: &Console, session: &Session, problem: Option<&str>) -> Response {
    let frame = Frame { console, session, title: "Enter the token", tab: None, is_live: false, events: None };
    let mut response = frame.page(&html! {
        @if let Some(problem) = problem { p .message.bad role="alert" #problem { (problem) } }
        p { "mapper-host was started with --admin-token-file. Without the token the console shows everything and changes nothing." }
        form .card method="post" action=(console.link("/login")) {
            (frame.key())
            // Password managers keep a password by the name of its user.
            input type="text" name="username" value="token" autocomplete="username" readonly hidden;
            label for="token" { "Token: the first line of that file" }
            input #token type="password" name="token" required autocomplete="current-password"
                aria-describedby=[problem.map(|_| "problem")];
            button { "Keep it until the browser is closed" }
        }
    });
    if problem.is_some() {
        *response.status_mut() = StatusCode::FORBIDDEN;
    }
    response
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

async fn login(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    OwnForm(Login { token }): OwnForm<Login>,
) -> Response {
    let token = token.trim();
    if !console.api.accepts_token(token).await {
        let problem = "The host does not accept this token. Copy the first line of the file of --admin-token-file.";
        return page(&console, &session, Some(problem));
    }
    let cookie = session::token_cookie(&console, Some(token));
    ([(SET_COOKIE, cookie)], Redirect::to(&console.link(""))).into_response()
}

async fn logout(State(console): State<Arc<Console>>, _: OwnForm<NoFields>) -> Response {
    ([(SET_COOKIE, session::token_cookie(&console, None))], Redirect::to(&console.link(""))).into_response()
}

#[derive(Deserialize)]
struct Choice {
    theme: String,
}

async fn choose_theme(State(console): State<Arc<Console>>, OwnForm(Choice { theme }): OwnForm<Choice>) -> Response {
    let cookie = session::theme_cookie(&console, Theme::parse(&theme));
    ([(SET_COOKIE, cookie)], Redirect::to(&console.link(""))).into_response()
}
