//! Loads a plugin as `mapper-host run` does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::GuestConfig;
use crate::project::{self, Rebuild};
use mapper_core::shutdown::{Cause, Halt};
use mapper_runtime::{Engine, LoadError, Plugin, PluginFileError, PluginMapper, Stage};
use mapper_state::files;
use mapper_state::files::PLUGIN_LIMIT;
use mapper_terminal::output;

/// Loads one plugin, with different settings if needed.
pub struct Guest {
    engine: Arc<Engine>,
    path: PathBuf,
}

impl Guest {
    /// # Errors
    /// A granted directory can't be read.
    pub fn new(config: &GuestConfig, path: &Path) -> Result<Self, Halt> {
        config.grants.check().map_err(Halt::configuration)?;
        let engine = Engine::with_cache(config.limits, config.cache_dir.as_deref()).map_err(Halt::internal)?;
        Ok(Self { engine: Arc::new(engine.granting(config.grants.clone())), path: path.to_owned() })
    }

    /// # Errors
    /// The plugin can't be loaded with these settings.
    pub fn mapper(&self, settings: &[(String, String)]) -> Result<PluginMapper, Halt> {
        Ok(PluginMapper::new(self.load(settings)?))
    }

    /// # Errors
    /// The plugin can't be loaded with these settings.
    pub fn load(&self, settings: &[(String, String)]) -> Result<Arc<Plugin>, Halt> {
        Ok(Arc::new(Plugin::load(&self.engine, &self.path, settings)?))
    }
}

/// Without a cache directory, the engine always compiles.
///
/// # Errors
/// A granted directory can't be read.
pub(super) fn engine(config: &GuestConfig, cache_dir: Option<PathBuf>) -> Result<Engine, Halt> {
    config.grants.check().map_err(Halt::configuration)?;
    let engine = Engine::new(config.limits, cache_dir).map_err(Halt::internal)?;
    Ok(engine.granting(config.grants.clone()))
}

/// # Errors
/// The plugin file can't be read, or exceeds the size limit.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Halt> {
    files::read(path, PLUGIN_LIMIT).map_err(|error| {
        let source = LoadError { stage: Stage::Read, reason: error.to_string() };
        Halt::from(PluginFileError { path: path.to_owned(), source })
    })
}

/// Builds a missing plugin if its project exists.
///
/// # Errors
/// The build failed.
pub fn build_if_absent(plugin: &Path) -> Result<(), Halt> {
    let Some(project) = (!plugin.exists()).then(|| project::find_for_plugin(plugin)).flatten() else { return Ok(()) };
    output::eprint_line(format!("{} does not exist; building it from {} …", plugin.display(), project.display()));
    let built = project::build(&project, Some(plugin), Rebuild::WhenChanged);
    built.map(|_| ()).map_err(|error| Halt::new(Cause::Plugin, error.context("failed to build the plugin")))
}
