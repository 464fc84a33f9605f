//! The settings of the commands that call a running host.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::values::Read;

/// All settings of `mapper-host swap`, `mapper-host rollback`, `mapper-host history` and `mapper-host shadow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteConfig {
    /// The admin server of the host, as `http://HOST:PORT`.
    pub url: String,
    /// The file with its token. It was not read yet.
    pub token_file: Option<PathBuf>,
    /// The pipeline; `None` is the only one.
    pub pipeline: Option<String>,
    /// Whether to print the JSON of the answer.
    pub json: bool,
    /// The command.
    pub command: RemoteCommand,
}

/// A command to a running host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteCommand {
    /// Swap to this plugin.
    Swap {
        /// The plugin file.
        file: PathBuf,
        /// End after the try-out.
        dry_run: bool,
        /// Skip the try-out.
        force: bool,
    },
    /// Return to an earlier version.
    Rollback {
        /// The version; `None` is the one before.
        to: Option<String>,
        /// Skip the confirmation.
        yes: bool,
    },
    /// Show the state of the pipelines.
    Status,
    /// Show the history.
    History,
    /// Run this plugin as a shadow.
    Shadow {
        /// The plugin file.
        file: PathBuf,
    },
    /// End the shadow.
    StopShadow,
}

/// A URL, or an address and port like the setting of the host. A wildcard address becomes the loopback address.
pub(crate) fn url(text: &str) -> Read<String> {
    let allowed = "give the address of the admin server, such as 127.0.0.1:8080 or http://10.0.0.7:8080 (not https: put a \
         tunnel there)";
    let name = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    if text == "off" || name.is_empty() || name.contains(['/', '?', '#', '@', ' ']) {
        return Err(allowed.to_owned());
    }
    let name = match name.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => {
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port()).to_string()
        }
        _ => name.to_owned(),
    };
    let port = name.rsplit_once(':').map(|(_, port)| port);
    if port.is_none_or(|port| port.parse().is_ok_and(|port: u16| port > 0) || port.ends_with(']')) {
        return Ok(format!("http://{name}"));
    }
    Err(allowed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_url_is_a_url_or_an_address_with_a_port() {
        for (text, read) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://localhost:8080/", "http://localhost:8080"),
            ("mapper.internal", "http://mapper.internal"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:8080", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(url(text).as_deref(), Ok(read), "{text}");
        }
        for text in ["", "off", "https://host:1", "host:0", "host:port", "http://host:1/swap", "user@host:1", "http://"]
        {
            assert!(url(text).is_err(), "{text}");
        }
    }
}
