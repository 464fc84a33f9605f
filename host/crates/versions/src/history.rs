//! The history of versions: which version was active when, and for which offsets. It is built from events, without I/O.
//!
//! A term is the time from one swap to the next. In a term, each partition has spans of offsets.
//! A span begins at the first offset that the version maps. It ends when the worker takes another version or loses the partition.
//! A partition that returns, or moves to a worker with another version, opens a new span.
//! Spans can overlap after a crash; then the later one is valid.

use std::collections::{BTreeMap, VecDeque};

pub use mapper_core::counts::Tally;
pub use mapper_core::identity::{Trigger, Version};
use serde::{Deserialize, Serialize};

use mapper_core::counts::Counts;
use mapper_core::record::Positions;
use mapper_core::topics::{Recreation, TopicIdentity};

/// The oldest terms beyond this number are dropped, with their spans.
pub const KEPT_TERMS: usize = 256;
/// The oldest spans of a partition beyond this number are dropped: each rebalance adds one.
const KEPT_SPANS: usize = 1024;
/// The oldest topic recreations of a term beyond this number are dropped.
pub const KEPT_RECREATIONS: usize = 16;

/// The time of one version from one swap to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// The number of the term: ascending, never reused.
    pub number: u64,
    /// The version.
    #[serde(flatten)]
    pub version: Version,
    /// The time of the decision, UTC in RFC 3339.
    pub since: String,
    /// What activated the version.
    pub by: Trigger,
    /// Whether the try-out was skipped.
    #[serde(default)]
    pub forced: bool,
    /// The digest of the version that a rollback returns to; null if there is none.
    pub before: Option<String>,
    /// Why the version failed its probation in this term; null if it did not.
    #[serde(default)]
    pub probation_failure: Option<String>,
    /// The results of its records; after a crash, as of shortly before it.
    #[serde(default)]
    pub tally: Tally,
    /// Topics that were deleted and created again while the version was active: the offsets of an input topic begin anew there.
    #[serde(default)]
    pub recreations: VecDeque<Recreation>,
}

/// Offsets of one partition that one version mapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub term: u64,
    pub from: i64,
    /// The offset after the last one; `None` while the span is open, or if the host crashed.
    pub to: Option<i64>,
    /// All offsets before this one are committed.
    pub reached: i64,
}

/// An event of the history; each is one line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// Replaces all events before it.
    Snapshot(History),
    /// A swap started a term.
    Term(Term),
    /// The version maps these partitions from these offsets on.
    From { term: u64, offsets: Positions },
    /// The version stops mapping these partitions at these offsets.
    To { term: u64, offsets: Positions },
    /// The commits so far.
    Progress {
        term: u64,
        /// The committed offsets.
        offsets: Positions,
        tally: Tally,
    },
    /// The version of a term failed its probation.
    ProbationFailed { term: u64, reason: String },
    /// A topic name refers to the topic with this identity.
    Topic { name: String, identity: TopicIdentity },
    /// A topic was deleted and recreated.
    TopicRecreated(Recreation),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    terms: VecDeque<Term>,
    /// In chronological order.
    partitions: BTreeMap<i32, VecDeque<Span>>,
    /// The last known identity of each topic name.
    #[serde(default)]
    topics: BTreeMap<String, TopicIdentity>,
}

impl History {
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Snapshot(all) => *self = all,
            Event::Term(term) => {
                self.terms.push_back(term);
                while self.terms.len() > KEPT_TERMS {
                    self.terms.pop_front();
                }
                let first = self.terms.front().map_or(0, |term| term.number);
                self.partitions.values_mut().for_each(|spans| spans.retain(|span| span.term >= first));
            }
            Event::From { term, offsets } => offsets.into_iter().for_each(|(p, from)| self.open(term, p, from)),
            Event::To { term, offsets } => {
                for (partition, to) in offsets {
                    if let Some(span) = self.span(term, partition) {
                        (span.to, span.reached) = (Some(to), to);
                    }
                }
            }
            Event::Progress { term, offsets, tally } => {
                for (partition, reached) in offsets {
                    self.set_reached(term, partition, reached);
                }
                if let Some(term) = self.terms.iter_mut().find(|known| known.number == term) {
                    term.tally = tally;
                }
            }
            Event::ProbationFailed { term, reason } => {
                if let Some(term) = self.terms.iter_mut().find(|known| known.number == term) {
                    term.probation_failure = Some(reason);
                }
            }
            Event::Topic { name, identity } => {
                self.topics.insert(name, identity);
            }
            Event::TopicRecreated(recreation) => {
                let Some(term) = self.terms.back_mut() else { return };
                term.recreations.push_back(recreation);
                if term.recreations.len() > KEPT_RECREATIONS {
                    term.recreations.pop_front();
                }
            }
        }
    }

    fn span(&mut self, term: u64, partition: i32) -> Option<&mut Span> {
        let last = self.partitions.get_mut(&partition)?.back_mut()?;
        (last.term == term && last.to.is_none()).then_some(last)
    }

    fn open(&mut self, term: u64, partition: i32, from: i64) {
        let spans = self.partitions.entry(partition).or_default();
        match spans.back_mut() {
            Some(last) if last.term == term && last.to == Some(from) => return last.to = None,
            // The host crashed in this span. The version has not mapped any record from here on.
            Some(last) if last.to.is_none() => last.to = Some(from.max(last.reached)),
            _ => {}
        }
        spans.push_back(Span { term, from, to: None, reached: from });
        while spans.len() > KEPT_SPANS {
            spans.pop_front();
        }
    }

    pub fn set_reached(&mut self, term: u64, partition: i32, reached: i64) {
        if let Some(span) = self.span(term, partition) {
            span.reached = span.reached.max(reached);
        }
    }

    pub fn add_counts(&mut self, term: u64, counts: &Counts) -> Option<&Tally> {
        let term = self.terms.iter_mut().rev().find(|known| known.number == term)?;
        term.tally.add(counts);
        Some(&term.tally)
    }

    /// The terms, the oldest first.
    pub fn terms(&self) -> impl DoubleEndedIterator<Item = &Term> {
        self.terms.iter()
    }

    /// The last known identity of a topic name.
    pub fn topic(&self, name: &str) -> Option<&TopicIdentity> {
        self.topics.get(name)
    }

    pub fn term(&self, number: u64) -> Option<&Term> {
        self.terms.iter().rev().find(|term| term.number == number)
    }

    pub fn last(&self) -> Option<&Term> {
        self.terms.back()
    }

    pub fn find_last_term(&self, digest: &str) -> Option<&Term> {
        self.terms.iter().rev().find(|term| term.version.digest == digest)
    }

    pub fn next_number(&self) -> u64 {
        self.last().map_or(1, |last| last.number + 1)
    }

    /// The spans of a term, by partition and in chronological order.
    pub fn spans(&self, term: u64) -> impl Iterator<Item = (i32, &Span)> {
        let of_term = move |span: &&Span| span.term == term;
        self.partitions.iter().flat_map(move |(p, spans)| spans.iter().filter(of_term).map(|span| (*p, span)))
    }

    /// The term that mapped an offset last; `None` if the term was dropped, or if another host mapped the offset.
    pub fn term_at(&self, partition: i32, offset: i64) -> Option<&Term> {
        let spans = self.partitions.get(&partition)?;
        let contains = |span: &&Span| span.from <= offset && span.to.is_none_or(|to| offset < to);
        self.term(spans.iter().rev().find(contains)?.term)
    }

    /// The digest that a rollback from a new term of this version activates. A rollback takes it from the earlier term of its
    /// version. So one rollback after another goes further back and never repeats a version.
    pub fn rollback_target(&self, version: &Version, by: Trigger) -> Option<String> {
        let last = self.last()?;
        match by {
            Trigger::Rollback | Trigger::Probation => self.find_last_term(&version.digest)?.before.clone(),
            // A restart with the same file keeps the target.
            _ if last.version.digest == version.digest => last.before.clone(),
            _ => Some(last.version.digest.clone()),
        }
    }
}

#[cfg(test)]
#[path = "history/tests.rs"]
mod tests;
