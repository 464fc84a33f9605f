//! A plugin, loaded as `mapper-host run` would.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::GuestConfig;
use crate::project::{self, Rebuild};
use mapper_core::shutdown::Halt;
use mapper_runtime::{Engine, LoadError, Plugin, PluginFileError, PluginMapper, Stage};
use mapper_state::files;
use mapper_state::files::PLUGIN_LIMIT;
use mapper_terminal::output;

/// Loads one plugin, as often as it is wanted with other settings.
pub(super) struct Guest {
    engine: Arc<Engine>,
    path: PathBuf,
}

impl Guest {
    /// Nothing is loaded yet.
    ///
    /// # Errors
    /// When something that is granted isn't there.
    pub(super) fn new(config: &GuestConfig, path: &Path) -> Result<Self, Halt> {
        config.grants.check().map_err(Halt::configuration)?;
        let engine =
            Engine::with_cache(config.limits, config.cache_dir.as_deref()).map_err(|error| Halt::internal(&error))?;
        Ok(Self { engine: Arc::new(engine.granting(config.grants.clone())), path: path.to_owned() })
    }

    /// A mapper with these settings.
    ///
    /// # Errors
    /// When the plugin can't be used.
    pub(super) fn mapper(&self, settings: &[(String, String)]) -> Result<PluginMapper, Halt> {
        Ok(PluginMapper::new(Arc::new(Plugin::load(&self.engine, &self.path, settings)?)))
    }
}

/// An engine with the limits and grants of a command; without a cache, everything is compiled anew.
///
/// # Errors
/// When something that is granted isn't there.
pub(super) fn engine(config: &GuestConfig, cache_dir: Option<PathBuf>) -> Result<Engine, Halt> {
    config.grants.check().map_err(Halt::configuration)?;
    let engine = Engine::new(config.limits, cache_dir).map_err(|error| Halt::internal(&error))?;
    Ok(engine.granting(config.grants.clone()))
}

/// The content of a plugin's file.
///
/// # Errors
/// When it can't be read, or is larger than any plugin.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Halt> {
    files::read(path, PLUGIN_LIMIT).map_err(|error| {
        let source = LoadError { stage: Stage::Read, reason: error.to_string() };
        Halt::from(PluginFileError { path: path.to_owned(), source })
    })
}

/// Builds a plugin that isn't there yet, if its project is.
///
/// # Errors
/// When it can't be built.
pub fn build_if_absent(plugin: &Path) -> Result<(), Halt> {
    let Some(project) = (!plugin.exists()).then(|| project::of_plugin(plugin)).flatten() else { return Ok(()) };
    output::eprint_line(format!("{} is not there yet; building it from {} …", plugin.display(), project.display()));
    let built = project::build(&project, Some(plugin), Rebuild::WhenChanged);
    built.map(|_| ()).map_err(|error| Halt::plugin(format!("the plugin could not be built: {error:#}")))
}
