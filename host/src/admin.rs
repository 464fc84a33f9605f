//! The admin server: what is seen of the host over HTTP. It has a thread of its own, apart from the record path.

mod accept;
mod connection;
mod guard;
mod index;
mod json;
mod listener;
mod metrics;
pub(crate) mod pipelines;
mod places;
mod probes;
#[cfg(test)]
mod reference;
mod status;
pub(crate) mod versions;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use crate::config::AdminConfig;
use crate::pipelines::PipelineRegistry;
use connection::Deadlines;
pub use guard::{Guard, read_token};
use mapper_core::shutdown::Halt;
use mapper_telemetry::EVERY;

/// An address that is ours, with nobody to answer yet. Taken first of all: a host that can't be watched as asked for
/// should say so before it has begun.
pub struct Bound(TcpListener);

/// A server that answers until it is dropped.
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Takes the address; `None` if there is to be no server, or none was asked for and the default address is taken, as by
/// another host.
///
/// # Errors
/// When the address can't be had.
pub fn bind(config: Option<AdminConfig>) -> Result<Option<Bound>, Halt> {
    let Some(AdminConfig { address, asked }) = config else { return Ok(None) };
    let error = match TcpListener::bind(address) {
        Ok(listener) => return Ok(Some(Bound(listener))),
        Err(error) => error,
    };
    let reason = format!("the admin server can't listen at {address}: {error}");
    if asked {
        return Err(Halt::configuration(format!("{reason}; give another with --admin ADDRESS, or --admin off")));
    }
    tracing::warn!("{reason}; going on without it (another address: --admin ADDRESS)");
    Ok(None)
}

impl Bound {
    /// Begins to answer.
    ///
    /// # Errors
    /// When the system refuses a thread, or what it takes to wait for connections.
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

    /// Where it is.
    ///
    /// # Errors
    /// When the system doesn't say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Dropping the sender is what tells the server.
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// All that is answered, to those whom the guard lets through.
pub fn routes(registry: &Arc<PipelineRegistry>, guard: Guard) -> Router {
    let routes = probes::routes().merge(metrics::routes()).merge(pipelines::routes()).merge(index::routes());
    routes.with_state(registry.clone()).layer(axum::middleware::from_fn_with_state(guard, guard::check))
}

/// Takes the counts every second, for ever: rates are made of them.
async fn take_rates(registry: &PipelineRegistry) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = ticks.tick().await;
        for entry in registry.all() {
            entry.telemetry.rates.take(now.into_std(), entry.telemetry.counts());
        }
    }
}

#[cfg(test)]
mod tests;
