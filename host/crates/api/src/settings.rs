//! The answers of `/settings`: the settings in force, and where each came from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A setting in force. A setting with keys, such as `kafka`, is listed once for each of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettingInForce {
    /// The group of the setting in [settings](settings.md), such as `Kafka`.
    pub group: String,
    /// The name of the flag without the dashes.
    pub name: String,
    /// The key of the entry, if the setting has keys. A key that may be a part of a secret is left out.
    pub key: Option<String>,
    /// The value, or the rule of a default; null if there is none, or if it is hidden.
    pub value: Option<String>,
    /// Whether the value, or a part of it, is hidden because it may be secret.
    pub is_hidden: bool,
    pub source: SettingSource,
    /// Where exactly: `flag --workers`, `variable MAPPER_WORKERS`, or the file with the pipeline and the key; null for a default.
    pub origin: Option<String>,
}

/// The kind of source of a setting, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SettingSource {
    /// Nobody has given it.
    Default,
    /// A key of the settings file above the tables.
    File,
    /// An environment variable.
    Variable,
    Flag,
    /// A `[[pipeline]]` table of the settings file.
    Table,
}
