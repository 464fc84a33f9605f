//! The pipelines of a process: each has its own threads, clients, versions and counts; the manager starts, watches and ends them.

mod cluster;
mod config_file;
mod generation;
mod manager;
mod registry;
mod restart;
mod supervise;

pub use cluster::{Cluster, check as check_cluster, settings};
pub use config_file::Reread;
pub use generation::{Shared, Signals};
pub use manager::{Manager, Policy};
pub use registry::{Entry, PipelineRegistry, State};
