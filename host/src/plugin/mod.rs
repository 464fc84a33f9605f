//! Everything about WebAssembly: loading a plugin, and running it as a mapper. Only this room imports wasmtime.

mod bindings;
mod cache;
mod complexity;
mod contract;
mod convert;
mod deadline;
mod describe;
mod dwarf;
mod engine;
mod failure;
mod form;
mod grants;
mod guest_log;
pub mod helper;
mod imports;
mod instance;
mod limits;
mod line_budget;
mod load;
mod mapper;
mod open_files;
mod pool;
mod symbols;
mod waiting;

pub use cache::Cache;
pub use contract::{CONTRACT_VERSION, World};
pub use describe::{Description, describe};
pub use engine::Engine;
pub use form::Form;
pub use grants::{GrantedDir, Grants};
pub use imports::{Access, Import};
use instance::Instance;
pub use limits::Limits;
pub(crate) use load::PLUGIN_LIMIT;
pub use load::{Digest, Effort, Identity, MAX_NAME_BYTES, MAX_PLUGIN_BYTES, Plugin, PluginRefused, Stage};
pub use mapper::PluginMapper;

#[cfg(test)]
mod tests;
