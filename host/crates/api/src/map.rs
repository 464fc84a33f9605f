//! The request and the answer of `/map`: one record, mapped without producing anything.

use mapper_core::identity::Version;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::recent::{Excerpt, RecentVerdict};

/// A record, and the version that maps it. It has either `record` or `position`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MapRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<MapInput>,
    /// The `position` of a record that `/recent` lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// A plugin in base64; without one, the active version maps the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_base64: Option<String>,
}

/// A record to map. Without `value` and `value_base64` it is a tombstone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MapInput {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_base64: Option<String>,
    /// Names with values.
    #[serde(default)]
    pub headers: Vec<(String, Option<String>)>,
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_ms: Option<i64>,
}

/// What a version made of a record. Nothing was produced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MapResult {
    pub plugin: Version,
    /// `TOPIC/PARTITION@OFFSET` that the plugin saw.
    pub position: String,
    pub verdict: RecentVerdict,
    /// Only if it failed.
    pub failure: Option<MapFailure>,
    /// The first outputs, if it was produced.
    pub outputs: Vec<MapOutput>,
    /// The number of further outputs.
    pub more_outputs: u64,
    /// The last lines that the plugin wrote; those before a crash are in the details of the failure.
    #[serde(default)]
    #[schemars(extend("x-payload" = "message"))]
    pub log: String,
    /// The time of the call in microseconds, with the creation of the instance.
    pub mapping_us: u64,
    /// Linear memory of the instance after the call; null after a crash.
    pub memory_bytes: Option<u64>,
    /// The record and this result as a line for a file of [cases](cases.md); null if it is longer than 1 MiB.
    #[schemars(extend("x-payload" = "whole"))]
    pub case: Option<String>,
}

/// Why the record failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MapFailure {
    pub kind: String,
    #[serde(default)]
    #[schemars(extend("x-payload" = "message"))]
    pub message: Excerpt,
    /// The backtrace, and the last lines that the plugin wrote.
    #[serde(default)]
    #[schemars(extend("x-payload" = "message"))]
    pub details: Excerpt,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MapOutput {
    pub topic: String,
    #[schemars(extend("x-payload" = "key"))]
    pub key: Option<Excerpt>,
    /// Null is a tombstone.
    #[schemars(extend("x-payload" = "value"))]
    pub value: Option<Excerpt>,
    pub headers: Vec<MapHeader>,
    pub timestamp_ms: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MapHeader {
    pub name: Excerpt,
    #[schemars(extend("x-payload" = "value"))]
    pub value: Option<Excerpt>,
}
