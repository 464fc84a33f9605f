//! The pipelines of a process. Each has its own threads, clients, versions and counts. The manager starts, supervises and ends them.

mod cluster;
mod config_file;
mod generation;
mod input;
mod manager;
mod registry;
mod restart;
mod supervise;

pub use cluster::{CheckedTopics, Cluster, check as check_cluster, settings};
pub use config_file::Reread;
pub(crate) use generation::work;
pub use generation::{Shared, Signals};
pub use manager::{Manager, Policy};
pub use registry::{Entry, PipelineRegistry, State};
