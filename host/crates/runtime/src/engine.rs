//! The wasmtime engine, with the clock that ends a guest's time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

use super::helper::{self, Compiled};
use super::{Cache, Effort, Grants, Limits, pool};
use mapper_core::shutdown::Shutdown;

/// How often guest time is looked at; deadlines are exact to about two of these.
pub(super) const EPOCH_TICK: Duration = Duration::from_millis(10);

/// Compiles plugins, and counts the time of all that run.
pub struct Engine {
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) cache: Option<Cache>,
    pub(super) limits: Limits,
    pub(super) grants: Grants,
    /// The ticks since the start.
    pub(super) clock: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    ticker: Option<JoinHandle<()>>,
    /// Any of them cancels what is being compiled.
    cancelled_by: Vec<Shutdown>,
}

impl Engine {
    /// As [`Engine::new`], with a cache wherever one is possible. If the user has no place for one, the log says so.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn with_cache(limits: Limits, cache_dir: Option<&Path>) -> anyhow::Result<Self> {
        if cache_dir.is_none() {
            tracing::warn!(
                "compiled plugins are not cached: neither XDG_CACHE_HOME nor HOME is set. Give a directory with --cache-dir"
            );
        }
        Self::new(limits, cache_dir.map(Path::to_owned))
    }

    /// Makes the engine and starts its clock. Compiled code is kept in `cache_dir`, if there is one and only this user can change
    /// it.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(limits: Limits, cache_dir: Option<PathBuf>) -> anyhow::Result<Self> {
        // With RUST_BACKTRACE set each trap of a guest would be given a backtrace of the host, too, which nobody sees.
        wasmtime::error::disable_backtrace();
        // Where so many addresses can't be had, each instance gets its memory on its own, which only takes longer.
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
        let ticker = Some(ticker.context("starting the thread that counts guest time")?);
        Ok(Self { wasmtime, cache, limits, grants: Grants::default(), clock, stop, ticker, cancelled_by: Vec::new() })
    }

    /// The same, for plugins that are given these.
    #[must_use]
    pub fn granting(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// The same, and what it compiles when this shutdown is requested is cancelled.
    #[must_use]
    pub fn cancelled_by(mut self, shutdown: &Shutdown) -> Self {
        self.cancelled_by.push(shutdown.clone());
        self
    }

    /// Compiles a component: in a helper process, where one can be started, within the limits of compiling. What comes back is the
    /// serialized component.
    ///
    /// # Errors
    /// What it is instead of a component, or what it takes too much of.
    pub(super) fn compile(&self, component: &[u8], effort: Effort) -> Result<Vec<u8>, String> {
        let Some(program) = helper::program() else {
            return precompile(self.limits.stack_bytes, component, effort)
                .map_err(|error| format!("it is not valid WebAssembly: {error:#}"));
        };
        let is_cancelled = || self.cancelled_by.iter().any(Shutdown::requested);
        match helper::compile(program, component, &self.limits, effort, is_cancelled) {
            Compiled::Code(code) => Ok(code),
            Compiled::Refused(reason) => Err(reason),
        }
    }
}

/// Compiles a component in this process, for every [`Engine`] with this limit of the stack.
pub(super) fn precompile(stack_bytes: usize, component: &[u8], effort: Effort) -> wasmtime::Result<Vec<u8>> {
    let mut config = configuration(stack_bytes);
    // The threads that an engine compiles with are those of the process, at the priority of those that map; one that
    // may use none of them does it all on this thread.
    config.parallel_compilation(effort == Effort::Full);
    wasmtime::Engine::new(&config)?.precompile_component(component)
}

fn configuration(stack_bytes: usize) -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config
        .epoch_interruption(true)
        // Files and lines are found by `Symbols`.
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
