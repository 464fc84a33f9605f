//! The outcome of a record, owned, so that it outlives its batch and can be compared with the outcome of another version.

use std::fmt;

use mapper_core::decision::{Decision, RouteIndex, Routes, decide};
use mapper_core::record::{Batch, Record};
use mapper_core::verdict::{FailureKind, Output, Verdict, Verdicts};

/// The most bytes of an input, an output or a message in a report.
const MAX_EXCERPT_BYTES: usize = 160;

type OwnedHeaders = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// An output; it owns also the fields that it keeps from its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedOutput {
    route: RouteIndex,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: OwnedHeaders,
    timestamp_ms: Option<i64>,
}

/// The outcome of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The outputs; the record is skipped if there are none.
    Produced(Vec<OwnedOutput>),
    /// The record becomes a dead letter.
    Failed { kind: FailureKind, message: String },
}

impl Outcome {
    pub fn from_verdict<'a>(record: Record<'a>, verdict: Verdict<'a>, routes: &Routes) -> Self {
        Self::from_decision(record, &decide(record, verdict, routes, chrono::Utc::now().timestamp_millis()))
    }

    pub fn from_decision<'a>(record: Record<'a>, decision: &Decision<'a>) -> Self {
        let to_owned = |(route, output): &(RouteIndex, Output<'a>)| OwnedOutput {
            route: *route,
            key: output.key(record).map(<[u8]>::to_vec),
            value: output.value(record).map(<[u8]>::to_vec),
            headers: match output.own_headers() {
                Some(own) => owned(own),
                None => owned(record.headers()),
            },
            timestamp_ms: output.timestamp_ms(record),
        };
        match decision {
            Decision::Skip => Self::Produced(Vec::new()),
            Decision::ProduceOne(route, output) => Self::Produced(vec![to_owned(&(*route, *output))]),
            Decision::Produce(all) => Self::Produced(all.iter().map(to_owned).collect()),
            Decision::DeadLetter(failure) => Self::Failed { kind: failure.kind, message: failure.message.to_string() },
        }
    }

    pub fn failure(&self) -> Option<FailureKind> {
        match self {
            Self::Produced(_) => None,
            Self::Failed { kind, .. } => Some(*kind),
        }
    }

    /// Whether the guest crashed, instead of returning a failure.
    pub fn is_crash(&self) -> bool {
        self.failure().is_some_and(FailureKind::is_crash)
    }

    /// The approximate size.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Produced(all) => all.iter().map(OwnedOutput::bytes).sum(),
            Self::Failed { message, .. } => message.len(),
        }
    }
}

impl OwnedOutput {
    pub fn topic<'r>(&self, routes: &'r Routes) -> &'r str {
        &routes.get(self.route).topic
    }

    pub fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    pub fn headers(&self) -> &[(Vec<u8>, Option<Vec<u8>>)] {
        &self.headers
    }

    pub fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp_ms
    }

    fn bytes(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len)).sum();
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers
    }
}

fn owned<'h>(headers: impl Iterator<Item = mapper_core::record::Header<'h>>) -> OwnedHeaders {
    headers.map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect()
}

/// The outcomes of a batch, in order.
pub fn outcomes<'a>(
    batch: &'a Batch,
    verdicts: &'a Verdicts,
    routes: &'a Routes,
) -> impl Iterator<Item = Outcome> + 'a {
    batch.records().zip(verdicts.iter()).map(|(record, verdict)| Outcome::from_verdict(record, verdict, routes))
}

/// Bytes as text for a report: truncated, and escaped if they are not UTF-8.
pub fn excerpt(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "null".to_owned() };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes[..bytes.len().min(MAX_EXCERPT_BYTES)].escape_ascii().to_string(),
    };
    if text.len() <= MAX_EXCERPT_BYTES {
        return text;
    }
    format!("{}… ({} bytes)", &text[..text.floor_char_boundary(MAX_EXCERPT_BYTES)], bytes.len())
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { kind, message } => write!(f, "{kind}: {}", excerpt(Some(message.as_bytes()))),
            Self::Produced(all) if all.is_empty() => f.write_str("skipped"),
            Self::Produced(all) => {
                let texts: Vec<String> = all.iter().map(|made| excerpt(made.value.as_deref())).collect();
                f.write_str(&texts.join(" | "))
            }
        }
    }
}

/// Describes two outcomes that differ. If their values are equal, the texts also have topics, keys, headers and timestamps.
pub fn describe_both(old: &Outcome, new: &Outcome, routes: &Routes) -> [String; 2] {
    let plain = [old, new].map(ToString::to_string);
    if plain[0] != plain[1] {
        return plain;
    }
    [old, new].map(|outcome| match outcome {
        Outcome::Failed { .. } => outcome.to_string(),
        Outcome::Produced(all) => {
            let texts = all.iter().map(|made| {
                let headers: Vec<String> = made
                    .headers
                    .iter()
                    .map(|(name, value)| format!("{}={}", name.escape_ascii(), excerpt(value.as_deref())))
                    .collect();
                let (topic, key) = (made.topic(routes), excerpt(made.key.as_deref()));
                let (value, time) = (excerpt(made.value.as_deref()), made.timestamp_ms.unwrap_or(-1));
                format!("to '{topic}' {key} = {value} [{}] at {time}", headers.join(", "))
            });
            texts.collect::<Vec<_>>().join(" | ")
        }
    })
}
