//! The active plugin, for threads other than the workers.

use std::sync::{Arc, Mutex, PoisonError};

use mapper_runtime::Plugin;

/// The plugin that all workers have switched to last.
#[derive(Clone)]
pub struct ActivePlugin(Arc<Mutex<Arc<Plugin>>>);

impl ActivePlugin {
    pub fn new(plugin: Arc<Plugin>) -> Self {
        Self(Arc::new(Mutex::new(plugin)))
    }

    pub fn get(&self) -> Arc<Plugin> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, plugin: &Arc<Plugin>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = plugin.clone();
    }
}
