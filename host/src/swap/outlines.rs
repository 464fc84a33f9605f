//! What the stored plugins declare, read once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use mapper_runtime::Outline;
use mapper_versions::store::Store;

/// The plugins of this process that are known. Beyond, all are read again.
const MAX_KNOWN: usize = 256;

/// The size and the outline of a file.
type Known = (u64, Arc<Outline>);

/// The outlines by digest. A file is named by its digest, so it never changes.
#[derive(Debug, Clone, Default)]
pub struct Outlines(Arc<Mutex<HashMap<String, Known>>>);

impl Outlines {
    /// The plugin with this digest; `None` if the store does not have it.
    pub(crate) fn get(&self, store: &Store, digest: &str) -> Option<Known> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned();
        known.or_else(|| {
            let bytes = store.read(digest).ok()?;
            let read = (bytes.len() as u64, Arc::new(Outline::read(&bytes)?));
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert(digest.to_owned(), read.clone());
            Some(read)
        })
    }
}
