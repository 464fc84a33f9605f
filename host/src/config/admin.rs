//! The address of the admin server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::values::Read;

/// The address of the admin server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminConfig {
    /// The address. With port 0 the system chooses one.
    pub address: SocketAddr,
    /// Whether the user configured it. If not, the host runs without a server if the address is in use.
    pub asked: bool,
}

/// An address and port; `None` for `off`. Names other than `localhost` are not resolved: that would be I/O.
pub(crate) fn address(text: &str) -> Read<Option<SocketAddr>> {
    if text == "off" {
        return Ok(None);
    }
    let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    let local = local.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    let address = local.or_else(|| text.parse().ok());
    address.map(Some).ok_or_else(|| {
        "give an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080, or off".to_owned()
    })
}

/// The path of a proxy: begins with a slash and does not end with one. Its characters need no escape in a URL or a cookie.
pub(crate) fn base_path(text: &str) -> Read<String> {
    let is_part = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    if text == "/" {
        return Ok(String::new());
    }
    match text.strip_prefix('/').map(|rest| rest.strip_suffix('/').unwrap_or(rest)) {
        Some(path) if path.split('/').all(is_part) => Ok(format!("/{path}")),
        _ => {
            Err("give a path such as /mapper or /tools/mapper: parts of letters, digits, '-', '.', '_' and '~'"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_path_has_a_slash_at_its_beginning_only() {
        for (text, read) in [("/", ""), ("/mapper", "/mapper"), ("/a/b-1/", "/a/b-1")] {
            assert_eq!(base_path(text), Ok(read.to_owned()), "{text}");
        }
        for text in ["", "mapper", "//", "/a//b", "/a b", "/a;b", "/{name}", "/..", "/a?b", "/é"] {
            assert!(base_path(text).is_err_and(|allowed| allowed.contains("/mapper")), "{text}");
        }
    }

    #[test]
    fn admin_address_is_an_ip_address_with_a_port() {
        for (text, read) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("localhost:0", "127.0.0.1:0"),
            ("[::1]:9", "[::1]:9"),
            ("0.0.0.0:65535", "0.0.0.0:65535"),
        ] {
            assert_eq!(address(text), Ok(Some(read.parse().unwrap())), "{text}");
        }
        assert_eq!(address("off"), Ok(None));
        for text in ["", "8080", ":8080", "localhost", "127.0.0.1", "127.0.0.1:65536", "example.org:80", "::1:80", "on"]
        {
            assert!(address(text).is_err_and(|allowed| allowed.contains("127.0.0.1:8080")), "{text}");
        }
    }
}
