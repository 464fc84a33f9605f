//! Decides what to produce for a verdict. It is a pure function with all rules in one place.

mod limits;

use std::sync::Arc;

pub use limits::{TimestampLimits, TopicLimits};

use crate::record::Record;
use crate::trace_context::carried;
use crate::verdict::{Failure, FailureKind, Output, Verdict};

/// The largest overhead of a record, in bytes: batch header, lengths and deltas (Kafka's message format v2).
const RECORD_OVERHEAD_BYTES: usize = 61 + 8 * 5;
/// The largest overhead of a header, in bytes: the lengths of its name and value.
pub const HEADER_OVERHEAD_BYTES: usize = 10;

/// An output topic or the dead-letter topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub topic: Arc<str>,
    pub limits: TopicLimits,
}

/// The topics that the host writes to. The first one is the default output topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routes {
    /// The output topics; never empty.
    pub outputs: Vec<Route>,
    pub dead_letters: Route,
    /// The ledger topic; `None` without a ledger.
    pub ledger: Option<Route>,
    /// The topic with the states of dead letters; only for a redrive.
    pub states: Option<Route>,
    /// The bytes that the host adds to each output.
    pub added_bytes: usize,
}

/// The limit of a record if the topic configuration is unknown: Kafka's default of `max.message.bytes`.
pub const DEFAULT_RECORD_BYTES: usize = 1_048_588;

/// An index of the output topics, followed by the dead-letter topic, the ledger topic and the state topic.
pub type RouteIndex = usize;

impl Routes {
    /// Routes to topics with unknown limits.
    pub fn with_default_limits(outputs: &[&str], dead_letters: &str) -> Self {
        let route = |topic: &str| Route { topic: topic.into(), limits: TopicLimits::default() };
        let outputs = outputs.iter().map(|topic| route(topic)).collect();
        Self { outputs, dead_letters: route(dead_letters), ledger: None, states: None, added_bytes: 0 }
    }

    /// The same routes with a ledger topic with unknown limits.
    #[must_use]
    pub fn with_ledger(self, topic: Option<&str>) -> Self {
        let ledger = topic.map(|topic| Route { topic: topic.into(), limits: TopicLimits::default() });
        Self { ledger, ..self }
    }

    /// The same routes with a state topic with unknown limits.
    #[must_use]
    pub fn with_states(self, topic: &str) -> Self {
        Self { states: Some(Route { topic: topic.into(), limits: TopicLimits::default() }), ..self }
    }

    pub fn dead_letter_index(&self) -> RouteIndex {
        self.outputs.len()
    }

    /// The index of the ledger topic, if there is one.
    pub fn ledger_index(&self) -> Option<RouteIndex> {
        self.ledger.as_ref().map(|_| self.outputs.len() + 1)
    }

    /// The index of the state topic, if there is one.
    pub fn state_index(&self) -> Option<RouteIndex> {
        self.states.as_ref().map(|_| self.outputs.len() + 1 + usize::from(self.ledger.is_some()))
    }

    pub fn get(&self, index: RouteIndex) -> &Route {
        self.outputs.get(index).or_else(|| self.all().nth(index)).unwrap_or(&self.dead_letters)
    }

    /// The same routes with other limits, in the order of their indexes. `None` keeps the old limits.
    pub fn with_limits(&self, limits: impl IntoIterator<Item = Option<TopicLimits>>) -> Self {
        let mut routes = self.clone();
        let all = routes.outputs.iter_mut().chain([&mut routes.dead_letters]).chain(&mut routes.ledger);
        let all = all.chain(&mut routes.states);
        for (route, limits) in all.zip(limits).filter_map(|(route, limits)| Some((route, limits?))) {
            route.limits = limits;
        }
        routes
    }

    /// All routes, in the order of their indexes.
    pub fn all(&self) -> impl Iterator<Item = &Route> {
        self.outputs.iter().chain([&self.dead_letters]).chain(&self.ledger).chain(&self.states)
    }

    fn find(&self, topic: Option<&str>) -> Option<RouteIndex> {
        match topic {
            None => Some(0),
            Some(topic) => self.outputs.iter().position(|route| &*route.topic == topic),
        }
    }
}

/// The decision on a record.
#[derive(Debug)]
pub enum Decision<'a> {
    /// The mapper returned no output.
    Skip,
    Produce(Vec<(RouteIndex, Output<'a>)>),
    /// A single output, without the allocation of a list.
    ProduceOne(RouteIndex, Output<'a>),
    DeadLetter(Failure<'a>),
}

impl Decision<'_> {
    /// The kind of the failure, for a dead letter.
    pub fn failure(&self) -> Option<FailureKind> {
        match self {
            Self::DeadLetter(failure) => Some(failure.kind),
            Self::Skip | Self::Produce(_) | Self::ProduceOne(..) => None,
        }
    }
}

/// Decides on one record. Either all of its outputs are produced, or none.
pub fn decide<'a>(record: Record<'a>, verdict: Verdict<'a>, routes: &Routes, now_ms: i64) -> Decision<'a> {
    let mut outputs = match verdict {
        Verdict::Failed(failure) => return Decision::DeadLetter(failure),
        Verdict::Mapped(outputs) => outputs,
    };
    let Some(first) = outputs.next() else { return Decision::Skip };
    let first = match route(record, first, routes, now_ms) {
        Ok(route) => (route, first),
        Err(failure) => return Decision::DeadLetter(failure),
    };
    let mut all = Vec::new();
    for output in outputs {
        match route(record, output, routes, now_ms) {
            Ok(route) => all.push((route, output)),
            Err(failure) => return Decision::DeadLetter(failure),
        }
    }
    if all.is_empty() {
        return Decision::ProduceOne(first.0, first.1);
    }
    all.insert(0, first);
    Decision::Produce(all)
}

fn route<'a>(record: Record<'a>, output: Output<'a>, routes: &Routes, now_ms: i64) -> Result<RouteIndex, Failure<'a>> {
    let index = routes.find(output.topic()).ok_or_else(|| {
        let known: Vec<&str> = routes.outputs.iter().map(|route| &*route.topic).collect();
        let message = format!(
            "the output topic '{}' is not one the host was started with ({}); add it with --extra-topic",
            output.topic().unwrap_or_default(),
            known.join(", ")
        );
        Failure::new(FailureKind::InvalidOutput, message)
    })?;
    let header_bytes = match output.own_headers() {
        Some(headers) => headers_bytes(headers.clone()) + headers_bytes(carried(record, &mut { headers })),
        None => headers_bytes(record.headers()),
    };
    let key = output.key(record);
    let bytes = record_bytes(key, output.value(record), header_bytes + routes.added_bytes);
    let Route { topic, limits } = routes.get(index);
    let max_bytes = limits.max_record_bytes;
    if bytes > max_bytes {
        let message =
            format!("an output of {bytes} bytes is larger than the topic '{topic}' takes ({max_bytes} bytes)");
        return Err(Failure::new(FailureKind::Oversize, message));
    }
    if let Some(violation) = limits.find_violation(topic, key, output.timestamp_ms(record), now_ms) {
        return Err(Failure::new(FailureKind::Undeliverable, violation));
    }
    Ok(index)
}

/// The largest size of headers in a record.
pub fn headers_bytes<'h>(headers: impl Iterator<Item = crate::record::Header<'h>>) -> usize {
    headers.map(|(name, value)| HEADER_OVERHEAD_BYTES + name.len() + value.map_or(0, <[u8]>::len)).sum()
}

/// The largest size of a record for the broker, before compression.
pub fn record_bytes(key: Option<&[u8]>, value: Option<&[u8]>, header_bytes: usize) -> usize {
    RECORD_OVERHEAD_BYTES + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + header_bytes
}

#[cfg(test)]
mod tests;
