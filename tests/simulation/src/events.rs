//! What happens when, in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

/// Something that happens at its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A worker takes a step of its pipeline.
    Step { client: usize },
    /// The background thread of a consumer has a turn.
    Serve { client: usize },
    /// A record is appended to the input topic.
    Append { partition: i32 },
    /// A host starts, unless it runs.
    Start { host: usize },
    /// A host is asked to end.
    Shutdown { host: usize },
    /// Another version is offered to the workers of a host.
    Swap { host: usize },
    /// The swap thread of a host looks at the probation.
    Supervise { host: usize },
    /// The configuration of the output topics changes to what the scenario says.
    Limits,
}

/// The events that are still to come. Those of the same time happen in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Events {
    events: BTreeMap<(Duration, u64), Event>,
    added: u64,
}

impl Events {
    pub(crate) fn add(&mut self, at: Duration, event: Event) {
        self.added += 1;
        self.events.insert((at, self.added), event);
    }

    /// The next event, if it is not later than this.
    pub(crate) fn next_until(&mut self, until: Duration) -> Option<(Duration, Event)> {
        let entry = self.events.first_entry().filter(|entry| entry.key().0 <= until)?;
        let ((at, _), event) = entry.remove_entry();
        Some((at, event))
    }
}
