//! Loads a plugin from a file: reads, compiles, checks against the contract, and configures it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wasmtime::component::{Component, Linker};
use wasmtime_wasi::p2::bindings::sync::{filesystem, io};

use super::bindings::{batch_world, record_world};
use super::contract::{self, CONTRACT_VERSION, Exports, World};
use super::deadline_poll::HasDeadlinePoll;
use super::form::Form;
use super::imports::{self, Import};
use super::instance::{GuestState, Instance};
use super::line_budget::LineBudget;
use super::open_files::HasFiles;
use super::outline::Outline;
use super::symbols::Symbols;
use super::{Engine, complexity};
use mapper_core::identity::{Digest, Identity, MAX_NAME_BYTES};

use mapper_core::shutdown::Halt;
use mapper_state::files::{self, PLUGIN_LIMIT};

/// A component controls the number of names in an error.
const MAX_REASON_BYTES: usize = 4 << 10;

/// A plugin that can't be loaded.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct LoadError {
    /// The stage that failed.
    pub stage: Stage,
    pub reason: String,
}

impl LoadError {
    pub(super) fn compile(reason: String) -> Self {
        Self { stage: Stage::Compile, reason: truncated(reason) }
    }

    fn configure(reason: String) -> Self {
        Self { stage: Stage::Configure, reason }
    }
}

/// A file that can't be loaded as a plugin.
#[derive(Debug, thiserror::Error)]
#[error("failed to load the plugin: {}: {source}", path.display())]
pub struct PluginFileError {
    pub path: PathBuf,
    pub source: LoadError,
}

/// The stages of loading a plugin, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Read,
    /// Compiles the component and checks it against the contract.
    Compile,
    /// Creates an instance, and calls its `configure` and `describe`.
    Configure,
}

/// CPU resources for a compilation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// All cores: the caller waits for the result.
    Full,
    /// Only the calling thread, because the workers map records meanwhile. This also reduces memory: the compiler processes one
    /// function at a time.
    OneThread,
}

impl From<PluginFileError> for Halt {
    fn from(error: PluginFileError) -> Self {
        Self::plugin(error.to_string())
    }
}

/// A checked component, ready to be instantiated. Clones share the code.
#[derive(Clone)]
pub(super) enum Prepared {
    Batch(batch_world::MapperBatchPre<GuestState>),
    Record(record_world::MapperPre<GuestState>),
}

/// The content of a plugin file and its digest.
pub(super) struct File<'a> {
    pub(super) digest: Digest,
    pub(super) bytes: &'a [u8],
}

/// A checked and configured plugin. All workers share it.
pub struct Plugin {
    pub(super) engine: Arc<Engine>,
    pub(super) prepared: Prepared,
    /// Sorted by key.
    pub(super) settings: Vec<(String, String)>,
    /// Whether every record is polled. Set when a guest wrote output or timed out between two progress reports.
    pub(super) poll_every_record: AtomicBool,
    pub(super) line_budget: Arc<LineBudget>,
    pub(super) symbols: Arc<Symbols>,
    pub identity: Identity,
    pub outline: Arc<Outline>,
}

impl Plugin {
    /// Loads a plugin, and configures one instance to validate it.
    ///
    /// # Errors
    /// The file can't be read, or see [`Plugin::from_bytes`].
    pub fn load(engine: &Arc<Engine>, path: &Path, settings: &[(String, String)]) -> Result<Self, PluginFileError> {
        let loaded = files::read(path, PLUGIN_LIMIT)
            .map_err(|error| LoadError { stage: Stage::Read, reason: error.to_string() })
            .and_then(|bytes| Self::from_bytes(engine, &bytes, settings, Effort::Full));
        loaded.map_err(|source| PluginFileError { path: path.to_owned(), source })
    }

    /// As [`Plugin::load`], from the content of a file.
    ///
    /// # Errors
    /// The component is invalid, does not implement the contract, or rejects its settings.
    pub fn from_bytes(
        engine: &Arc<Engine>,
        bytes: &[u8],
        settings: &[(String, String)],
        effort: Effort,
    ) -> Result<Self, LoadError> {
        let digest = Digest::hash_bytes(bytes);
        let component = compile(engine, bytes, &digest, effort).map_err(LoadError::compile)?;
        Self::from_component(engine, &component, File { digest, bytes }, settings)
    }

    /// As [`Plugin::from_bytes`], from a compiled component.
    pub(super) fn from_component(
        engine: &Arc<Engine>,
        component: &Component,
        file: File<'_>,
        settings: &[(String, String)],
    ) -> Result<Self, LoadError> {
        let (prepared, outline) = prepare(engine, component).map_err(LoadError::compile)?;
        let identity = Identity {
            name: String::new(),
            version: String::new(),
            digest: file.digest,
            bytes: file.bytes.len() as u64,
            contract: CONTRACT_VERSION,
        };
        Self::configure(Self {
            engine: engine.clone(),
            prepared,
            settings: settings.to_vec(),
            poll_every_record: AtomicBool::new(false),
            line_budget: Arc::default(),
            symbols: Arc::new(Symbols::from_component(file.bytes)),
            identity,
            outline: Arc::new(outline),
        })
    }

    /// The same plugin with other settings. It shares the code and the log budget.
    ///
    /// # Errors
    /// The plugin rejects the settings.
    pub fn with_settings(&self, settings: &[(String, String)]) -> Result<Self, LoadError> {
        Self::configure(Self {
            engine: self.engine.clone(),
            prepared: self.prepared.clone(),
            settings: settings.to_vec(),
            poll_every_record: AtomicBool::new(false),
            line_budget: self.line_budget.clone(),
            symbols: self.symbols.clone(),
            identity: self.identity.clone(),
            outline: self.outline.clone(),
        })
    }

    /// Configures one instance to validate the settings, and reads the name and version.
    fn configure(mut plugin: Self) -> Result<Self, LoadError> {
        plugin.settings.sort();
        let (name, version) = Instance::new(&plugin)
            .and_then(|mut instance| instance.info())
            .map_err(|failure| LoadError::configure(format!("failed to start and configure: {}", failure.text())))?;
        for (field, text) in [("name", &name), ("version", &version)] {
            if text.is_empty() || text.len() > MAX_NAME_BYTES {
                return Err(LoadError::configure(format!(
                    "invalid {field} in plugin info: {} bytes: it must have 1 to {MAX_NAME_BYTES} bytes",
                    text.len()
                )));
            }
        }
        plugin.identity = Identity { name, version, ..plugin.identity };
        Ok(plugin)
    }
}

fn truncated(mut reason: String) -> String {
    if reason.len() > MAX_REASON_BYTES {
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        reason.push('…');
    }
    reason
}

/// # Errors
/// The file is not a component, or the component can't be compiled.
pub(super) fn compile(engine: &Engine, bytes: &[u8], digest: &Digest, effort: Effort) -> Result<Component, String> {
    check_form(bytes)?;
    if let Some(component) = engine.cache.as_ref().and_then(|cache| cache.get(&engine.wasmtime, digest)) {
        return Ok(component);
    }
    complexity::check(bytes, engine.limits.compile_memory_bytes)?;
    let code = engine.compile(bytes, effort)?;
    // SAFETY: `precompile` of this program produced the code, in this process or in a helper process. No other process has the
    // pipe to the helper process. If the helper was a host of another version, wasmtime rejects the code.
    let component = unsafe { Component::deserialize(&engine.wasmtime, &code) }
        .map_err(|error| format!("failed to load the compiled code: {error:#}. Restart the host if it was upgraded"))?;
    if let Some(cache) = &engine.cache {
        cache.put(digest, &code);
    }
    Ok(component)
}

fn check_form(bytes: &[u8]) -> Result<(), String> {
    match Form::detect(bytes) {
        Form::Component => Ok(()),
        Form::Module => Err(
            "not a component: a core WebAssembly module. Build its project with `mapper-host build DIR`, or for the \
             target wasm32-wasip2"
                .to_owned(),
        ),
        Form::Other if bytes.is_empty() => Err("not WebAssembly: the file is empty".to_owned()),
        Form::Other => Err("not WebAssembly: the file does not begin with \\0asm".to_owned()),
    }
}

pub(super) fn imports(engine: &Engine, component: &Component) -> Vec<Import> {
    component.component_type().imports(&engine.wasmtime).map(|(name, _)| Import::classify(name)).collect()
}

fn prepare(engine: &Engine, component: &Component) -> Result<(Prepared, Outline), String> {
    let wasmtime = &engine.wasmtime;
    let (imports, exports) = (imports(engine, component), Exports::from_component(wasmtime, component));
    let world = exports.world()?;
    contract::check_functions(wasmtime, component, world)?;
    imports::check(&imports)?;
    let linker = linker(wasmtime).map_err(|error| format!("{error:#}"))?;
    let pre = linker
        .instantiate_pre(component)
        .map_err(|error| format!("an import has another type than the host provides: {}", error_chain(&error)))?;
    let prepared = match world {
        World::Batch => batch_world::MapperBatchPre::new(pre).map(Prepared::Batch),
        World::Record => record_world::MapperPre::new(pre).map(Prepared::Record),
    };
    let prepared = prepared.map_err(|error| format!("does not implement wit/mapper.wit: {}", error_chain(&error)))?;
    Ok((prepared, Outline::new(imports, exports)))
}

fn error_chain(error: &wasmtime::Error) -> String {
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    linker.allow_shadowing(true);
    io::poll::add_to_linker::<_, HasDeadlinePoll>(&mut linker, GuestState::deadline_poll)?;
    filesystem::types::add_to_linker::<_, HasFiles>(&mut linker, GuestState::files)?;
    linker.allow_shadowing(false);
    batch_world::MapperBatch::add_to_linker::<_, wasmtime::component::HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}
