//! Versions of the plugin, swapped live, for the real host: plugins of WebAssembly, from files.

pub mod candidate;
pub mod host;

use mapper_runtime::PluginMapper;

pub use host::Versions;

/// The versions of a running host.
pub type Control = mapper_versions::Control<PluginMapper>;
