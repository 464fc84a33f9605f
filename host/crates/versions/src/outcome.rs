//! What is done of a record, in a form that outlives its batch and can be held against that of another version.

use std::fmt;

use mapper_core::decision::{Decision, RouteIndex, Routes, decide};
use mapper_core::record::{Batch, Record};
use mapper_core::verdict::{FailureKind, Output, Verdict, Verdicts};

/// How much of an input, an output or a message is shown, in bytes.
const SHOWN_BYTES: usize = 160;

type OwnedHeaders = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// An output, with all that was kept filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    route: RouteIndex,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: OwnedHeaders,
    timestamp_ms: Option<i64>,
}

/// What is done of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// These are produced; none: it is skipped.
    Produced(Vec<Made>),
    /// It is a dead letter.
    Failed {
        /// Of this kind.
        kind: FailureKind,
        /// With this message.
        message: String,
    },
}

impl Outcome {
    /// What is decided on this verdict.
    pub fn of<'a>(record: Record<'a>, verdict: Verdict<'a>, routes: &Routes) -> Self {
        Self::decided(record, &decide(record, verdict, routes, chrono::Utc::now().timestamp_millis()))
    }

    /// What was decided.
    pub fn decided<'a>(record: Record<'a>, decision: &Decision<'a>) -> Self {
        let made = |(route, output): &(RouteIndex, Output<'a>)| Made {
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
            Decision::ProduceOne(route, output) => Self::Produced(vec![made(&(*route, *output))]),
            Decision::Produce(all) => Self::Produced(all.iter().map(made).collect()),
            Decision::DeadLetter(failure) => Self::Failed { kind: failure.kind, message: failure.message.to_string() },
        }
    }

    /// The kind of the failure, if it is one.
    pub fn failure(&self) -> Option<FailureKind> {
        match self {
            Self::Produced(_) => None,
            Self::Failed { kind, .. } => Some(*kind),
        }
    }

    /// Whether it is a failure of the guest as a whole, not one that it returned.
    pub fn is_crash(&self) -> bool {
        self.failure().is_some_and(is_crash)
    }

    /// The bytes it takes, about.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Produced(all) => all.iter().map(Made::bytes).sum(),
            Self::Failed { message, .. } => message.len(),
        }
    }
}

/// Whether a failure of this kind ends the instance: the guest did not return.
pub fn is_crash(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::Trap | FailureKind::Timeout | FailureKind::OutOfMemory)
}

impl Made {
    fn bytes(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len)).sum();
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers
    }
}

fn owned<'h>(headers: impl Iterator<Item = mapper_core::record::Header<'h>>) -> OwnedHeaders {
    headers.map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect()
}

/// All outcomes of a batch, in order.
pub fn outcomes<'a>(
    batch: &'a Batch,
    verdicts: &'a Verdicts,
    routes: &'a Routes,
) -> impl Iterator<Item = Outcome> + 'a {
    batch.records().zip(verdicts.iter()).map(|(record, verdict)| Outcome::of(record, verdict, routes))
}

/// Bytes as text for a person: not too many, and with what is no text escaped.
pub fn shown(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "null".to_owned() };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes[..bytes.len().min(SHOWN_BYTES)].escape_ascii().to_string(),
    };
    if text.len() <= SHOWN_BYTES {
        return text;
    }
    format!("{}… ({} bytes)", &text[..text.floor_char_boundary(SHOWN_BYTES)], bytes.len())
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { kind, message } => write!(f, "{kind}: {}", shown(Some(message.as_bytes()))),
            Self::Produced(all) if all.is_empty() => f.write_str("skipped"),
            Self::Produced(all) => {
                let texts: Vec<String> = all.iter().map(|made| shown(made.value.as_deref())).collect();
                f.write_str(&texts.join(" | "))
            }
        }
    }
}

/// Two outcomes as texts in which one can see where they differ: values that are the same are told apart by the rest.
pub fn told_apart(old: &Outcome, new: &Outcome, routes: &Routes) -> [String; 2] {
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
                    .map(|(name, value)| format!("{}={}", name.escape_ascii(), shown(value.as_deref())))
                    .collect();
                let (topic, key) = (&routes.get(made.route).topic, shown(made.key.as_deref()));
                let (value, time) = (shown(made.value.as_deref()), made.timestamp_ms.unwrap_or(-1));
                format!("to '{topic}' {key} = {value} [{}] at {time}", headers.join(", "))
            });
            texts.collect::<Vec<_>>().join(" | ")
        }
    })
}
