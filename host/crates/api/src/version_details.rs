//! The answer of `/versions`: what each version is, and what it may use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::versions::Version;

/// The versions of the history, and what the pipeline grants them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersionList {
    /// The version that was active last comes first.
    pub versions: Vec<VersionDetails>,
    pub grants: GrantsView,
}

/// A version of the history, with all its terms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersionDetails {
    #[serde(flatten)]
    pub version: Version,
    /// Whether it is the active one.
    pub current: bool,
    /// The time at which it became active the last time, UTC in RFC 3339.
    pub last_since: String,
    /// Input records of all its terms.
    pub records_in: u64,
    /// The mean time of its calls for a record, in microseconds, over all its terms; null if it was not measured.
    pub mapping_us_per_record: Option<f64>,
    /// Its file; null if the host does not have it any more: it keeps a few for rollbacks.
    pub file: Option<PluginFileView>,
}

/// What the file of a plugin declares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PluginFileView {
    pub bytes: u64,
    /// The version of the contract; null if it exports none.
    pub contract: Option<String>,
    /// `mapper-batch` or `mapper`; null if this host supports none of its worlds.
    pub world: Option<String>,
    pub imports: Vec<ImportView>,
}

/// An import of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportView {
    /// For example `wasi:clocks/wall-clock@0.2.6`.
    pub name: String,
    /// `provided`; `restricted`, which is empty without a grant; or `unsupported`.
    pub access: String,
    /// What it is.
    pub description: String,
}

/// What every plugin of the pipeline may use, beside clocks and random numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantsView {
    /// The names of the environment variables.
    pub variables: Vec<String>,
    pub directories: Vec<GrantedDirectory>,
    /// Whether clocks are fixed and random numbers depend on the record only.
    pub deterministic: bool,
}

/// A directory that plugins can open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantedDirectory {
    /// The path on the host.
    pub host: String,
    /// The path for the plugin.
    pub guest: String,
    pub writable: bool,
}
