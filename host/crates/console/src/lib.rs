//! The web console: HTML pages that show what the HTTP API answers, and forms that call it.
//!
//! The pages have no access of their own. They call the API with the token that the viewer has given, so the API decides what is
//! allowed. Each page and each action works without JavaScript.

#![deny(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

mod actions;
mod api;
mod assets;
mod candidates;
mod chart;
mod docs;
mod format;
mod frame;
mod headers;
mod login;
mod pages;
mod session;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Redirect;
use axum::routing::get;

pub use api::{Api, ApiRequest, ApiResponse, escaped};
use candidates::Candidates;
use session::Keys;

/// The path of the console, below the base path.
pub const CONSOLE_PATH: &str = "/console";

/// The settings of the console.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The path under which a proxy shows the server, such as `/mapper`, without a slash at the end; empty for none.
    pub base_path: String,
    /// The version of the host.
    pub version: String,
}

/// What all pages share.
struct Console {
    api: Arc<dyn Api>,
    options: Options,
    keys: Keys,
    candidates: Candidates,
}

/// The routes of the console, all below [`CONSOLE_PATH`].
pub fn routes(api: Arc<dyn Api>, options: Options) -> Router {
    let console = Arc::new(Console { api, options, keys: Keys::new(), candidates: Candidates::default() });
    let pages = pages::routes().merge(actions::routes()).merge(login::routes());
    let pages = pages.layer(axum::middleware::from_fn_with_state(console.clone(), session::open));
    let routes = Router::new().nest(CONSOLE_PATH, pages.merge(assets::routes()));
    let routes = routes.route(&format!("{CONSOLE_PATH}/"), get(to_overview));
    routes.layer(axum::middleware::from_fn(headers::add)).with_state(console)
}

/// The address of the overview has no slash at its end.
async fn to_overview(State(console): State<Arc<Console>>) -> Redirect {
    Redirect::permanent(&console.link(""))
}
