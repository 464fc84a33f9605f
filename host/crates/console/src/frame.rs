//! What surrounds each page: head, navigation, and messages.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use mapper_api::payloads::Payloads;
use maud::{DOCTYPE, Markup, html};

use super::api::{ApiError, escaped};
use super::assets::{ICON, SCRIPT, STYLE};
use super::docs;
use super::format::safe;
use super::session::{Session, Theme};
use super::{CONSOLE_PATH, Console};

/// The field of each form that carries the key of the session.
pub(crate) const KEY_FIELD: &str = "key";

/// The pages of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    Pipeline,
    Live,
    Versions,
    DeadLetters,
    Playground,
    Audit,
    Settings,
}

impl Tab {
    const ALL: [Self; 7] =
        [Self::Pipeline, Self::Live, Self::Versions, Self::DeadLetters, Self::Playground, Self::Audit, Self::Settings];

    fn title(self) -> &'static str {
        match self {
            Self::Pipeline => "Pipeline",
            Self::Live => "Live",
            Self::Versions => "Versions",
            Self::DeadLetters => "Dead letters",
            Self::Playground => "Playground",
            Self::Audit => "Audit",
            Self::Settings => "Settings",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Pipeline => "",
            Self::Live => "/live",
            Self::Versions => "/versions",
            Self::DeadLetters => "/dead-letters",
            Self::Playground => "/playground",
            Self::Audit => "/audit",
            Self::Settings => "/settings",
        }
    }
}

/// The frame of a page: where it is, and who looks at it.
pub(crate) struct Frame<'a> {
    pub(crate) console: &'a Console,
    pub(crate) session: &'a Session,
    pub(crate) title: &'a str,
    /// The pipeline and the tab of the page, if it is one of a pipeline.
    pub(crate) tab: Option<(&'a str, Tab)>,
    /// Whether the script loads the page again every few seconds.
    pub(crate) is_live: bool,
    /// The server-sent events after which the script loads the page again.
    pub(crate) events: Option<String>,
}

impl Console {
    /// The address of a page, for a link.
    pub(crate) fn link(&self, path: &str) -> String {
        format!("{}{CONSOLE_PATH}{path}", self.options.base_path)
    }

    /// The address of a page of a pipeline.
    pub(crate) fn link_of(&self, pipeline: &str, path: &str) -> String {
        self.link(&format!("/pipelines/{}{path}", escaped(pipeline)))
    }
}

impl Frame<'_> {
    /// The whole page.
    pub(crate) fn page(&self, content: &Markup) -> Response {
        let Self { console, session, title, .. } = self;
        let theme = session.theme;
        let asset = |name: &str| console.link(&format!("/assets/{name}"));
        let page = html! {
            (DOCTYPE)
            html lang="en" data-theme=(theme.name()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content=(match theme {
                        Theme::Auto => "light dark",
                        Theme::Light => "light",
                        Theme::Dark => "dark",
                    });
                    title { (safe(title)) " · mapper-host" }
                    link rel="icon" type="image/svg+xml" href=(asset(&ICON.name));
                    link rel="stylesheet" href=(asset(&STYLE.name));
                    script src=(asset(&SCRIPT.name)) defer {}
                    @if self.events.is_some() { noscript { meta http-equiv="refresh" content="3"; } }
                }
                body {
                    a .skip href="#main" { "Skip to the content" }
                    (self.header())
                    main #main tabindex="-1" data-live=[self.is_live.then_some("5")] data-events=[self.events.as_deref()] {
                        h1 { (safe(title)) }
                        @if let Some(mode) = session.hidden() { (hidden(mode)) }
                        (self.reach())
                        (content)
                    }
                    (self.footer())
                }
            }
        };
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        ([(CONTENT_TYPE, html)], page.into_string()).into_response()
    }

    /// Which host a change of the versions reaches, if the console is that of several hosts.
    fn reach(&self) -> Markup {
        let Some((pipeline, Tab::Versions)) = self.tab else { return html! {} };
        html! {
            @if let Some(host) = self.console.api.host_of(pipeline) {
                p .message {
                    "These are the versions of the host " code { (safe(&host)) } ". A swap, a rollback or a shadow reaches this host only: \
                     repeat it on each host of the pipeline."
                }
            }
        }
    }

    /// A page that says why there is nothing to see.
    pub(crate) fn error(&self, error: &ApiError) -> Response {
        let mut response = self.page(&html! {
            p .message.bad role="alert" { (safe(&error.reason)) }
            p { a href=(self.console.link("")) { "To the overview" } }
        });
        // Errors of a host behind this one are not those of a gateway to a browser.
        *response.status_mut() = if error.status.is_success() { StatusCode::BAD_GATEWAY } else { error.status };
        response
    }

    fn header(&self) -> Markup {
        let Self { console, session, .. } = self;
        html! {
            header {
                nav aria-label="Console" {
                    a .brand href=(console.link("")) aria-current=[self.tab.is_none().then_some("page")] { "mapper-host" }
                    @if let Some((pipeline, current)) = self.tab {
                        span .crumb { (safe(pipeline)) }
                        @for tab in Tab::ALL {
                            a href=(console.link_of(pipeline, tab.path())) aria-current=[(tab == current).then_some("page")] {
                                (tab.title())
                            }
                        }
                    }
                }
                div .session {
                    @if !console.api.needs_token() {
                        span .quiet { "no token needed" }
                    } @else if session.token.is_some() {
                        form method="post" action=(console.link("/logout")) {
                            (self.key())
                            button .plain { "Forget the token" }
                        }
                    } @else {
                        a href=(console.link("/login")) { "Read-only: enter the token" }
                    }
                }
            }
        }
    }

    fn footer(&self) -> Markup {
        html! {
            footer {
                span .quiet {
                    "mapper-host " (self.console.options.version) " · "
                    a href=(self.console.link("/docs")) { "Documentation" }
                }
                form method="post" action=(self.console.link("/theme")) .themes {
                    (self.key())
                    span .quiet #theme-label { "Colours" }
                    @for theme in Theme::ALL {
                        button .plain name="theme" value=(theme.name()) aria-describedby="theme-label"
                            aria-pressed=(if theme == self.session.theme { "true" } else { "false" }) { (theme.name()) }
                    }
                }
            }
        }
    }

    /// The pipeline of the page; empty if it is of none.
    pub(crate) fn pipeline(&self) -> &str {
        self.tab.map_or("", |(pipeline, _)| pipeline)
    }

    /// Whether the buttons of the page have an effect.
    pub(crate) fn may_change(&self) -> bool {
        self.session.may_change(self.console)
    }

    /// The hidden field that each form has.
    pub(crate) fn key(&self) -> Markup {
        html! { input type="hidden" name=(KEY_FIELD) value=(self.session.form_key); }
    }

    /// The command line that does the same as a form.
    pub(crate) fn command(&self, command: &str) -> Markup {
        html! {
            p .command {
                span .quiet { "The same at a terminal: " }
                code { (safe(command)) }
                button .plain.copy type="button" data-copy=(command) hidden { "Copy" }
                @if let Some(page) = docs::of_command(command) {
                    " " a href=(self.console.link(&format!("/docs/{page}"))) { "Documentation" }
                }
            }
        }
    }
}

/// What is not shown of records.
fn hidden(mode: Payloads) -> Markup {
    html! {
        p .message.doubtful {
            "Record data is " @if mode == Payloads::Off { "left out" } @else { "masked" } ": the host runs with "
            code { "--admin-payloads " (mode.name()) } ". Redrives and other actions use the records as they are."
        }
    }
}

/// A list of figures, each with its name.
pub(crate) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! {
        dl .facts {
            @for (name, value) in facts {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}

/// Links to the pages of a list; nothing if there is only one.
pub(crate) fn pager(link: &str, page: usize, items: usize, per_page: usize) -> Markup {
    let pages = items.div_ceil(per_page).max(1);
    html! {
        @if pages > 1 {
            nav .pager aria-label="Pages of the list" {
                @if page > 1 { a rel="prev" href=(format!("{link}?page={}", page - 1)) { "Earlier" } }
                span { "Page " (page) " of " (pages) }
                @if page < pages { a rel="next" href=(format!("{link}?page={}", page + 1)) { "Later" } }
            }
        }
    }
}
