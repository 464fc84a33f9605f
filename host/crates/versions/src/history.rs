//! Which version of the mapper spoke when, and for which offsets: a model that is made of events, without any I/O.
//!
//! A term is the time from one swap to the next. Within it, each partition has spans: from the offset that the version
//! began at to the one it was ended or taken away at. A partition that comes back, or comes to a worker that still has another
//! version, opens a new span; where spans overlap, as after a crash, the later one has spoken.

use std::collections::{BTreeMap, VecDeque};

pub use mapper_core::identity::Version;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use mapper_core::counts::Counts;
use mapper_core::record::Positions;
use mapper_core::topics::{Recreation, TopicIdentity};

/// How many terms are kept; the oldest is forgotten first, with its spans.
pub const KEPT_TERMS: usize = 256;
/// How many spans of a partition are kept: rebalances make them, too.
const KEPT_SPANS: usize = 1024;
/// How many times that a topic was created again are kept of a term; the oldest is forgotten first.
pub const KEPT_RECREATIONS: usize = 16;

/// What activated a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The host was started with it.
    Start,
    /// The plugin file changed.
    File,
    /// SIGHUP.
    Signal,
    /// `POST /swap`, which `mapper-host swap` sends.
    Http,
    /// `POST /rollback`, which `mapper-host rollback` sends.
    Rollback,
    /// The version after it failed its probation.
    Probation,
}

/// The results of the records of a term.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Input records.
    pub records_in: u64,
    /// Outputs.
    pub records_out: u64,
    /// Input records without an output.
    pub skipped: u64,
    /// Dead letters by kind of failure.
    pub dead_letters: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds what a transaction committed.
    pub fn add(&mut self, counts: &Counts) {
        self.records_in += counts.records_in;
        self.records_out += counts.records_out;
        self.skipped += counts.skipped;
        for (kind, count) in counts.by_kind() {
            *self.dead_letters.entry(kind.name().to_owned()).or_default() += count;
        }
    }
}

/// The time of one version from one swap to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Term {
    /// The number of the term: ascending, never reused.
    pub number: u64,
    /// The version.
    #[serde(flatten)]
    pub version: Version,
    /// The time of the decision, UTC in RFC 3339.
    pub since: String,
    /// What activated the version.
    pub by: By,
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

/// Offsets of one partition for which one version spoke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The number of the term.
    pub term: u64,
    /// The first offset.
    pub from: i64,
    /// The offset after the last; `None` while it lasts, or if the host ended without a word.
    pub to: Option<i64>,
    /// Up to here it is known to be committed.
    pub reached: i64,
}

/// What happened, as a line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// All that was before, in one.
    Snapshot(History),
    /// A term begins.
    Term(Term),
    /// The version speaks for these partitions from these offsets on.
    From {
        /// The number of the term.
        term: u64,
        /// The first offsets.
        offsets: Positions,
    },
    /// It no longer speaks for these; these are the offsets after the last.
    To {
        /// The number of the term.
        term: u64,
        /// The offsets after the last.
        offsets: Positions,
    },
    /// What was committed so far.
    Progress {
        /// The number of the term.
        term: u64,
        /// The offsets after the last that is committed.
        offsets: Positions,
        /// What became of the records.
        tally: Tally,
    },
    /// The version of a term failed its probation.
    ProbationFailed {
        /// The number of the term.
        term: u64,
        /// Why.
        reason: String,
    },
    /// From now on a name stands for this topic.
    Topic {
        /// The name.
        name: String,
        /// The topic.
        identity: TopicIdentity,
    },
    /// A topic was deleted and created again.
    TopicRecreated(Recreation),
}

/// All terms and spans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    terms: VecDeque<Term>,
    /// In the order of time.
    partitions: BTreeMap<i32, VecDeque<Span>>,
    /// Which topic each name stood for when it was seen last.
    #[serde(default)]
    topics: BTreeMap<String, TopicIdentity>,
}

impl History {
    /// Takes in an event.
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
                    self.reach(term, partition, reached);
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
            // It ended without a word. Nothing that is committed from here on is of its making.
            Some(last) if last.to.is_none() => last.to = Some(from.max(last.reached)),
            _ => {}
        }
        spans.push_back(Span { term, from, to: None, reached: from });
        while spans.len() > KEPT_SPANS {
            spans.pop_front();
        }
    }

    /// What a version has committed of a partition.
    pub fn reach(&mut self, term: u64, partition: i32, reached: i64) {
        if let Some(span) = self.span(term, partition) {
            span.reached = span.reached.max(reached);
        }
    }

    /// Adds to the tally of a term.
    pub fn count(&mut self, term: u64, counts: &Counts) -> Option<&Tally> {
        let term = self.terms.iter_mut().rev().find(|known| known.number == term)?;
        term.tally.add(counts);
        Some(&term.tally)
    }

    /// The terms, the oldest first.
    pub fn terms(&self) -> impl DoubleEndedIterator<Item = &Term> {
        self.terms.iter()
    }

    /// Which topic a name stood for when it was seen last.
    pub fn topic(&self, name: &str) -> Option<&TopicIdentity> {
        self.topics.get(name)
    }

    /// The term by its number.
    pub fn term(&self, number: u64) -> Option<&Term> {
        self.terms.iter().rev().find(|term| term.number == number)
    }

    /// The last term.
    pub fn last(&self) -> Option<&Term> {
        self.terms.back()
    }

    /// The last term of the version of this digest.
    pub fn last_of(&self, digest: &str) -> Option<&Term> {
        self.terms.iter().rev().find(|term| term.version.digest == digest)
    }

    /// The number of the next term.
    pub fn next_number(&self) -> u64 {
        self.last().map_or(1, |last| last.number + 1)
    }

    /// The spans of a term, by partition and in the order of time.
    pub fn spans(&self, term: u64) -> impl Iterator<Item = (i32, &Span)> {
        let of_term = move |span: &&Span| span.term == term;
        self.partitions.iter().flat_map(move |(p, spans)| spans.iter().filter(of_term).map(|span| (*p, span)))
    }

    /// The term that spoke last for an offset; `None` if that is forgotten, or none of this host's did.
    pub fn term_at(&self, partition: i32, offset: i64) -> Option<&Term> {
        let spans = self.partitions.get(&partition)?;
        let spoke = |span: &&Span| span.from <= offset && span.to.is_none_or(|to| offset < to);
        self.term(spans.iter().rev().find(spoke)?.term)
    }

    /// What a new term of this version returns to when it is rolled back. Going back to a version takes over what was
    /// before that one, so that rollback after rollback goes further back, and never in circles.
    pub fn before(&self, version: &Version, by: By) -> Option<String> {
        let last = self.last()?;
        match by {
            By::Rollback | By::Probation => self.last_of(&version.digest)?.before.clone(),
            // Another start with the same file changes nothing.
            _ if last.version.digest == version.digest => last.before.clone(),
            _ => Some(last.version.digest.clone()),
        }
    }
}

#[cfg(test)]
#[path = "history/tests.rs"]
mod tests;
