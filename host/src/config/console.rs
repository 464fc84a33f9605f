//! The configuration of `mapper-host console`.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::RunConfig;

/// All settings of `mapper-host console`.
#[derive(Debug, Clone)]
pub struct ConsoleConfig {
    /// The address of the console. With port 0 the system chooses one.
    pub address: SocketAddr,
    /// The hosts that run the pipelines, as `http://HOST:PORT`.
    pub hosts: Vec<String>,
    /// The file with the token for changes of the hosts; `None`: the token of the viewer is sent. It was not read yet.
    pub host_token_file: Option<PathBuf>,
    /// The settings that a run has, too. Of a pipeline, only the access to its dead letters is used; there may be none.
    pub run: RunConfig,
}
