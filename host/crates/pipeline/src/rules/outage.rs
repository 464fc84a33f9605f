//! An outage of what the mapper needs: the records wait, the group is served, and the mapper is asked again from time to time.

use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::{Rules, Task};

/// An outage of what the mapper needs.
#[derive(Debug)]
pub(super) struct Outage {
    /// When the mapper is asked again.
    next: Instant,
    backoff: Backoff,
}

impl Outage {
    /// The time until the mapper is asked again.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }
}

impl Rules {
    /// The mapper lacks something, so the other records of the batch wait. Returns the time until it is asked again.
    pub(crate) fn mapper_unavailable(&mut self, now: Instant) -> Duration {
        let mut backoff = self.outage.take().map(|outage| outage.backoff).unwrap_or_default();
        let wait = backoff.next();
        self.outage = Some(Outage { next: now + wait, backoff });
        // What is judged does not wait with the others: its transaction would become too old.
        self.plan_first([Task::Commit]);
        wait
    }

    /// The mapper has what it needs. Returns whether that is new.
    pub(crate) fn mapper_available(&mut self) -> bool {
        self.outage.take().is_some()
    }
}
