//! The admin server: the HTTP API of the host. It runs on its own thread, apart from the record path.

mod accept;
mod admission;
mod audit;
mod connection;
mod dead_letters;
mod events;
mod guard;
mod hosts;
mod index;
mod json;
mod listener;
mod local_api;
mod map;
mod metrics;
mod parameters;
mod payloads;
pub(crate) mod pipelines;
mod probes;
mod recent;
mod redrives;
#[cfg(test)]
mod reference;
mod samples;
mod settings;
mod status;
mod version_details;
pub(crate) mod versions;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use crate::config::AdminConfig;
use crate::pipelines::PipelineRegistry;
use connection::Deadlines;
pub(crate) use events::Subscribers;
pub use guard::{Guard, read_token};
pub(crate) use hosts::Hosts;
use local_api::LocalApi;
use mapper_api::payloads::Payloads;
use mapper_core::shutdown::Halt;
use mapper_telemetry::EVERY;
use payloads::PayloadFilter;

/// A bound address without a server yet. It is bound first: a host whose admin server cannot start as configured
/// fails before it does anything else.
pub struct Bound(TcpListener);

/// A server that answers until it is dropped.
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Binds the address. `None` if there is no server, or if the default address is in use, for example by
/// another host.
///
/// # Errors
/// If a configured address cannot be bound.
pub fn bind(config: Option<AdminConfig>) -> Result<Option<Bound>, Halt> {
    let Some(AdminConfig { address, asked }) = config else { return Ok(None) };
    let error = match TcpListener::bind(address) {
        Ok(listener) => return Ok(Some(Bound(listener))),
        Err(error) => error,
    };
    if asked {
        return Err(Halt::configuration(format!(
            "the admin server cannot listen: {address}: {error}. Give another address with --admin ADDRESS, or --admin off"
        )));
    }
    tracing::warn!(%address, %error, "running without the admin server; give another address with --admin ADDRESS");
    Ok(None)
}

/// Binds the address of a console. Without a server there is nothing to do.
///
/// # Errors
/// If the address cannot be bound.
pub(crate) fn bind_console(address: SocketAddr) -> Result<Bound, Halt> {
    TcpListener::bind(address).map(Bound).map_err(|error| {
        Halt::configuration(format!(
            "the console cannot listen: {address}: {error}. Give another address with --admin ADDRESS, such as 127.0.0.1:8090"
        ))
    })
}

impl Bound {
    /// Starts the server.
    ///
    /// # Errors
    /// If the thread or the runtime cannot be started.
    pub fn serve(self, routes: Router, registry: &Arc<PipelineRegistry>) -> anyhow::Result<Server> {
        let address = self.address()?;
        self.0.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _context = runtime.enter();
            tokio::net::TcpListener::from_std(self.0)?
        };
        let (stop, stopped) = oneshot::channel();
        let registry = registry.clone();
        let thread = std::thread::Builder::new().name("admin".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = listener::serve(listener, routes, Deadlines::default()) => {}
                    () = take_rates(&registry) => {}
                    _ = stopped => {}
                }
            });
        })?;
        tracing::info!(%address, "admin server");
        Ok(Server { stop: Some(stop), thread: Some(thread) })
    }

    /// The bound address.
    ///
    /// # Errors
    /// If the system does not return the address.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server ends when the sender is dropped.
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the server shows, and where.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The path of a proxy before the server; empty for none.
    pub base_path: String,
    /// What the API gives out of records, and so the console shows.
    pub payloads: Payloads,
}

/// All routes of a host.
pub fn routes(registry: &Arc<PipelineRegistry>, guard: Guard, options: Options) -> Router {
    with_console(api_routes(registry), None, guard, options)
}

/// All routes of a console whose pipelines run in other hosts.
pub(crate) fn console_routes(
    registry: &Arc<PipelineRegistry>,
    hosts: &Arc<Hosts>,
    guard: Guard,
    options: Options,
) -> Router {
    let api = hosts::routes(api_routes(registry), registry, hosts);
    with_console(api, Some(hosts.clone()), guard, options)
}

/// The API and the console, behind the guard. Below the base path there are the same, for a proxy that passes it on.
fn with_console(api: Router, hosts: Option<Arc<Hosts>>, guard: Guard, options: Options) -> Router {
    let Options { base_path, payloads } = options;
    let api = api.layer(from_fn_with_state(PayloadFilter::new(payloads), payloads::apply));
    let api = api.layer(from_fn_with_state(guard.clone(), guard::check_token));
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let options = mapper_console::Options { base_path: base_path.clone(), version };
    // A console has no pipeline of its own, so each must be named.
    let of_pipeline = if hosts.is_some() { "/v1/pipelines/NAME" } else { "" };
    let index = index::routes(format!("{base_path}{}", mapper_console::CONSOLE_PATH), of_pipeline);
    let local = LocalApi { routes: api.clone(), guard: guard.clone(), hosts };
    let mut routes = api.merge(mapper_console::routes(Arc::new(local), options)).merge(index);
    if !base_path.is_empty() {
        routes = Router::new().nest(&base_path, routes.clone()).merge(routes);
    }
    routes.layer(from_fn_with_state(guard, guard::check_origin))
}

/// The routes of the API.
fn api_routes(registry: &Arc<PipelineRegistry>) -> Router {
    probes::routes().merge(metrics::routes()).merge(pipelines::routes()).with_state(registry.clone())
}

/// Samples the counts every second for the rates, and less often for the charts. It never ends.
async fn take_rates(registry: &PipelineRegistry) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = ticks.tick().await;
        for entry in registry.all() {
            entry.telemetry.rates.take(now.into_std(), entry.telemetry.counts());
            entry.telemetry.take_sample(now.into_std(), chrono::Utc::now());
        }
    }
}

#[cfg(test)]
mod tests;
