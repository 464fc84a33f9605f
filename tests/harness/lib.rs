//! The test harness of the whole host: a real Kafka, the host as a process, and the reference data.

mod broker_dir;
pub mod browser;
pub mod changes;
pub mod cluster;
pub mod components;
pub mod host;
pub mod hostile;
pub mod kafka;
pub mod letters;
pub mod mutate;
pub mod pages;
pub mod plugins;
pub mod promtool;
pub mod reference;
pub mod registry;
pub mod secure;
pub mod topics;
pub mod webhook;

pub use broker_dir::target_dir;
