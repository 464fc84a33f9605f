//! The identity of a plugin and of its versions.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A larger plugin file is refused before it is read.
pub const MAX_PLUGIN_BYTES: u64 = 64 << 20;
/// The longest name or version that a plugin may declare, in bytes (`wit/mapper.wit`).
pub const MAX_NAME_BYTES: usize = 200;

/// The SHA-256 of a plugin file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn hash_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The identity of a plugin, as its file gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name that the plugin declares.
    pub name: String,
    /// The version that the plugin declares.
    pub version: String,
    /// The SHA-256 of its file.
    pub digest: Digest,
    /// Its size in bytes.
    pub bytes: u64,
    /// The version of the contract it was built against.
    pub contract: &'static str,
}

/// A version of the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// The name that the plugin declares.
    pub name: String,
    /// The version that the plugin declares.
    pub version: String,
    /// The SHA-256 of its file, in hexadecimal.
    pub digest: String,
}

impl From<&Identity> for Version {
    fn from(identity: &Identity) -> Self {
        let Identity { name, version, digest, .. } = identity;
        Self { name: name.clone(), version: version.clone(), digest: digest.to_string() }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.name, self.version, self.digest.get(..12).unwrap_or(&self.digest))
    }
}

/// What activated a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// The host was started with it.
    Start,
    /// The plugin file changed.
    File,
    /// SIGHUP.
    Signal,
    /// `POST /swap`, which `mapper-host swap` sends.
    Http,
    /// `POST /rollback`, which `mapper-host rollback` sends.
    Rollback,
    /// The version after it failed its probation.
    Probation,
}

impl Trigger {
    /// The trigger as one word, as the JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::File => "file",
            Self::Signal => "signal",
            Self::Http => "http",
            Self::Rollback => "rollback",
            Self::Probation => "probation",
        }
    }
}

/// The version that maps the records of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveVersion {
    /// The number of its term in the history.
    pub term: u64,
    pub version: Version,
    /// The version of the contract it was built against.
    pub contract: &'static str,
}
