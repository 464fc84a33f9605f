//! The report of an audit: the JSON of `mapper-host audit --json` and of the admin API.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The ledger of a pipeline, compared with its committed offsets, outputs, dead letters and redrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditReport {
    pub partitions: Vec<AuditedPartition>,
    pub topics: Vec<AuditedTopic>,
    /// Absent if there has been no redrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redrives: Option<AuditedRedrives>,
    pub findings: Findings,
    /// What the audit could not compare, and why.
    pub notes: Vec<String>,
}

/// The ranges of an input partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditedPartition {
    pub topic: String,
    pub partition: i32,
    /// The first audited offset; null if the ledger has no range.
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
    /// Offsets without a record, such as those of markers of transactions.
    pub without_record: u64,
    /// Records that were removed before the host read them.
    pub missed: u64,
}

/// The records of an output topic or of the dead-letter topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditedTopic {
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditedRedrives {
    /// The state topic.
    pub topic: String,
    pub resolutions: u64,
    /// What the ledger counted.
    pub counted: u64,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// Something that the ledger or the committed offset promises is not there.
    Missing,
    /// Something is there more than once.
    Duplicated,
    /// Something is there that the ledger does not explain.
    Unexplained,
}

impl FindingKind {
    pub const ALL: [Self; 3] = [Self::Missing, Self::Duplicated, Self::Unexplained];

    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Duplicated => "duplicated",
            Self::Unexplained => "unexplained",
        }
    }
}

/// Something that is missing, duplicated or unexplained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    pub kind: FindingKind,
    /// The position or the topic.
    pub at: String,
    /// The number of offsets or records.
    pub count: u64,
    pub reason: String,
}

/// All findings, of which the first ones are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Findings {
    pub total: u64,
    /// 1000 at most.
    pub listed: Vec<Finding>,
}

impl Findings {
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.kind.name(), self.at, self.reason)
    }
}

impl fmt::Display for AuditedPartition {
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

impl fmt::Display for AuditedRedrives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, resolutions, counted } = self;
        write!(f, "{topic}: resolutions of redrives {resolutions}, in the ledger {counted}")
    }
}

impl fmt::Display for AuditedTopic {
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
