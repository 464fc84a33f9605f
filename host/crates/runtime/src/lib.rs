//! Loads WebAssembly plugins and runs them as mappers. Only this crate imports wasmtime.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod bindings;
mod cache;
mod complexity;
mod contract;
mod convert;
mod deadline;
mod deadline_poll;
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
mod outline;
mod pool;
mod symbols;

pub use cache::Cache;
pub use contract::{CONTRACT_VERSION, World};
pub use describe::{Description, describe};
pub use engine::Engine;
pub use form::Form;
pub use grants::{GrantedDir, Grants};
pub use imports::{Access, Import};
use instance::Instance;
pub use limits::Limits;
pub use load::{Effort, LoadError, Plugin, PluginFileError, Stage};
pub use mapper::PluginMapper;
pub use outline::Outline;
// Tools for authors call mappers and do not depend on the loop.
pub use mapper_pipeline::contracts::Mapper;
pub use mapper_pipeline::guest::{GuestObserver, Renewal};

#[cfg(test)]
mod tests;
