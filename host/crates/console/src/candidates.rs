//! Uploaded plugins that wait for a decision: to swap, to shadow, or to discard.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// The uploads that are kept, of all sessions. A newer one replaces the oldest.
const MAX_CANDIDATES: usize = 4;

/// An uploaded plugin.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// The SHA-256 of its bytes.
    pub(crate) digest: String,
    pub(crate) file_name: String,
    pub(crate) plugin: Bytes,
    session: String,
    pipeline: String,
}

/// The uploaded plugins. A session sees only its own.
#[derive(Debug, Default)]
pub(crate) struct Candidates(Mutex<VecDeque<Candidate>>);

impl Candidates {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Candidate>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a plugin, and returns its digest.
    pub(crate) fn add(&self, session: &str, pipeline: &str, file_name: &str, plugin: Bytes) -> String {
        let digest: String = Sha256::digest(&plugin).iter().map(|byte| format!("{byte:02x}")).collect();
        let mut kept = self.lock();
        kept.retain(|other| !other.is(session, pipeline, &digest));
        if kept.len() == MAX_CANDIDATES {
            kept.pop_front();
        }
        kept.push_back(Candidate {
            digest: digest.clone(),
            file_name: file_name.to_owned(),
            plugin,
            session: session.to_owned(),
            pipeline: pipeline.to_owned(),
        });
        digest
    }

    pub(crate) fn get(&self, session: &str, pipeline: &str, digest: &str) -> Option<Candidate> {
        self.lock().iter().find(|candidate| candidate.is(session, pipeline, digest)).cloned()
    }

    pub(crate) fn remove(&self, session: &str, pipeline: &str, digest: &str) {
        self.lock().retain(|candidate| !candidate.is(session, pipeline, digest));
    }
}

impl Candidate {
    fn is(&self, session: &str, pipeline: &str, digest: &str) -> bool {
        self.session == session && self.pipeline == pipeline && self.digest == digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_sees_its_own_uploads_and_the_oldest_is_replaced() {
        let candidates = Candidates::default();
        let first = candidates.add("me", "orders", "a.wasm", Bytes::from_static(b"a"));
        assert_eq!(candidates.get("me", "orders", &first).unwrap().file_name, "a.wasm");
        for (session, pipeline) in [("you", "orders"), ("me", "visits")] {
            assert!(candidates.get(session, pipeline, &first).is_none(), "{session} {pipeline}");
        }
        for plugin in 0..MAX_CANDIDATES {
            candidates.add("you", "orders", "b.wasm", Bytes::from(vec![plugin as u8]));
        }
        assert!(candidates.get("me", "orders", &first).is_none());
    }

    #[test]
    fn same_upload_is_kept_once() {
        let candidates = Candidates::default();
        let digest = candidates.add("me", "orders", "a.wasm", Bytes::from_static(b"a"));
        assert_eq!(candidates.add("me", "orders", "b.wasm", Bytes::from_static(b"a")), digest);
        assert_eq!(candidates.lock().len(), 1);
        candidates.remove("me", "orders", &digest);
        assert!(candidates.get("me", "orders", &digest).is_none());
    }
}
