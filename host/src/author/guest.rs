//! A plugin, loaded as `host run` would.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::GuestConfig;
use crate::plugin::{Engine, Plugin, PluginMapper};
use crate::project;
use crate::shutdown::Halt;

/// Loads one plugin, as often as it is wanted with other settings.
pub(super) struct Guest {
    engine: Arc<Engine>,
    path: PathBuf,
}

impl Guest {
    /// Nothing is loaded yet.
    ///
    /// # Errors
    /// When the folder of compiled plugins can't be used.
    pub(super) fn new(config: &GuestConfig, path: &Path) -> Result<Self, Halt> {
        config.grants.check().map_err(Halt::configuration)?;
        let engine =
            Engine::new(config.limits, Some(config.cache_dir.clone())).map_err(|error| Halt::internal(&error))?;
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

/// Builds a plugin that isn't there yet, if its project is.
///
/// # Errors
/// When it can't be built.
pub(crate) fn build_if_absent(plugin: &Path) -> Result<(), Halt> {
    let Some(project) = (!plugin.exists()).then(|| project::of_plugin(plugin)).flatten() else { return Ok(()) };
    eprintln!("{} is not there yet; building it from {} …", plugin.display(), project.display());
    let built = project::build(&project, Some(plugin));
    built.map(|_| ()).map_err(|error| Halt::plugin(format!("the plugin could not be built: {error:#}")))
}
