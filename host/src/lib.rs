//! Runs a WebAssembly mapper between Kafka topics.

// They panic when their reader is gone, and write unescaped text: see `output`.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

pub mod admin;
pub mod app;
pub mod check_file;
pub mod cli;
pub mod committed;
pub mod config;
pub mod demo;
pub mod memory;
pub mod pipelines;
pub mod remote;
pub mod report;
pub mod services;
pub mod state_dir;
pub mod swap;
pub mod threads;
pub mod topics;
pub mod worker;

pub use mapper_author::{self as author, project};
pub use mapper_core::{bytes, dead_letter, decision, record, shutdown, trace_context, verdict};
pub use mapper_kafka as kafka;
pub use mapper_pipeline as pipeline;
pub use mapper_runtime as plugin;
pub use mapper_state::{files, in_flight};
pub use mapper_terminal::{console, output};
pub use mapper_visits as visits;
