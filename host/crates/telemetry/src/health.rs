//! The readiness of a pipeline: components set and clear their reasons.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The reasons not to be ready, at most one per component. The pipeline is ready without any. Clones share the
/// reasons.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Health {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the reason of a component, such as `breaker`, for an operator. It replaces the earlier
    /// reason of the component.
    pub fn not_ready(&self, component: &'static str, reason: impl Into<String>) {
        self.lock().insert(component, reason.into());
    }

    /// Clears the reason of a component.
    pub fn ready(&self, component: &'static str) {
        self.lock().remove(component);
    }

    /// All reasons with their components, in the order of the components; empty if the pipeline is ready.
    pub fn reasons(&self) -> Vec<(&'static str, String)> {
        self.lock().iter().map(|(component, reason)| (*component, reason.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn component_clears_only_its_own_reason() {
        let health = Health::default();
        assert_eq!(health.reasons(), []);
        let clone = health.clone();
        clone.not_ready("kafka", "no broker answers");
        clone.not_ready("breaker", "open");
        clone.not_ready("kafka", "still no broker answers");
        let text = |component, reason: &str| (component, reason.to_owned());
        assert_eq!(clone.reasons(), [text("breaker", "open"), text("kafka", "still no broker answers")]);
        health.ready("kafka");
        assert_eq!(clone.reasons(), [text("breaker", "open")]);
        health.ready("breaker");
        health.ready("breaker");
        assert_eq!(clone.reasons(), []);
    }
}
