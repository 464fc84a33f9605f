//! The user and the password of a URL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::http::Uri;

/// The authority of a URL without its credentials, and the value of the header Authorization from them; `None` if one of these is not
/// valid.
pub(super) fn split(url: &Uri) -> Option<(String, Option<String>)> {
    let whole = url.authority()?.as_str();
    let (credentials, server) = whole.rsplit_once('@').map_or((None, whole), |(user, rest)| (Some(user), rest));
    let has_port = server.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    if has_port && url.port_u16().is_none_or(|port| port == 0) {
        return None;
    }
    let authorization = match credentials {
        Some(credentials) => Some(format!("Basic {}", STANDARD.encode(decode_percent(credentials)?))),
        None => None,
    };
    Some((server.to_owned(), authorization))
}

/// The bytes of a percent-encoded text.
fn decode_percent(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut decoded = parts.next()?.as_bytes().to_vec();
    for part in parts {
        decoded.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        decoded.extend_from_slice(&part.as_bytes()[2..]);
    }
    Some(decoded)
}
