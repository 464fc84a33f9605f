//! One partition of the simulated cluster: records, open transactions, and the markers that end them.

use std::collections::BTreeMap;

use super::BrokerError;
use mapper_core::record::Position;

/// A producer id and its epoch. A higher epoch of the same id fences this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) id: u64,
    pub(super) epoch: u16,
}

/// A record as a consumer reads it, and for a check who sent it and which input it was made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredRecord {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub timestamp_ms: Option<i64>,
    /// `None` for a record that no sink sent.
    pub input: Option<Position>,
    /// The process that sent it.
    pub process: usize,
}

impl StoredRecord {
    /// A header as text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name.as_bytes());
        found.and_then(|(_, value)| std::str::from_utf8(value.as_deref()?).ok()).unwrap_or_default()
    }
}

#[derive(Debug)]
enum Entry {
    Visible(StoredRecord),
    /// In a transaction that is not ended yet.
    Open(StoredRecord),
    Aborted,
    Marker,
}

/// The offset of an entry is its index.
#[derive(Debug, Default)]
pub(super) struct Partition {
    entries: Vec<Entry>,
    /// The offsets of each open transaction, by its producer id.
    open: BTreeMap<u64, Vec<usize>>,
    /// The highest epoch that was seen of each producer id.
    epochs: BTreeMap<u64, u16>,
}

impl Partition {
    /// The offset of the next entry.
    pub(super) fn end(&self) -> i64 {
        self.entries.len() as i64
    }

    /// Appends a record that is visible at once.
    pub(super) fn append(&mut self, record: StoredRecord) {
        self.entries.push(Entry::Visible(record));
    }

    /// Appends a record to the open transaction of a producer, or begins one.
    pub(super) fn append_in_transaction(
        &mut self,
        producer: Producer,
        record: StoredRecord,
    ) -> Result<(), BrokerError> {
        let epoch = self.epochs.entry(producer.id).or_default();
        if producer.epoch < *epoch {
            return Err(BrokerError::Fenced);
        }
        *epoch = producer.epoch;
        self.open.entry(producer.id).or_default().push(self.entries.len());
        self.entries.push(Entry::Open(record));
        Ok(())
    }

    /// Ends the open transaction of a producer with a marker, if there is one. Returns the records that are committed with it.
    pub(super) fn end_transaction(&mut self, producer: Producer, is_commit: bool) -> Vec<StoredRecord> {
        self.epochs.insert(producer.id, producer.epoch);
        let mut committed = Vec::new();
        let Some(offsets) = self.open.remove(&producer.id) else { return committed };
        for offset in offsets {
            let entry = &mut self.entries[offset];
            if let Entry::Open(record) = std::mem::replace(entry, Entry::Aborted)
                && is_commit
            {
                committed.push(record.clone());
                *entry = Entry::Visible(record);
            }
        }
        self.entries.push(Entry::Marker);
        committed
    }

    /// The last stable offset: a reader of committed records reads no further.
    pub(super) fn last_stable_offset(&self) -> i64 {
        let first_open = self.open.values().filter_map(|offsets| offsets.first()).min();
        first_open.copied().unwrap_or(self.entries.len()) as i64
    }

    /// The committed records from an offset to the last stable offset.
    pub(super) fn read_committed(&self, from: i64) -> impl Iterator<Item = (i64, &StoredRecord)> {
        let (from, to) = (usize::try_from(from).unwrap_or(0), self.last_stable_offset() as usize);
        let entries = self.entries.get(from..to).unwrap_or_default();
        (from as i64..).zip(entries).filter_map(|(offset, entry)| match entry {
            Entry::Visible(record) => Some((offset, record)),
            Entry::Open(_) | Entry::Aborted | Entry::Marker => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: &str) -> StoredRecord {
        StoredRecord { value: Some(value.into()), ..StoredRecord::default() }
    }

    fn values(partition: &Partition) -> Vec<(i64, String)> {
        let text = |record: &StoredRecord| String::from_utf8(record.value.clone().unwrap()).unwrap();
        partition.read_committed(0).map(|(offset, record)| (offset, text(record))).collect()
    }

    #[test]
    fn reader_of_committed_records_stops_at_the_last_stable_offset_and_skips_aborted_records() {
        let (mut partition, a, b) = (Partition::default(), Producer { id: 1, epoch: 0 }, Producer { id: 2, epoch: 0 });
        partition.append(record("plain"));
        partition.append_in_transaction(a, record("a")).unwrap();
        partition.append_in_transaction(b, record("b")).unwrap();
        assert_eq!((values(&partition).len(), partition.last_stable_offset()), (1, 1));
        partition.end_transaction(b, true);
        assert_eq!(partition.last_stable_offset(), 1, "the transaction of a is still open");
        partition.end_transaction(a, false);
        assert_eq!(values(&partition), [(0, "plain".into()), (2, "b".into())]);
        assert_eq!(partition.last_stable_offset(), 5);
    }

    #[test]
    fn older_epoch_of_a_producer_is_fenced() {
        let mut partition = Partition::default();
        partition.end_transaction(Producer { id: 1, epoch: 3 }, false);
        let old = partition.append_in_transaction(Producer { id: 1, epoch: 2 }, record("old"));
        assert_eq!(old, Err(BrokerError::Fenced));
        partition.append_in_transaction(Producer { id: 1, epoch: 3 }, record("new")).unwrap();
    }
}
