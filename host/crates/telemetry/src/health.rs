//! Whether the host is ready to do its work, and if not, why: said by whoever knows, read by whoever asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The reasons not to be ready, at most one of each who has a say. Ready is who has none. Cheap to clone: all clones are
/// the same.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Health {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the host is not ready, says `who`, such as `breaker`, for this reason in words for an operator. A later
    /// reason of the same `who` replaces it.
    pub fn not_ready(&self, who: &'static str, why: impl Into<String>) {
        self.lock().insert(who, why.into());
    }

    /// `who` has no reason any more.
    pub fn ready(&self, who: &'static str) {
        self.lock().remove(who);
    }

    /// All reasons with who says so, in the order of these; none at all when the host is ready.
    pub fn reasons(&self) -> Vec<(&'static str, String)> {
        self.lock().iter().map(|(who, why)| (*who, why.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_takes_back_its_own_reason_only() {
        let health = Health::default();
        assert_eq!(health.reasons(), []);
        let clone = health.clone();
        clone.not_ready("kafka", "no broker answers");
        clone.not_ready("breaker", "open");
        clone.not_ready("kafka", "still no broker answers");
        let text = |who, why: &str| (who, why.to_owned());
        assert_eq!(clone.reasons(), [text("breaker", "open"), text("kafka", "still no broker answers")]);
        health.ready("kafka");
        assert_eq!(clone.reasons(), [text("breaker", "open")]);
        health.ready("breaker");
        health.ready("breaker");
        assert_eq!(clone.reasons(), []);
    }
}
