//! Runs a WebAssembly mapper between Kafka topics.

// They panic when their reader is gone, and write unescaped text: see `mapper_terminal::output`.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

pub mod admin;
mod alerts;
pub mod app;
pub mod audit;
pub mod check_file;
pub mod cli;
pub mod committed;
pub mod config;
pub mod console;
pub mod demo;
pub mod dlq;
pub mod letter_watch;
pub mod memory;
pub mod pipelines;
pub mod remote;
pub mod report;
pub mod schema_registry;
pub mod services;
pub mod state_dir;
pub mod swap;
pub mod threads;
pub mod topics;
pub mod worker;
