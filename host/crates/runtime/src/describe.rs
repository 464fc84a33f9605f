//! Describes a file for `check`, and whether it can be loaded as a plugin.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::contract::{Exports, World};
use super::form::Form;
use super::imports::Import;
use mapper_core::identity::{Digest, Identity};

use super::load::{self, Effort, LoadError, Plugin, Stage};
use super::{Engine, Instance};

/// If loading fails, the fields of the later stages are empty.
pub struct Description {
    pub form: Form,
    pub bytes: u64,
    pub digest: Digest,
    pub imports: Vec<Import>,
    pub exports: Vec<String>,
    /// The version of its contract exports.
    pub contract: Option<String>,
    pub world: Option<World>,
    /// Time to compile, or to read the cache.
    pub compiled_in: Option<Duration>,
    pub identity: Option<Identity>,
    /// Time to create and configure an instance.
    pub started_in: Option<Duration>,
    /// Linear memory of an instance before its first record.
    pub start_memory_bytes: Option<u64>,
    pub plugin: Result<Plugin, LoadError>,
}

pub fn describe(engine: &Arc<Engine>, bytes: &[u8], settings: &[(String, String)], effort: Effort) -> Description {
    let digest = Digest::hash_bytes(bytes);
    let mut description = Description {
        form: Form::detect(bytes),
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
        plugin: Err(LoadError { stage: Stage::Compile, reason: String::new() }),
    };
    let started = Instant::now();
    let component = match load::compile(engine, bytes, &digest, effort) {
        Ok(component) => component,
        Err(reason) => {
            description.plugin = Err(LoadError::compile(reason));
            return description;
        }
    };
    description.compiled_in = Some(started.elapsed());
    let exports = Exports::from_component(&engine.wasmtime, &component);
    description.imports = load::imports(engine, &component);
    description.world = exports.world().ok();
    description.contract = exports.version;
    description.exports = exports.names;
    description.plugin = Plugin::from_component(engine, &component, load::File { digest, bytes }, settings);
    if let Ok(plugin) = &description.plugin {
        description.identity = Some(plugin.identity.clone());
        let started = Instant::now();
        if let Ok(instance) = Instance::new(plugin) {
            description.started_in = Some(started.elapsed());
            description.start_memory_bytes = Some(instance.memory_bytes() as u64);
        }
    }
    description
}
