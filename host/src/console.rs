//! `mapper-host console`: the web console for pipelines that run in other processes.

use std::sync::Arc;
use std::time::Duration;

use crate::admin::{self, Guard, Hosts};
use crate::config::{ConsoleConfig, PipelineSpec};
use crate::dlq::PipelineLetters;
use crate::pipelines::{self, Cluster, Entry, PipelineRegistry};
use mapper_core::shutdown::{Cause, Halt, Shutdown};
use mapper_terminal::console::Console;

const POLL: Duration = Duration::from_secs(3600);

/// Serves the console until a shutdown.
///
/// # Errors
/// If the address is in use, or a token can't be read. Neither Kafka nor a host is needed for the start.
pub fn run(config: &ConsoleConfig, console: &Console, shutdown: &Shutdown) -> Result<(), Halt> {
    let registry = registry(config);
    let bound = admin::bind_console(config.address)?;
    let read_token = |file: &Option<_>| file.as_deref().map(admin::read_token).transpose();
    let tokens =
        read_token(&config.run.admin_token_file).and_then(|own| Ok((own, read_token(&config.host_token_file)?)));
    let (own_token, host_token) = tokens.map_err(|error| Halt::new(Cause::Configuration, error))?;
    let hosts = Arc::new(Hosts::new(&config.hosts, host_token));
    let options = admin::Options { base_path: config.run.admin_base_path.clone(), payloads: config.run.admin_payloads };
    let base_path = &config.run.admin_base_path;
    let serve = || -> anyhow::Result<_> {
        let address = bound.address()?;
        let routes = admin::console_routes(&registry, &hosts, Guard::new(address, own_token), options);
        Ok((bound.serve(routes, &registry)?, address))
    };
    let (_server, address) = serve().map_err(|error| Halt::internal(error.context("starting the console")))?;
    console.print(format!("the console is at http://{address}{base_path}/ and ends with Ctrl-C"));
    while !shutdown.requested() {
        shutdown.sleep(POLL);
    }
    registry.redrives.finish();
    console.finish();
    Ok(())
}

/// The pipelines whose dead letters the console reads.
pub(crate) fn registry(config: &ConsoleConfig) -> Arc<PipelineRegistry> {
    let registry = PipelineRegistry::default();
    registry.set_settings(config.run.settings.clone());
    config.run.pipelines.iter().filter_map(|spec| entry(spec, config)).for_each(|entry| registry.insert(entry));
    Arc::new(registry)
}

/// A pipeline whose dead letters the console reads; `None` without brokers.
fn entry(spec: &PipelineSpec, config: &ConsoleConfig) -> Option<Arc<Entry>> {
    let cluster = Cluster { brokers: spec.brokers.clone()?, is_durable: true };
    let letters = PipelineLetters::new(spec.clone(), cluster, config.run.cache_dir.clone());
    Some(Entry::elsewhere(&spec.name, pipelines::work(spec), letters))
}
