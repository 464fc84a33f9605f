//! Runs a WebAssembly mapper between Kafka topics.

// They panic when their reader is gone, and write unescaped text: see `output`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod admin;
pub mod app;
pub mod author;
pub mod bytes;
pub mod cli;
pub mod committed;
pub mod config;
pub mod console;
pub mod dead_letter;
pub mod decision;
pub mod demo;
pub mod files;
pub mod health;
pub mod intents;
pub mod kafka;
pub mod memory;
pub mod output;
pub mod pipeline;
pub mod plugin;
pub mod project;
pub mod record;
pub mod remote;
pub mod report;
pub mod shutdown;
pub mod spans;
pub mod state_dir;
pub mod swap;
pub mod telemetry;
pub mod topics;
pub mod trace_context;
pub mod transactional_id;
pub mod verdict;
pub mod visits;
pub mod worker;
