//! The in-flight markers of a worker: files in the state folder.

use std::ops::Range;
use std::sync::Arc;

use mapper_core::record::{Batch, Positions};
use mapper_pipeline::{Admission, InFlightMarker};
use mapper_state::intents::{Intent, Intents, Taken};

/// Marks the records that the mapper of one worker has.
pub struct InFlight(Intent);

impl InFlight {
    /// The markers of the worker of this number.
    pub fn new(all: Arc<Intents>, worker: usize) -> Self {
        Self(Intent::of(all, worker))
    }
}

impl InFlightMarker for InFlight {
    fn admit(&self, batch: &Batch, records: Range<usize>) -> Admission {
        match self.0.next(batch, records) {
            (_, Taken::Never(crashes)) => Admission::Quarantined { crashes },
            (count, Taken::Together | Taken::Alone) => Admission::Mapped(count),
        }
    }

    fn mark(&mut self, batch: &Batch, records: Range<usize>) {
        self.0.begin(batch, records);
    }

    fn unmark(&mut self, batch: &Batch, records: Range<usize>) {
        self.0.end(batch, records);
    }

    fn committed(&mut self, next: &Positions) {
        self.0.committed(next);
    }
}
