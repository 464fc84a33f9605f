//! What identifies a plugin, and a version of it that maps.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A plugin larger than this is refused before it is read.
pub const MAX_PLUGIN_BYTES: u64 = 64 << 20;
/// The longest name or version a plugin may give itself, in bytes (`wit/mapper.wit`).
pub const MAX_NAME_BYTES: usize = 200;

/// The SHA-256 of a plugin file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Who a plugin is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name it gives itself.
    pub name: String,
    /// The version it gives itself.
    pub version: String,
    /// The SHA-256 of its file.
    pub digest: Digest,
    /// Its size in bytes.
    pub bytes: u64,
    /// The version of the contract it was built against.
    pub contract: &'static str,
}

/// A version of the mapper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The name the plugin gives itself.
    pub name: String,
    /// The version the plugin gives itself.
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

/// A version that speaks, or is about to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// The number of its term in the history.
    pub term: u64,
    /// Who.
    pub version: Version,
    /// The version of the contract it was built against.
    pub contract: &'static str,
}
