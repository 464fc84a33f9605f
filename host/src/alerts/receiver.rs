//! The HTTP client of the alert webhook. It blocks, as it runs on a thread of its own.

use std::time::Duration;

use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use crate::config::WebhookUrl;

/// The timeout of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Statuses below 500 after which another attempt can succeed: a timeout, and too many requests.
const TEMPORARY: [u16; 2] = [408, 429];

/// The answer of the receiver.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted,
    /// Another attempt can succeed.
    Failed(String),
    /// The receiver would reject the same post again.
    Rejected(String),
}

/// The receiver of the posts.
pub(super) struct Receiver {
    agent: Agent,
    url: WebhookUrl,
}

impl Receiver {
    pub(super) fn new(url: WebhookUrl) -> Self {
        // The certificate authorities of this machine, so that an own one can be among them.
        let tls = TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(RootCerts::PlatformVerifier);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("mapper-host/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            // A redirect could lead anywhere with the same body.
            .max_redirects(0);
        let config = if url.is_local() { config.proxy(None) } else { config };
        Self { agent: config.build().into(), url }
    }

    /// Posts a JSON text, and waits at most so long for the answer. No text of the answer has a secret of the URL.
    pub(super) fn post(&self, json: &str, timeout: Duration) -> Answer {
        let request = self.agent.post(self.url.url()).content_type("application/json");
        let request = match self.url.authorization() {
            Some(authorization) => request.header("Authorization", authorization),
            None => request,
        };
        match request.config().timeout_global(Some(timeout)).build().send(json) {
            Ok(answer) => match answer.status().as_u16() {
                200..=299 => Answer::Accepted,
                status if status >= 500 || TEMPORARY.contains(&status) => Answer::Failed(format!("status {status}")),
                status => Answer::Rejected(format!("status {status}")),
            },
            Err(error) => Answer::Failed(reason(&error)),
        }
    }
}

/// The error in words. Other errors could quote the URL.
fn reason(error: &ureq::Error) -> String {
    use ureq::Error::{ConnectionFailed, HostNotFound, Io, NativeTls, Timeout, Tls};
    match error {
        Io(_) | Timeout(_) | HostNotFound | ConnectionFailed | Tls(_) | NativeTls(_) => error.to_string(),
        _ => "the request failed".to_owned(),
    }
}
