//! Runs look-ups, each on a thread of its own, and keeps the clients of the last pipelines that were looked at.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use mapper_core::shutdown::Halt;
use mapper_kafka::PositionReader;

use super::lookup::Lookup;
use super::scans::{ScanError, Scans};
use super::{PipelineLetters, scans};

/// The most look-ups at a time. Each buffers 1 MiB of records.
const MAX_LOOKUPS: usize = 4;

/// A client that reads letters of a pipeline.
type Reader = (Weak<PipelineLetters>, PositionReader);

/// The look-ups of a process.
pub struct Lookups {
    turns: Scans,
    /// Those that no look-up uses, the last used one last.
    readers: Arc<Mutex<VecDeque<Reader>>>,
}

impl std::fmt::Debug for Lookups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookups").field("turns", &self.turns).finish_non_exhaustive()
    }
}

impl Default for Lookups {
    fn default() -> Self {
        let turns = Scans::new(MAX_LOOKUPS, "letter-lookup").with_priority(scans::Priority::Normal);
        Self { turns, readers: Arc::default() }
    }
}

fn lock(readers: &Mutex<VecDeque<Reader>>) -> MutexGuard<'_, VecDeque<Reader>> {
    readers.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take(readers: &Mutex<VecDeque<Reader>>, pipeline: &Arc<PipelineLetters>) -> PositionReader {
    let mut readers = lock(readers);
    let found = readers.iter().position(|(of, _)| Weak::as_ptr(of) == Arc::as_ptr(pipeline));
    let reader = found.and_then(|index| readers.remove(index)).map(|(_, reader)| reader);
    drop(readers);
    reader.unwrap_or_else(|| pipeline.position_reader())
}

/// Keeps a reader. Returns the one that it replaces, to be dropped by the caller: the end of a client takes a while.
fn keep(readers: &Mutex<VecDeque<Reader>>, reader: Reader) -> Option<Reader> {
    let mut readers = lock(readers);
    readers.push_back(reader);
    if readers.len() > MAX_LOOKUPS { readers.pop_front() } else { None }
}

impl Lookups {
    /// Runs `work` on what is known of the letters of a pipeline; `None` if nothing is.
    ///
    /// # Errors
    /// See [`ScanError`].
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        pipeline: &Arc<PipelineLetters>,
        work: impl FnOnce(&mut Lookup<'_>) -> Result<Option<T>, Halt> + Send + 'static,
    ) -> Result<Option<T>, ScanError> {
        let Some(known) = pipeline.index.catch_up().await else { return Ok(None) };
        let (pipeline, readers) = (pipeline.clone(), self.readers.clone());
        self.turns
            .run(move |cancel| {
                let mut reader = take(&readers, &pipeline);
                let result = work(&mut Lookup { pipeline: &pipeline, known, reader: &mut reader, cancel });
                drop(keep(&readers, (Arc::downgrade(&pipeline), reader)));
                result
            })
            .await
    }
}
