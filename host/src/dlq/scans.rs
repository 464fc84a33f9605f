//! Runs operations that read topics on threads of their own, a few at a time.

use std::sync::Arc;
use std::time::Duration;

use mapper_core::shutdown::{Halt, Shutdown};
use mapper_versions::priority;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// The most scans at a time. Each buffers about 20 MiB of records, and the table of the states.
const MAX_SCANS: usize = 2;
/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The scans of a process.
#[derive(Debug)]
pub struct Scans {
    turns: Arc<Semaphore>,
    patience: Duration,
    /// The name of the threads.
    thread: &'static str,
    priority: Priority,
}

/// The priority of the threads of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    /// They get the time that workers leave.
    Low,
    /// For an operation that takes little time, and that somebody waits for.
    Normal,
}

impl Default for Scans {
    fn default() -> Self {
        Self::new(MAX_SCANS, "dead-letters")
    }
}

/// Why a scan has no result.
#[derive(Debug)]
pub(crate) enum ScanError {
    /// Others run.
    Busy,
    Failed(Halt),
    Panicked,
}

/// Ends a scan that nobody waits for.
struct CancelOnDrop(Shutdown);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}

impl Scans {
    /// Runs this number of operations at a time, on threads with this name.
    pub(crate) fn new(most: usize, thread: &'static str) -> Self {
        Self { turns: Arc::new(Semaphore::new(most)), patience: PATIENCE, thread, priority: Priority::Low }
    }

    pub(crate) fn with_priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// Waits for the turn of a request.
    ///
    /// # Errors
    /// If others run for too long.
    pub(crate) async fn wait_for_turn(&self) -> Result<Turn, ScanError> {
        let turn = tokio::time::timeout(self.patience, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(ScanError::Busy) };
        Ok(Turn { permit: turn, thread: self.thread, priority: self.priority })
    }

    /// Runs `work` on a thread when it is its turn. Dropping the future requests the shutdown that `work` gets.
    ///
    /// # Errors
    /// See [`ScanError`].
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shutdown) -> Result<T, Halt> + Send + 'static,
    ) -> Result<T, ScanError> {
        self.wait_for_turn().await?.run(work).await
    }
}

/// The turn of a request.
pub(crate) struct Turn {
    permit: OwnedSemaphorePermit,
    thread: &'static str,
    priority: Priority,
}

impl Turn {
    /// As [`Scans::run`].
    ///
    /// # Errors
    /// See [`ScanError`].
    pub(crate) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce(&Shutdown) -> Result<T, Halt> + Send + 'static,
    ) -> Result<T, ScanError> {
        let cancel = CancelOnDrop(Shutdown::default());
        let (sender, result) = oneshot::channel();
        let requested = cancel.0.clone();
        let scan = move || {
            if self.priority == Priority::Low {
                priority::lower_current_thread();
            }
            let result = work(&requested);
            drop(self.permit);
            // The client may be gone.
            let _ = sender.send(result);
        };
        let spawned = std::thread::Builder::new().name(self.thread.into()).spawn(scan);
        spawned.map_err(|error| ScanError::Failed(Halt::internal(error)))?;
        result.await.map_err(|_| ScanError::Panicked)?.map_err(ScanError::Failed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn scans_beyond_the_limit_are_rejected_until_one_ends() {
        let scans = Scans { patience: Duration::from_millis(10), ..Scans::default() };
        block_on(async {
            let (ends, waits): (Vec<_>, Vec<_>) = (0..MAX_SCANS).map(|_| mpsc::channel::<()>()).unzip();
            let mut running: Vec<_> =
                waits.into_iter().map(|wait| Box::pin(scans.run(move |_| Ok(wait.recv().is_err())))).collect();
            for scan in &mut running {
                assert!(tokio::time::timeout(Duration::from_millis(1), scan).await.is_err(), "it waits");
            }
            assert!(matches!(scans.run(|_| Ok(())).await, Err(ScanError::Busy)));
            drop(ends);
            for scan in running {
                assert!(scan.await.unwrap());
            }
            assert!(scans.run(|_| Ok(7)).await.is_ok_and(|result| result == 7));
        });
    }

    #[test]
    fn scan_that_nobody_waits_for_is_cancelled_and_frees_its_turn() {
        let scans = Scans::default();
        let (sender, cancelled) = mpsc::channel();
        block_on(async {
            let scan = scans.run(move |cancel| {
                cancel.sleep(Duration::from_secs(60));
                sender.send(cancel.requested()).map_err(Halt::internal)
            });
            assert!(tokio::time::timeout(Duration::from_millis(1), scan).await.is_err());
            assert_eq!(cancelled.recv_timeout(Duration::from_secs(30)), Ok(true));
            let all = scans.turns.acquire_many(MAX_SCANS as u32);
            assert!(tokio::time::timeout(Duration::from_secs(30), all).await.is_ok_and(|turns| turns.is_ok()));
        });
    }

    #[test]
    fn panic_is_an_error_and_frees_the_turn() {
        let scans = Scans::default();
        block_on(async {
            for _ in 0..=MAX_SCANS {
                let scan = scans.run(|_| -> Result<(), Halt> { panic!("on purpose") });
                assert!(matches!(scan.await, Err(ScanError::Panicked)));
            }
        });
    }
}
