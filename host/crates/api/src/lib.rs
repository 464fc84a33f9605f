//! The JSON types of the HTTP API: the admin server serialises them, clients deserialise them. `docs/http-api.md` is generated from
//! the comments of the fields.

#![deny(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

pub mod alerts;
pub mod audit;
pub mod dead_letters;
pub mod map;
pub mod payloads;
pub mod pipelines;
pub mod recent;
pub mod redrives;
pub mod samples;
pub mod settings;
pub mod status;
pub mod version_details;
pub mod versions;

/// The route of the list of pipelines. The routes of one pipeline are below it, after its name.
pub const PIPELINES_PATH: &str = "/v1/pipelines";
/// The route of the settings of the process.
pub const SETTINGS_PATH: &str = "/v1/settings";
/// The media type of a plugin. A browser does not send it to another origin without a preflight request.
pub const PLUGIN_MEDIA_TYPE: &str = "application/wasm";
