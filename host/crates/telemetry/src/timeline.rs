//! The latest events of a pipeline, for a time line: aborted transactions, rebalances, breakers, and outages of the schema registry.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// The events that are kept.
const MAX_EVENTS: usize = 200;
/// Equal events within this time are one event with a count.
const MERGED: TimeDelta = TimeDelta::minutes(1);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    TransactionAborted,
    PartitionsRevoked,
    BreakerOpened,
    BreakerClosed,
    RegistryUnavailable,
    RegistryAvailable,
}

impl EventKind {
    /// The kind as one word, as the JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::TransactionAborted => "transaction-aborted",
            Self::PartitionsRevoked => "partitions-revoked",
            Self::BreakerOpened => "breaker-opened",
            Self::BreakerClosed => "breaker-closed",
            Self::RegistryUnavailable => "registry-unavailable",
            Self::RegistryAvailable => "registry-available",
        }
    }
}

/// One event, or equal events within a minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    /// The time of the first one.
    pub at: DateTime<Utc>,
    pub worker: usize,
    /// Why, in words.
    pub reason: String,
    pub count: u64,
}

/// The latest events.
#[derive(Debug, Default)]
pub struct Timeline(Mutex<VecDeque<Event>>);

impl Timeline {
    pub(crate) fn add(&self, kind: EventKind, worker: usize, reason: &str, at: DateTime<Utc>) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_equal = |event: &&mut Event| {
            event.kind == kind && event.worker == worker && event.reason == reason && at - event.at < MERGED
        };
        if let Some(event) = events.iter_mut().rev().take(8).find(is_equal) {
            event.count += 1;
            return;
        }
        if events.len() == MAX_EVENTS {
            events.pop_front();
        }
        events.push_back(Event { kind, at, worker, reason: reason.to_owned(), count: 1 });
    }

    /// The events, the latest first.
    pub fn latest(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_events_within_a_minute_are_one_event_with_a_count() {
        let timeline = Timeline::default();
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        for (seconds, worker) in [(0, 0), (1, 1), (59, 0), (60, 0), (61, 0)] {
            timeline.add(EventKind::TransactionAborted, worker, "rebalance", at(seconds));
        }
        let events: Vec<(i64, usize, u64)> =
            timeline.latest().iter().map(|event| (event.at.timestamp(), event.worker, event.count)).collect();
        assert_eq!(events, [(60, 0, 2), (1, 1, 1), (0, 0, 2)]);
    }

    #[test]
    fn oldest_events_are_removed_first() {
        let timeline = Timeline::default();
        for worker in 0..=MAX_EVENTS {
            timeline.add(EventKind::PartitionsRevoked, worker, "", DateTime::UNIX_EPOCH);
        }
        let events = timeline.latest();
        assert_eq!((events.len(), events[MAX_EVENTS - 1].worker), (MAX_EVENTS, 1));
    }
}
