//! The URL of the alert webhook.

use std::fmt;

use ureq::http::Uri;
use ureq::http::uri::Scheme;

use super::credentials;
use super::values::Read;

const ALLOWED: &str = "give an https:// URL, such as https://alerts.example.com/hook, or an http:// URL of this machine, such as \
     http://127.0.0.1:9000/hook. For another receiver without TLS, run a proxy on this machine";

/// The URL to which the host posts groups of failures. Its credentials, path and query may be secret: no text of it has them.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    url: Uri,
    /// The value of the header Authorization.
    authorization: Option<String>,
}

impl WebhookUrl {
    /// The URL without its credentials.
    pub(crate) fn url(&self) -> &Uri {
        &self.url
    }

    /// The value of the header Authorization, from the credentials of the URL.
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// Whether the receiver is on this machine, where no proxy leads to it.
    pub(crate) fn is_local(&self) -> bool {
        self.url.host().is_some_and(is_loopback)
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, receiver) = (self.url.scheme_str().unwrap_or_default(), self.url.authority());
        write!(f, "{scheme}://{}/…", receiver.map_or("", |receiver| receiver.as_str()))
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads the URL. The error does not have it.
pub(crate) fn url(text: &str) -> Read<WebhookUrl> {
    read(text).ok_or_else(|| ALLOWED.to_owned())
}

fn read(text: &str) -> Option<WebhookUrl> {
    let given: Uri = text.parse().ok()?;
    let host = given.host()?.to_owned();
    let is_allowed =
        given.scheme() == Some(&Scheme::HTTPS) || given.scheme() == Some(&Scheme::HTTP) && is_loopback(&host);
    if host.is_empty() || !is_allowed {
        return None;
    }
    let (receiver, authorization) = credentials::split(&given)?;
    let mut parts = given.into_parts();
    parts.authority = Some(receiver.parse().ok()?);
    Some(WebhookUrl { url: Uri::from_parts(parts).ok()?, authorization })
}

/// Whether a host of a URL is this machine.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn webhook_url_has_tls_or_is_of_this_machine() {
        for (text, shown) in [
            ("https://alerts.example.com/hook?token=s3cret", "https://alerts.example.com/…"),
            ("https://alerts.example.com", "https://alerts.example.com/…"),
            ("https://10.0.0.7:8443/hook", "https://10.0.0.7:8443/…"),
            ("http://127.0.0.1:9000/hook", "http://127.0.0.1:9000/…"),
            ("http://LOCALHOST/s3cret", "http://LOCALHOST/…"),
            ("http://[::1]:9000/", "http://[::1]:9000/…"),
        ] {
            let url = url(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), shown.to_owned()));
            assert_eq!(url.authorization(), None);
        }
        for text in [
            "",
            "alerts.example.com/hook",
            "/hook",
            "http://alerts.example.com/hook",
            "http://127.0.0.1.example.com/hook",
            "http://10.0.0.7/hook",
            "http://localhost@10.0.0.7/hook",
            "https://",
            "https:///hook",
            "https://user:s3cret@",
            "https://host:0/",
            "https://host:99999/",
            "https://host:port/",
            "https://%zz:s3cret@host/",
            "ftp://host/",
            "https://a b/",
        ] {
            let allowed = url(text).expect_err(text);
            assert!(allowed.contains("give an https:// URL") && !allowed.contains("s3cret"), "{text}: {allowed}");
        }
    }

    #[test]
    fn credentials_of_the_webhook_url_become_a_header_and_are_in_no_text() {
        let url = url("https://user:p%40ss%3A@host:8443/hook?x=y").unwrap();
        assert_eq!(url.authorization(), Some(&*format!("Basic {}", STANDARD.encode("user:p@ss:"))));
        assert_eq!(url.url().to_string(), "https://host:8443/hook?x=y");
        assert_eq!(format!("{url} {url:?}"), "https://host:8443/… https://host:8443/…");
    }
}
