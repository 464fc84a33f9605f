//! Plugins that are being sent to the host. Several may be on their way, so that a slow one keeps nobody from swapping; their number
//! bounds the memory, and the oldest goes for a new one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Plugins on their way at once.
pub const MAX_UPLOADS: usize = 4;

/// The plugins on their way.
#[derive(Default)]
pub struct Uploads(Mutex<VecDeque<Arc<Notify>>>);

/// One of them. Dropping it ends it.
pub struct Upload<'a> {
    all: &'a Uploads,
    end: Arc<Notify>,
}

impl Uploads {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins one more. If there are too many, the oldest has to end.
    pub fn begin(&self) -> Upload<'_> {
        let end = Arc::new(Notify::new());
        let mut all = self.lock();
        if all.len() >= MAX_UPLOADS
            && let Some(oldest) = all.pop_front()
        {
            oldest.notify_one();
        }
        all.push_back(end.clone());
        Upload { all: self, end }
    }
}

impl Upload<'_> {
    /// Waits until it has to end for a newer one.
    pub async fn replaced(&self) {
        self.end.notified().await;
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        self.all.lock().retain(|end| !Arc::ptr_eq(end, &self.end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_upload_ends_for_a_new_one() {
        let uploads = Uploads::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut begun: Vec<_> = (0..MAX_UPLOADS).map(|_| uploads.begin()).collect();
        drop(begun.remove(0));
        begun.push(uploads.begin());
        let _newest = uploads.begin();
        runtime.block_on(begun[0].replaced());
        assert_eq!(uploads.lock().len(), MAX_UPLOADS);
        drop(begun);
        assert_eq!(uploads.lock().len(), 1);
    }
}
