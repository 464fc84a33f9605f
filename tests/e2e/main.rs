//! The whole host on a real Kafka: one binary, so that the broker is started once.

mod admin;
mod alerts;
mod audit;
mod author;
mod author_build;
mod author_watch;
mod check;
mod cli;
mod cluster;
mod connecting;
mod console;
mod containment;
mod contract;
mod delivery;
mod dlq;
mod failures;
mod fidelity;
mod files;
mod gallery;
mod grants;
mod guests;
mod hostile;
mod input_topic;
mod input_topics;
mod ledger;
mod map;
mod output;
mod payloads;
mod permissions;
mod pipelines;
mod reference;
mod rejected;
mod schemas;
mod secure;
mod stop;
mod swap;
mod traces;
mod worlds;

use std::path::PathBuf;

/// The host that cargo built for these tests.
const HOST: &str = env!("CARGO_BIN_EXE_mapper-host");

/// The plugin of the main job.
fn reduce_visit() -> PathBuf {
    harness::plugins::build(HOST, "plugins/reduce_visit")
}
