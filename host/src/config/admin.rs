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

#[cfg(test)]
mod tests {
    use super::*;

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
