//! The wasmtime engine, and the epoch ticker behind guest deadlines.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

use super::helper::{self, Compiled};
use super::{Cache, Effort, Grants, Limits, pool};
use mapper_core::shutdown::Shutdown;

/// Interval between epoch increments. Deadlines are precise to about two ticks.
pub(super) const EPOCH_TICK: Duration = Duration::from_millis(10);

/// Compiles plugins and advances the epoch for all running instances.
pub struct Engine {
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) cache: Option<Cache>,
    pub(super) limits: Limits,
    pub(super) grants: Grants,
    /// Epoch ticks since the engine started.
    pub(super) clock: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    ticker: Option<JoinHandle<()>>,
    /// A request on any of these cancels a running compilation.
    cancelled_by: Vec<Shutdown>,
}

impl Engine {
    /// As [`Engine::new`]. Logs a warning if there is no cache directory.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn with_cache(limits: Limits, cache_dir: Option<&Path>) -> anyhow::Result<Self> {
        if cache_dir.is_none() {
            tracing::warn!(
                "compiled plugins are not cached: neither XDG_CACHE_HOME nor HOME is set. Set a directory with --cache-dir"
            );
        }
        Self::new(limits, cache_dir.map(Path::to_owned))
    }

    /// Starts the engine and its ticker. Compiled code is cached in `cache_dir` if only this user can change that directory.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn new(limits: Limits, cache_dir: Option<PathBuf>) -> anyhow::Result<Self> {
        // With RUST_BACKTRACE set, each guest trap would also capture an unused backtrace of the host.
        wasmtime::error::disable_backtrace();
        // The pool reserves much address space. If that fails, on-demand allocation works too, only slower.
        let configuration = || configuration(limits.stack_bytes);
        let pooled = wasmtime::Engine::new(configuration().allocation_strategy(pool::strategy()));
        let wasmtime = pooled.or_else(|_| wasmtime::Engine::new(&configuration()));
        let wasmtime = wasmtime.map_err(|error| anyhow::anyhow!("{error:#}"))?;
        let cache = cache_dir.and_then(|dir| Cache::open(&dir, &wasmtime));
        let stop = Arc::new(AtomicBool::new(false));
        let clock = Arc::new(AtomicU64::new(0));
        let ticker = std::thread::Builder::new().name("guest-clock".into()).spawn({
            let (engine, clock, stop) = (wasmtime.clone(), clock.clone(), stop.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    std::thread::park_timeout(EPOCH_TICK);
                    clock.fetch_add(1, Ordering::Relaxed);
                    engine.increment_epoch();
                }
            }
        });
        let ticker = Some(ticker.context("starting the epoch ticker thread")?);
        Ok(Self { wasmtime, cache, limits, grants: Grants::default(), clock, stop, ticker, cancelled_by: Vec::new() })
    }

    #[must_use]
    pub fn granting(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// Cancels running compilations when this shutdown is requested.
    #[must_use]
    pub fn cancelled_by(mut self, shutdown: &Shutdown) -> Self {
        self.cancelled_by.push(shutdown.clone());
        self
    }

    /// Compiles a component in a helper process, within the compile limits. Returns the serialized component. Without a
    /// registered helper program, it compiles in this process.
    ///
    /// # Errors
    /// The component is invalid or exceeds a compile limit.
    pub(super) fn compile(&self, component: &[u8], effort: Effort) -> Result<Vec<u8>, String> {
        let Some(program) = helper::program() else {
            return precompile(self.limits.stack_bytes, component, effort)
                .map_err(|error| format!("not valid WebAssembly: {error:#}"));
        };
        let is_cancelled = || self.cancelled_by.iter().any(Shutdown::requested);
        match helper::compile(program, component, &self.limits, effort, is_cancelled) {
            Compiled::Code(code) => Ok(code),
            Compiled::Rejected(reason) => Err(reason),
        }
    }
}

/// Compiles a component in this process. The code is valid for every [`Engine`] with this stack limit.
pub(super) fn precompile(stack_bytes: usize, component: &[u8], effort: Effort) -> wasmtime::Result<Vec<u8>> {
    let mut config = configuration(stack_bytes);
    // Parallel compilation runs in the thread pool of the process, at the priority of the workers. With OneThread the
    // calling thread compiles, at its own priority.
    config.parallel_compilation(effort == Effort::Full);
    wasmtime::Engine::new(&config)?.precompile_component(component)
}

fn configuration(stack_bytes: usize) -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config
        .epoch_interruption(true)
        // `Symbols` looks up files and lines, in a helper process.
        .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(32))
        .max_wasm_stack(stack_bytes)
        .cranelift_opt_level(wasmtime::OptLevel::Speed);
    config
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(ticker) = self.ticker.take() {
            ticker.thread().unpark();
            let _ = ticker.join();
        }
    }
}
