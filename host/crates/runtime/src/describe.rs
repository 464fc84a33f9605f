//! What a file is, as far as the host can tell, and whether it can be a plugin: for people, and for programs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::contract::{Exports, World};
use super::form::Form;
use super::imports::Import;
use mapper_core::identity::{Digest, Identity};

use super::load::{self, Effort, Plugin, Stage};
use super::{Engine, Instance};

/// All that can be told of a file. What comes after the stage at which it is refused is not known.
pub struct Description {
    /// What it is.
    pub form: Form,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its content.
    pub digest: Digest,
    /// What it imports.
    pub imports: Vec<Import>,
    /// What it exports.
    pub exports: Vec<String>,
    /// The version of the contract that it was built against, if it exports anything of it.
    pub contract: Option<String>,
    /// The world that it is taken for.
    pub world: Option<World>,
    /// How long it took to compile, or to read the compiled code from the cache.
    pub compiled_in: Option<Duration>,
    /// Who it is.
    pub identity: Option<Identity>,
    /// How long it takes to make and configure an instance.
    pub started_in: Option<Duration>,
    /// The linear memory of an instance before its first record, in bytes.
    pub start_memory_bytes: Option<u64>,
    /// The plugin, or at which stage it was refused, and why.
    pub plugin: Result<Plugin, (Stage, String)>,
}

/// Describes a file, and loads it if it can be loaded.
pub fn describe(engine: &Arc<Engine>, bytes: &[u8], settings: &[(String, String)], effort: Effort) -> Description {
    let digest = Digest::hash_bytes(bytes);
    let mut description = Description {
        form: Form::of(bytes),
        bytes: bytes.len() as u64,
        digest,
        imports: Vec::new(),
        exports: Vec::new(),
        contract: None,
        world: None,
        compiled_in: None,
        identity: None,
        started_in: None,
        start_memory_bytes: None,
        plugin: Err((Stage::Compile, String::new())),
    };
    let started = Instant::now();
    let component = match load::compile(engine, bytes, &digest, effort) {
        Ok(component) => component,
        Err(reason) => {
            description.plugin = Err((Stage::Compile, load::shortened(reason)));
            return description;
        }
    };
    description.compiled_in = Some(started.elapsed());
    let exports = Exports::of(&engine.wasmtime, &component);
    description.imports = load::imports(engine, &component);
    description.world = exports.world().ok();
    description.contract = exports.version;
    description.exports = exports.names;
    description.plugin = Plugin::of_component(engine, &component, (digest, bytes), settings);
    if let Ok(plugin) = &description.plugin {
        description.identity = Some(plugin.identity.clone());
        let started = Instant::now();
        if let Ok(instance) = Instance::new(plugin) {
            description.started_in = Some(started.elapsed());
            description.start_memory_bytes = Some(instance.memory() as u64);
        }
    }
    description
}
