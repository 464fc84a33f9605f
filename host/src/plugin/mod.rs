//! Everything about WebAssembly: loading a plugin, and running it as a mapper. Only this room imports wasmtime.

mod bindings;
mod cache;
mod convert;
mod engine;
mod guest_log;
mod instance;
mod load;
mod mapper;

pub use cache::Cache;
pub use engine::{Engine, Limits};
pub use load::{CONTRACT_VERSION, Digest, Effort, Identity, MAX_PLUGIN_BYTES, Plugin, PluginRefused, Stage};
pub use mapper::PluginMapper;
