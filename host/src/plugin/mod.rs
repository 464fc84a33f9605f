//! Everything about WebAssembly: loading a plugin, and running it as a mapper. Only this room imports wasmtime.

mod bindings;
mod cache;
mod convert;
mod deadline;
mod engine;
mod failure;
mod grants;
mod guest_log;
mod instance;
mod limits;
mod line_budget;
mod load;
mod mapper;
mod waiting;

pub use cache::Cache;
pub use engine::Engine;
pub use grants::{GrantedDir, Grants};
pub use limits::Limits;
pub use load::{CONTRACT_VERSION, Digest, Effort, Identity, MAX_PLUGIN_BYTES, Plugin, PluginRefused, Stage};
pub use mapper::PluginMapper;
