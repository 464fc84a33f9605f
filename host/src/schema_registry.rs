//! The schema registry: its HTTP client, and the codec of a pipeline from its schemas.

mod client;
mod codec;

use mapper_codec::CodecMapper;
use mapper_runtime::PluginMapper;

pub use codec::{build_for, build_for_redrive};

/// The mapper of a pipeline: a plugin, behind the codec if the pipeline has one.
pub type PipelineMapper = CodecMapper<PluginMapper>;
