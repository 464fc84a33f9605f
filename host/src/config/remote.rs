//! How a running host is asked for something.

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
    /// The pipeline that it is asked about; `None`: the only one.
    pub pipeline: Option<String>,
    /// Whether to print what it answers as it is.
    pub json: bool,
    /// What it is asked for.
    pub command: RemoteCommand,
}

/// What a running host is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteCommand {
    /// To swap to this plugin.
    Swap {
        /// The plugin file.
        file: PathBuf,
        /// To do all but that.
        dry_run: bool,
        /// To skip the try-out.
        force: bool,
    },
    /// To return to an earlier version.
    Rollback {
        /// Which; `None`: the one before.
        to: Option<String>,
        /// To do so without a question.
        yes: bool,
    },
    /// What its pipelines are doing.
    Status,
    /// For its history.
    History,
    /// To run this plugin as a shadow.
    Shadow {
        /// The plugin file.
        file: PathBuf,
    },
    /// To end the shadow.
    StopShadow,
}

/// A URL, or an address and port as a host is given it: one that means every address of a machine is asked on this one.
pub(crate) fn url(text: &str) -> Read<String> {
    let allowed = "give where the admin server of the host listens, such as 127.0.0.1:8080 or http://10.0.0.7:8080 (not https: put a \
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
    fn a_url_is_what_one_would_write() {
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
