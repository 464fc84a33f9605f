//! The records of the ledger topic. Each transaction has one for each input partition that it advances, so that a reader can
//! compare what was read, what was written and what is committed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A record of the ledger topic, in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LedgerRecord<'a> {
    /// A transaction advanced an input partition.
    Input(LedgerRange<'a>),
    /// A transaction redrove dead letters. It advances no input partition.
    Redrive(LedgerRedrive<'a>),
}

/// The offsets of an input partition that a transaction commits, and what became of their records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRange<'a> {
    /// The consumer group.
    pub group: Cow<'a, str>,
    pub topic: Cow<'a, str>,
    pub partition: i32,
    /// The id of the topic; a recreated topic has another one. `None` if the brokers have no topic ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<Cow<'a, str>>,
    pub first: i64,
    /// The last offset before the committed one. It is `first - 1` in an empty range.
    pub last: i64,
    #[serde(default, skip_serializing_if = "RangeStart::is_committed")]
    pub start: RangeStart,
    /// The input records.
    pub records: u64,
    /// The offsets without a record for a reader of committed records: transaction markers, aborted and compacted records.
    #[serde(default)]
    pub without_record: u64,
    /// The offsets that retention or DeleteRecords removed before the host read them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u64,
    #[serde(flatten)]
    pub counts: LedgerCounts<'a>,
    /// The SHA-256 of the plugin file.
    pub plugin: Cow<'a, str>,
    pub host: Cow<'a, str>,
}

/// The outputs and dead letters of a transaction that redrives dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRedrive<'a> {
    /// The consumer group of the pipeline.
    pub group: Cow<'a, str>,
    /// The dead-letter topic.
    pub topic: Cow<'a, str>,
    /// The dead letters that were mapped again.
    pub records: u64,
    #[serde(flatten)]
    pub counts: LedgerCounts<'a>,
    /// The SHA-256 of the plugin file.
    pub plugin: Cow<'a, str>,
    pub host: Cow<'a, str>,
}

/// What became of the records of a range.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerCounts<'a> {
    /// The outputs of each topic.
    #[serde(default)]
    pub outputs: BTreeMap<Cow<'a, str>, u64>,
    /// The dead letters of each kind of failure.
    #[serde(default)]
    pub dead_letters: BTreeMap<Cow<'a, str>, u64>,
    /// The records without an output.
    #[serde(default)]
    pub skipped: u64,
}

/// Where a range begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RangeStart {
    /// At the committed offset, where the range before it ends.
    #[default]
    Committed,
    /// At the first record that was read: the group had committed nothing.
    FirstRecord,
    /// At the end of a partition that lost records: the offsets from here on had other records before.
    Truncation,
}

impl RangeStart {
    fn is_committed(&self) -> bool {
        *self == Self::Committed
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl LedgerRecord<'_> {
    /// Parses the value of a record of the ledger topic.
    ///
    /// # Errors
    /// If it is not a ledger record.
    pub fn parse(value: &[u8]) -> Result<LedgerRecord<'static>, serde_json::Error> {
        serde_json::from_slice(value)
    }

    /// The consumer group of the pipeline.
    pub fn group(&self) -> &str {
        match self {
            Self::Input(range) => &range.group,
            Self::Redrive(redrive) => &redrive.group,
        }
    }

    /// Replaces the value of a record of the ledger topic, and keeps the allocated memory.
    pub fn write(&self, value: &mut Vec<u8>) {
        value.clear();
        serde_json::to_writer(value, self).expect("a ledger record has only strings as keys");
    }
}

/// The key of a ledger record, `TOPIC/PARTITION`: the records of a partition keep their order.
pub fn ledger_key(topic: &str, partition: i32) -> String {
    format!("{topic}/{partition}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range() -> LedgerRange<'static> {
        LedgerRange {
            group: "readers".into(),
            topic: "visits".into(),
            partition: 3,
            topic_id: None,
            first: 10,
            last: 19,
            start: RangeStart::Committed,
            records: 8,
            without_record: 2,
            missed: 0,
            counts: LedgerCounts {
                outputs: BTreeMap::from([("reduced".into(), 6)]),
                dead_letters: BTreeMap::from([("trap".into(), 1)]),
                skipped: 1,
            },
            plugin: "9b3e".into(),
            host: "a".into(),
        }
    }

    #[test]
    fn ledger_record_has_the_documented_json() {
        let record = LedgerRecord::Input(range());
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(
            text,
            r#"{"kind":"input","group":"readers","topic":"visits","partition":3,"first":10,"last":19,"records":8,"without_record":2,"outputs":{"reduced":6},"dead_letters":{"trap":1},"skipped":1,"plugin":"9b3e","host":"a"}"#
        );
        assert_eq!(LedgerRecord::parse(text.as_bytes()).unwrap(), record);
        let first = LedgerRange {
            start: RangeStart::FirstRecord,
            missed: 4,
            topic_id: Some("REm6l2J9TL+1OtDPaltrPQ".into()),
            ..range()
        };
        let text = serde_json::to_string(&LedgerRecord::Input(first.clone())).unwrap();
        assert!(text.contains(r#""start":"first-record","records":8,"without_record":2,"missed":4,"#), "{text}");
        assert_eq!(LedgerRecord::parse(text.as_bytes()).unwrap(), LedgerRecord::Input(first));
    }

    #[test]
    fn redrive_has_counts_and_no_range() {
        let redrive = br#"{"kind":"redrive","group":"readers","topic":"dlq","records":3,"outputs":{"reduced":2},"dead_letters":{"trap":1},"plugin":"9b3e","host":"a"}"#;
        let LedgerRecord::Redrive(redrive) = LedgerRecord::parse(redrive).unwrap() else { panic!("a redrive") };
        assert_eq!((redrive.records, redrive.counts.outputs["reduced"], redrive.counts.skipped), (3, 2, 0));
        assert!(LedgerRecord::parse(b"{}").is_err() && LedgerRecord::parse(b"a").is_err());
    }
}
