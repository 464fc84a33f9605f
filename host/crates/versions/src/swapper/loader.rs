//! The interface of the swapper to plugins. The swapper itself does not depend on WebAssembly.

use std::path::PathBuf;
use std::sync::Arc;

use crate::history::Trigger;
use crate::tryout::Trial;
use mapper_api::versions::Step;
use mapper_core::identity::{ActiveVersion, Identity};
use mapper_core::record::Positions;
use mapper_pipeline::contracts::Mapper;

/// The step that refused a version, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub step: Step,
    pub reason: String,
}

impl Refusal {
    pub fn new(step: Step, reason: impl Into<String>) -> Self {
        Self { step, reason: reason.into() }
    }
}

/// Loads plugins and creates their mappers.
pub trait VersionLoader: Send + 'static {
    /// A compiled plugin with its settings.
    type Plugin: Send + Sync;
    type Mapper: Mapper + Send + 'static;

    /// Validates and compiles a plugin, and passes its settings to it.
    ///
    /// # Errors
    /// If a step refuses the plugin.
    fn load(&self, bytes: &[u8]) -> Result<Self::Plugin, Refusal>;

    fn identity<'p>(&self, plugin: &'p Self::Plugin) -> &'p Identity;

    /// Creates a mapper for a worker. Without a worker, nothing observes the guest.
    ///
    /// # Errors
    /// As [`VersionLoader::load`].
    fn create_mapper(&self, plugin: &Arc<Self::Plugin>, worker: Option<usize>) -> Result<Self::Mapper, Refusal>;

    /// Runs the cases beside the plugin file, if there are any.
    ///
    /// # Errors
    /// If a file of cases is not readable, or the plugin refuses the settings of a case.
    fn run_cases(&self, plugin: &Self::Plugin, trial: &mut Trial) -> Result<(), Refusal>;

    /// Called when all workers have this plugin. `stored` is the path of its file in the store.
    fn set_active(&self, plugin: &Arc<Self::Plugin>, by: Trigger, stored: Option<PathBuf>);

    /// The committed offsets of these partitions; a partition is missing if the broker does not answer.
    fn read_committed(&self, partitions: &[i32]) -> Positions;
}

/// A loaded plugin, and its term.
pub struct LoadedVersion<P> {
    pub plugin: Arc<P>,
    pub active: Arc<ActiveVersion>,
}
