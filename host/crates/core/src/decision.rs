//! From a verdict to what is done about it: a pure function, so that the rules can be read and tested in one place.

mod limits;

use std::sync::Arc;

pub use limits::{TimestampLimits, TopicLimits};

use crate::record::Record;
use crate::trace_context::carried;
use crate::verdict::{Failure, FailureKind, Output, Verdict};

/// What Kafka adds to a record around its key, value and headers at most, in bytes: the batch header, the lengths
/// and the deltas (Kafka's message format v2).
const RECORD_OVERHEAD_BYTES: usize = 61 + 8 * 5;
/// The same for a header: the lengths of its name and value.
pub const HEADER_OVERHEAD_BYTES: usize = 10;

/// A topic that may be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its name.
    pub topic: Arc<str>,
    /// What it takes.
    pub limits: TopicLimits,
}

/// The topics that outputs and dead letters go to. The first is the default output topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routes {
    /// The output topics; never empty.
    pub outputs: Vec<Route>,
    /// The dead-letter topic.
    pub dead_letters: Route,
    /// What the host adds to each output, in bytes.
    pub added_bytes: usize,
}

/// The largest record of a topic when the broker doesn't say, in bytes: Kafka's own default for `max.message.bytes`.
pub const DEFAULT_RECORD_BYTES: usize = 1_048_588;

/// An index into the routes: output topics first, then the dead letters.
pub type RouteIndex = usize;

impl Routes {
    /// Routes to these topics, of which nothing more is known.
    pub fn with_default_limits(outputs: &[&str], dead_letters: &str) -> Self {
        let route = |topic: &str| Route { topic: topic.into(), limits: TopicLimits::default() };
        let outputs = outputs.iter().map(|topic| route(topic)).collect();
        Self { outputs, dead_letters: route(dead_letters), added_bytes: 0 }
    }

    /// The index of the dead-letter topic.
    pub fn dead_letter_index(&self) -> RouteIndex {
        self.outputs.len()
    }

    /// A route by its index.
    pub fn get(&self, index: RouteIndex) -> &Route {
        self.outputs.get(index).unwrap_or(&self.dead_letters)
    }

    /// These routes with other limits, in the order of their indexes; where there are none, the old ones stay.
    pub fn with_limits(&self, limits: impl IntoIterator<Item = Option<TopicLimits>>) -> Self {
        let mut routes = self.clone();
        let all = routes.outputs.iter_mut().chain([&mut routes.dead_letters]);
        for (route, limits) in all.zip(limits).filter_map(|(route, limits)| Some((route, limits?))) {
            route.limits = limits;
        }
        routes
    }

    /// All routes in the order of their indexes.
    pub fn all(&self) -> impl Iterator<Item = &Route> {
        self.outputs.iter().chain([&self.dead_letters])
    }

    fn named(&self, topic: Option<&str>) -> Option<RouteIndex> {
        match topic {
            None => Some(0),
            Some(topic) => self.outputs.iter().position(|route| &*route.topic == topic),
        }
    }
}

/// What is done about a record.
#[derive(Debug)]
pub enum Decision<'a> {
    /// Nothing: the mapper returned no output.
    Skip,
    /// These are produced.
    Produce(Vec<(RouteIndex, Output<'a>)>),
    /// This single output is produced: the usual case, without a list.
    ProduceOne(RouteIndex, Output<'a>),
    /// It goes to the dead letters.
    DeadLetter(Failure<'a>),
}

impl Decision<'_> {
    /// What kind of failure it is about, if any.
    pub fn failure(&self) -> Option<FailureKind> {
        match self {
            Self::DeadLetter(failure) => Some(failure.kind),
            Self::Skip | Self::Produce(_) | Self::ProduceOne(..) => None,
        }
    }
}

/// Decides on one record at this time, in milliseconds since 1970. All of its outputs are produced, or none is.
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
    let index = routes.named(output.topic()).ok_or_else(|| {
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
    let most = limits.max_record_bytes;
    if bytes > most {
        let message = format!("an output of {bytes} bytes is larger than the topic '{topic}' takes ({most} bytes)");
        return Err(Failure::new(FailureKind::Oversize, message));
    }
    if let Some(objection) = limits.objection(topic, key, output.timestamp_ms(record), now_ms) {
        return Err(Failure::new(FailureKind::Undeliverable, objection));
    }
    Ok(index)
}

/// What headers take in a record, in bytes, at most.
pub fn headers_bytes<'h>(headers: impl Iterator<Item = crate::record::Header<'h>>) -> usize {
    headers.map(|(name, value)| HEADER_OVERHEAD_BYTES + name.len() + value.map_or(0, <[u8]>::len)).sum()
}

/// The size of a record as a broker counts it, in bytes, at most and before compression.
pub fn record_bytes(key: Option<&[u8]>, value: Option<&[u8]>, header_bytes: usize) -> usize {
    RECORD_OVERHEAD_BYTES + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + header_bytes
}

#[cfg(test)]
mod tests;
