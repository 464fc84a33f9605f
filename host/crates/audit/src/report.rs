//! The result of an audit.

use std::fmt;

use serde::Serialize;

/// The most findings that are listed; all are counted.
const MAX_LISTED: usize = 1000;

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub partitions: Vec<PartitionReport>,
    pub topics: Vec<TopicReport>,
    /// `None` if there has been no redrive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redrives: Option<RedriveReport>,
    pub findings: Findings,
    /// What the audit could not compare, and why.
    pub notes: Vec<String>,
}

/// The ranges of an input partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    pub topic: String,
    pub partition: i32,
    /// The first audited offset; `None` if the ledger has no range.
    pub first: Option<i64>,
    /// The last audited offset.
    pub last: Option<i64>,
    /// The committed offset when the audit began.
    pub committed: Option<i64>,
    pub ranges: u64,
    pub records: u64,
    pub outputs: u64,
    pub dead_letters: u64,
    pub skipped: u64,
    pub without_record: u64,
    pub missed: u64,
}

/// The records of an output topic or of the dead-letter topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicReport {
    pub topic: String,
    /// The records in the topic that the audit compared.
    pub records: u64,
    /// What the ledger counted.
    pub counted: u64,
    /// What the ledger counted of transactions that were committed while the audit read.
    pub recent: u64,
    /// The offsets that retention has removed.
    pub removed: u64,
}

/// The resolutions of redrives in the state topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RedriveReport {
    /// The state topic.
    pub topic: String,
    pub resolutions: u64,
    /// What the ledger counted.
    pub counted: u64,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// Something that the ledger or the committed offset promises is not there.
    Missing,
    /// Something is there more than once.
    Duplicated,
    /// Something is there that the ledger does not explain.
    Unexplained,
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Duplicated => "duplicated",
            Self::Unexplained => "unexplained",
        })
    }
}

/// Something that is missing, duplicated or unexplained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub kind: FindingKind,
    /// The position or the topic.
    pub at: String,
    /// The number of offsets or records.
    pub count: u64,
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.kind, self.at, self.reason)
    }
}

/// All findings, of which the first ones are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    pub total: u64,
    pub listed: Vec<Finding>,
}

impl Findings {
    pub(crate) fn add(&mut self, kind: FindingKind, at: String, count: u64, reason: impl Into<String>) {
        self.total += 1;
        if self.listed.len() < MAX_LISTED {
            self.listed.push(Finding { kind, at, count, reason: reason.into() });
        }
    }

    pub(crate) fn append(&mut self, others: Self) {
        self.total += others.total;
        self.listed.extend(others.listed);
        self.listed.truncate(MAX_LISTED);
    }

    pub fn is_empty(&self) -> bool {
        self.total == 0
    }
}

impl fmt::Display for PartitionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, committed, ranges, records, outputs, dead_letters, skipped, .. } = self;
        let committed = committed.map_or_else(|| "nothing".to_owned(), |committed| committed.to_string());
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return write!(f, "{topic}/{partition}: no range in the ledger; committed {committed}");
        };
        write!(
            f,
            "{topic}/{partition}: offsets {first} to {last}, ranges {ranges}, records {records}, outputs {outputs}, dead letters \
             {dead_letters}, skipped {skipped}, without a record {}",
            self.without_record
        )?;
        if self.missed > 0 {
            write!(f, ", missed {}", self.missed)?;
        }
        write!(f, "; committed {committed}")
    }
}

impl fmt::Display for RedriveReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, resolutions, counted } = self;
        write!(f, "{topic}: resolutions of redrives {resolutions}, in the ledger {counted}")
    }
}

impl fmt::Display for TopicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, records, counted, recent, removed } = self;
        write!(f, "{topic}: records {records}, in the ledger {counted}")?;
        if *recent > 0 {
            write!(f, ", of transactions during the audit {recent}")?;
        }
        if *removed > 0 {
            write!(f, ", removed by retention {removed}")?;
        }
        Ok(())
    }
}
