//! Uploads of plugins. A slow upload does not block other clients. Their number is bounded to bound the memory: a new upload
//! replaces the oldest one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The most uploads at a time.
pub const MAX_UPLOADS: usize = 4;

#[derive(Default)]
pub struct Uploads(Mutex<VecDeque<Arc<Notify>>>);

/// An upload in progress; it ends with the drop.
pub struct Upload<'a> {
    all: &'a Uploads,
    end: Arc<Notify>,
}

impl Uploads {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an upload; replaces the oldest one if there are too many.
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
    /// Waits until a newer upload replaces this one.
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
    fn new_upload_replaces_the_oldest_one() {
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
