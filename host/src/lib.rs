//! Runs a WebAssembly mapper between Kafka topics.

pub mod admin;
pub mod app;
pub mod author;
pub mod cli;
pub mod committed;
pub mod config;
pub mod console;
pub mod dead_letter;
pub mod decision;
pub mod demo;
pub mod health;
pub mod intents;
pub mod kafka;
pub mod pipeline;
pub mod plugin;
pub mod project;
pub mod record;
pub mod report;
pub mod shutdown;
pub mod spans;
pub mod telemetry;
pub mod trace_context;
pub mod transactional_id;
pub mod verdict;
pub mod visits;
pub mod worker;
