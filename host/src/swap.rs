//! Connects `mapper-versions` with WebAssembly plugins, the plugin file and the state folder.

mod active;
pub mod candidate;
pub mod host;
mod outlines;

use crate::schema_registry::PipelineMapper;

pub use active::ActivePlugin;
pub use host::Versions;
pub use outlines::Outlines;

/// The versions of a running host.
pub type Control = mapper_versions::Control<PipelineMapper>;
