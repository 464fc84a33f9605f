//! Access control: requests that change something need the token, if there is one. No request may come from a web page that
//! is open in a browser on this machine.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use mapper_state::files::{self, Limit};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// A shorter token can be guessed.
const LEAST_TOKEN_BYTES: usize = 16;
/// Only the first line counts.
const TOKEN_FILE: Limit = Limit::new("a file with a token", 64 << 10);

/// Checks every request.
#[derive(Clone)]
pub struct Guard {
    token: Option<Arc<str>>,
    /// The server listens on this machine only, so requests must use a name of this machine.
    loopback: bool,
}

/// The reason of a rejected request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turned {
    /// The `Host` header is not a name of this machine (DNS rebinding).
    Name,
    /// The request comes from a page of another origin (cross-site request forgery).
    Origin,
    /// The token is missing or wrong.
    Token,
}

impl Guard {
    /// For a server at this address, with this token.
    pub fn new(address: SocketAddr, token: Option<String>) -> Self {
        Self { token: token.map(Into::into), loopback: address.ip().is_loopback() }
    }

    /// Checks that a request uses a name of this machine, and that a change is not requested by a page of another origin.
    fn check_origin(&self, method: &Method, headers: &HeaderMap) -> Result<(), Turned> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        if self.loopback && !host.is_some_and(is_this_machine) {
            return Err(Turned::Name);
        }
        if method.is_safe() {
            return Ok(());
        }
        // A page can't set this header. A proxy may have changed Host, or speak TLS, so that Origin differs.
        if let Some(site) = headers.get(FETCH_SITE) {
            return if site == "same-origin" || site == "none" { Ok(()) } else { Err(Turned::Origin) };
        }
        let same_origin = |origin: &str| Some(origin.trim_start_matches("http://")) == host;
        if headers.get(ORIGIN).is_some_and(|origin| !origin.to_str().is_ok_and(same_origin)) {
            return Err(Turned::Origin);
        }
        Ok(())
    }

    /// Checks the token of a change.
    fn check_token(&self, method: &Method, headers: &HeaderMap) -> Result<(), Turned> {
        if method.is_safe() || self.token.is_none() {
            return Ok(());
        }
        let shown = headers.get(AUTHORIZATION).and_then(|shown| bearer(shown.as_bytes()));
        if shown.is_some_and(|shown| self.accepts(shown)) { Ok(()) } else { Err(Turned::Token) }
    }

    /// Whether changes need a token.
    pub(super) fn needs_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether this is the token. Takes the same time for each wrong one.
    pub(super) fn accepts(&self, token: &[u8]) -> bool {
        self.token.as_ref().is_some_and(|right| bool::from(token.ct_eq(right.as_bytes())))
    }
}

/// The token in an `Authorization` header. The scheme is case-insensitive (RFC 9110, section 11.1), and one or more blanks
/// follow it (section 11.4).
fn bearer(credentials: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer";
    let (scheme, rest) = credentials.split_at_checked(SCHEME.len())?;
    let token = rest.strip_prefix(b" ").filter(|_| scheme.eq_ignore_ascii_case(SCHEME))?;
    Some(token.trim_ascii_start())
}

/// Whether a `Host` header is a loopback name of this machine, with any port.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _port)| name),
        None => host.rsplit_once(':').map_or(host, |(name, _port)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Passes a request on, unless it comes from elsewhere. For all routes.
pub(super) async fn check_origin(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.check_origin(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(turned) => turned.into_response(),
    }
}

/// Passes a request on, unless it lacks the token. For the routes of the API: the console calls them with the token of its viewer.
pub(super) async fn check_token(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.check_token(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(turned) => turned.into_response(),
    }
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        match self {
            Self::Name => {
                let why = "the request is rejected: the Host header is not a name of this machine. Use localhost or 127.0.0.1\n";
                (StatusCode::FORBIDDEN, why).into_response()
            }
            Self::Origin => {
                (StatusCode::FORBIDDEN, "the request is rejected: it comes from a web page of another origin\n")
                    .into_response()
            }
            Self::Token => {
                let why = "the request is rejected: it needs the token of --admin-token-file. Send the header Authorization: Bearer TOKEN\n";
                (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], why).into_response()
            }
        }
    }
}

/// The token in the first line of a file.
///
/// # Errors
/// If the file cannot be read, if other users can read it, or if its first line is not a token.
pub fn read_token(path: &Path) -> anyhow::Result<String> {
    let named = || format!("the token of the admin server, {}", path.display());
    let file = files::open(path).with_context(named)?;
    if let Err(why) = files::check_secret(&file) {
        bail!("{}: {why}. Make it a file that only this user can read: chmod 600 {}", named(), path.display());
    }
    let text = files::read_opened(&file, TOKEN_FILE).with_context(named)?;
    let text = files::decode_text(text).map_err(|why| anyhow::anyhow!("{}: {why}", named()))?;
    let token = text.lines().next().unwrap_or_default().trim();
    if token.len() < LEAST_TOKEN_BYTES || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!(
            "{}: its first line must be a token of {LEAST_TOKEN_BYTES} or more ASCII characters without blanks; make one with: \
             openssl rand -hex 32",
            named()
        );
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    /// Both checks, as a request to the API passes them.
    fn check(guard: &Guard, method: &Method, headers: &HeaderMap) -> Result<(), Turned> {
        guard.check_origin(method, headers)?;
        guard.check_token(method, headers)
    }

    fn guard(address: &str, token: bool) -> Guard {
        Guard::new(address.parse().unwrap(), token.then(|| TOKEN.to_owned()))
    }

    #[test]
    fn loopback_server_accepts_only_names_of_this_machine() {
        let guard = guard("127.0.0.1:8080", false);
        for host in ["localhost:8080", "LOCALHOST", "127.0.0.1:8080", "127.0.0.2", "[::1]:8080", "[::1]"] {
            assert_eq!(check(&guard, &Method::GET, &headers(&[("host", host)])), Ok(()), "{host}");
        }
        for host in
            ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1:8080", "[::2]:1", "[::1", ""]
        {
            assert_eq!(check(&guard, &Method::GET, &headers(&[("host", host)])), Err(Turned::Name), "{host}");
        }
        assert_eq!(check(&guard, &Method::GET, &headers(&[])), Err(Turned::Name));
    }

    #[test]
    fn public_server_accepts_any_name_and_needs_the_token_for_changes() {
        let guard = guard("0.0.0.0:8080", true);
        let host = ("host", "10.0.0.1:8080");
        assert_eq!(check(&guard, &Method::GET, &headers(&[host])), Ok(()));
        assert_eq!(check(&guard, &Method::POST, &headers(&[host])), Err(Turned::Token));
        for wrong in [
            "Bearer 0123456789abcdeF",
            "Bearer 0123456789abcde",
            "Bearer ",
            "Bearer",
            "Bearer\t0123456789abcdef",
            "Bearer0123456789abcdef",
            "bearerx0123456789abcdef",
            "0123456789abcdef",
            "Basic 0123456789abcdef",
        ] {
            let shown = headers(&[host, ("authorization", wrong)]);
            assert_eq!(check(&guard, &Method::DELETE, &shown), Err(Turned::Token), "{wrong}");
        }
        for right in [
            "Bearer 0123456789abcdef",
            "bearer 0123456789abcdef",
            "BEARER 0123456789abcdef",
            "bEaReR   0123456789abcdef",
        ] {
            let shown = headers(&[host, ("authorization", right)]);
            assert_eq!(check(&guard, &Method::POST, &shown), Ok(()), "{right}");
        }
    }

    #[test]
    fn request_from_a_page_of_another_origin_is_rejected() {
        for token in [false, true] {
            let guard = guard("127.0.0.1:8080", token);
            let checked = |more: &[(&'static str, &'static str)]| {
                let own = [("host", "localhost:8080"), ("authorization", "Bearer 0123456789abcdef")];
                check(&guard, &Method::POST, &headers(&[&own, more].concat()))
            };
            assert_eq!(checked(&[]), Ok(()));
            assert_eq!(checked(&[("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")]), Ok(()));
            for origin in ["http://evil.example", "http://localhost:9999", "null", "https://localhost:8080", "file://"]
            {
                assert_eq!(checked(&[("origin", origin)]), Err(Turned::Origin), "{origin}");
            }
            // A proxy with TLS, or with a Host of its own.
            assert_eq!(checked(&[("origin", "https://ops.example"), ("sec-fetch-site", "same-origin")]), Ok(()));
            for site in ["cross-site", "same-site"] {
                assert_eq!(checked(&[("sec-fetch-site", site)]), Err(Turned::Origin), "{site}");
            }
        }
    }

    #[test]
    fn token_has_at_least_16_characters_without_blanks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            read_token(&path)
        };
        assert_eq!(read("0123456789abcdef\nmore").unwrap(), TOKEN);
        for text in ["", "\n0123456789abcdef", "short", "0123456789 abcdef", "0123456789abcdeé"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("16 or more") && error.contains("token"), "{error}");
        }
        assert!(format!("{:#}", read_token(&dir.path().join("none")).unwrap_err()).contains("No such file"));
        assert!(format!("{:#}", read_token(dir.path()).unwrap_err()).contains("not a regular file: a directory"));
        assert!(format!("{:#}", read_token(Path::new("/dev/zero")).unwrap_err()).contains("a character device"));
    }

    #[test]
    fn token_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("token"), dir.path().join("link"));
        std::fs::write(&path, TOKEN).unwrap();
        // A secret of Kubernetes is reached by a link.
        std::os::unix::fs::symlink("token", &link).unwrap();
        for mode in [0o644, 0o604, 0o602] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            for path in [&path, &link] {
                let error = format!("{:#}", read_token(path).unwrap_err());
                assert!(error.contains("other users can read") && error.contains("chmod 600"), "{mode:o}: {error}");
            }
        }
        for mode in [0o600, 0o400] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_token(&link).unwrap(), TOKEN, "{mode:o}");
        }
    }
}
