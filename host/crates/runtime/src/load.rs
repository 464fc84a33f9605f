//! From a file to a plugin that is known to work: read, hashed, compiled, checked against the contract, configured.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wasmtime::component::{Component, Linker};
use wasmtime_wasi::p2::bindings::sync::{filesystem, io};

use super::bindings::{batch_world, record_world};
use super::contract::{self, CONTRACT_VERSION, Exports, World};
use super::form::Form;
use super::imports::{self, Import};
use super::instance::{GuestState, Instance};
use super::line_budget::LineBudget;
use super::open_files::HasFiles;
use super::symbols::Symbols;
use super::waiting::HasWaiting;
use super::{Engine, complexity};
use mapper_core::identity::{Digest, Identity, MAX_NAME_BYTES};

use mapper_core::shutdown::Halt;
use mapper_state::files::{self, PLUGIN_LIMIT};

/// What is said about a component that is refused, in bytes.
const MAX_REASON_BYTES: usize = 4 << 10;

/// Why a plugin can't be used: it names the file and the way out.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct PluginRefused {
    /// The file.
    pub path: PathBuf,
    /// How far it came.
    pub stage: Stage,
    /// What is wrong with it.
    pub reason: String,
}

/// The stages of loading a plugin, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The file is read.
    Read,
    /// It is checked against the contract, and compiled.
    Compile,
    /// An instance is made, given its settings, and asked who it is.
    Configure,
}

/// How much of the machine compiling may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// All of it: somebody waits for it.
    Full,
    /// What one thread, the calling one, is given: records are mapped meanwhile. This bounds its memory, too, as one
    /// function is compiled at a time.
    OneThread,
}

impl From<PluginRefused> for Halt {
    fn from(refused: PluginRefused) -> Self {
        Self::plugin(format!("the plugin is refused: {refused}"))
    }
}

/// A component that keeps to the contract, ready to be instantiated. Cheap to clone: all clones share the code.
#[derive(Clone)]
pub(super) enum Prepared {
    Batch(batch_world::MapperBatchPre<GuestState>),
    Record(record_world::MapperPre<GuestState>),
}

/// A plugin that was checked and configured, shared by all workers.
pub struct Plugin {
    pub(super) engine: Arc<Engine>,
    pub(super) prepared: Prepared,
    /// In ascending order of their keys.
    pub(super) settings: Vec<(String, String)>,
    /// Whether its guests are asked at every record where they are: set once one of them wrote or was slow.
    pub(super) exactly: AtomicBool,
    /// What its guests may write to the log.
    pub(super) line_budget: Arc<LineBudget>,
    /// Where its code comes from.
    pub(super) symbols: Arc<Symbols>,
    /// Who it is.
    pub identity: Identity,
}

impl Plugin {
    /// Loads a plugin, and tries out one instance of it.
    ///
    /// # Errors
    /// When anything about it is not as the contract wants it, with the reason and the way out.
    pub fn load(engine: &Arc<Engine>, path: &Path, settings: &[(String, String)]) -> Result<Self, PluginRefused> {
        let loaded = files::read(path, PLUGIN_LIMIT)
            .map_err(|error| (Stage::Read, error.to_string()))
            .and_then(|bytes| Self::from_bytes(engine, &bytes, settings, Effort::Full));
        loaded.map_err(|(stage, reason)| PluginRefused { path: path.to_owned(), stage, reason })
    }

    /// As [`Plugin::load`], of what was read already.
    ///
    /// # Errors
    /// How far it came, and the reason why no further.
    pub fn from_bytes(
        engine: &Arc<Engine>,
        bytes: &[u8],
        settings: &[(String, String)],
        effort: Effort,
    ) -> Result<Self, (Stage, String)> {
        let digest = Digest::hash_bytes(bytes);
        let component =
            compile(engine, bytes, &digest, effort).map_err(|reason| (Stage::Compile, shortened(reason)))?;
        Self::of_component(engine, &component, (digest, bytes), settings)
    }

    /// As [`Plugin::from_bytes`], of what was compiled already; with the digest and the content of the file.
    pub(super) fn of_component(
        engine: &Arc<Engine>,
        component: &Component,
        (digest, bytes): (Digest, &[u8]),
        settings: &[(String, String)],
    ) -> Result<Self, (Stage, String)> {
        let prepared = prepare(engine, component).map_err(|reason| (Stage::Compile, shortened(reason)))?;
        let identity = Identity {
            name: String::new(),
            version: String::new(),
            digest,
            bytes: bytes.len() as u64,
            contract: CONTRACT_VERSION,
        };
        Self::configured(Self {
            engine: engine.clone(),
            prepared,
            settings: settings.to_vec(),
            exactly: AtomicBool::new(false),
            line_budget: Arc::default(),
            symbols: Arc::new(Symbols::of(bytes)),
            identity,
        })
    }

    /// The same plugin with other settings. It shares the code, and what it may write to the log.
    ///
    /// # Errors
    /// Why it can't be configured so.
    pub fn with_settings(&self, settings: &[(String, String)]) -> Result<Self, (Stage, String)> {
        Self::configured(Self {
            engine: self.engine.clone(),
            prepared: self.prepared.clone(),
            settings: settings.to_vec(),
            exactly: AtomicBool::new(false),
            line_budget: self.line_budget.clone(),
            symbols: self.symbols.clone(),
            identity: self.identity.clone(),
        })
    }

    /// Puts the settings in order, tries out one instance, and asks that who it is.
    fn configured(mut plugin: Self) -> Result<Self, (Stage, String)> {
        plugin.settings.sort();
        let (name, version) = Instance::new(&plugin)
            .and_then(|mut instance| instance.describe())
            .map_err(|failure| format!("it could not be started and configured: {}", failure.text()))
            .map_err(|reason| (Stage::Configure, reason))?;
        for (what, text) in [("name", &name), ("version", &version)] {
            if text.is_empty() || text.len() > MAX_NAME_BYTES {
                let reason = format!("its {what} has {} bytes; it must have 1 to {MAX_NAME_BYTES}", text.len());
                return Err((Stage::Configure, reason));
            }
        }
        plugin.identity = Identity { name, version, ..plugin.identity };
        Ok(plugin)
    }
}

/// A reason with names from the file in it, of which there may be a million.
pub(super) fn shortened(mut reason: String) -> String {
    if reason.len() > MAX_REASON_BYTES {
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        reason.push('…');
    }
    reason
}

/// # Errors
/// What it is instead of a component, or why it is none.
pub(super) fn compile(engine: &Engine, bytes: &[u8], digest: &Digest, effort: Effort) -> Result<Component, String> {
    check_form(bytes)?;
    if let Some(component) = engine.cache.as_ref().and_then(|cache| cache.get(&engine.wasmtime, digest)) {
        return Ok(component);
    }
    complexity::check(bytes, engine.limits.compile_memory_bytes)?;
    let code = engine.compile(bytes, effort)?;
    // SAFETY: the code was made just now by `precompile` of this program, in this process or in a helper process from which it
    // came through a pipe that nobody else has. If a host of another version was executed there, wasmtime refuses it.
    let component = unsafe { Component::deserialize(&engine.wasmtime, &code) }.map_err(|error| {
        format!("what was compiled can't be loaded: {error:#}. Restart the host, if it was upgraded")
    })?;
    if let Some(cache) = &engine.cache {
        cache.put(digest, &code);
    }
    Ok(component)
}

fn check_form(bytes: &[u8]) -> Result<(), String> {
    match Form::of(bytes) {
        Form::Component => Ok(()),
        Form::Module => Err("it is a core WebAssembly module, not a component; make one of its project with \
             `mapper-host build DIR`, or build it for the target wasm32-wasip2"
            .to_owned()),
        Form::Other if bytes.is_empty() => Err("it is not WebAssembly: the file is empty".to_owned()),
        Form::Other => Err("it is not WebAssembly: it doesn't begin with \\0asm".to_owned()),
    }
}

/// What a component imports.
pub(super) fn imports(engine: &Engine, component: &Component) -> Vec<Import> {
    component.component_type().imports(&engine.wasmtime).map(|(name, _)| Import::of(name)).collect()
}

fn prepare(engine: &Engine, component: &Component) -> Result<Prepared, String> {
    let wasmtime = &engine.wasmtime;
    let world = Exports::of(wasmtime, component).world()?;
    contract::check_functions(wasmtime, component, world)?;
    imports::refusal(&imports(engine, component)).map_or(Ok(()), Err)?;
    let linker = linker(wasmtime).map_err(|error| format!("{error:#}"))?;
    let pre = linker
        .instantiate_pre(component)
        .map_err(|error| format!("it imports something in another form than this host has it: {}", words(&error)))?;
    let prepared = match world {
        World::Batch => batch_world::MapperBatchPre::new(pre).map(Prepared::Batch),
        World::Record => record_world::MapperPre::new(pre).map(Prepared::Record),
    };
    prepared.map_err(|error| format!("it doesn't keep to wit/mapper.wit: {}", words(&error)))
}

/// What wasmtime says of it, in one line.
fn words(error: &wasmtime::Error) -> String {
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    linker.allow_shadowing(true);
    io::poll::add_to_linker::<_, HasWaiting>(&mut linker, GuestState::waiting)?;
    filesystem::types::add_to_linker::<_, HasFiles>(&mut linker, GuestState::files)?;
    linker.allow_shadowing(false);
    batch_world::MapperBatch::add_to_linker::<_, wasmtime::component::HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}
