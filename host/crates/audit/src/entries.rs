//! The records of a topic by the input records that they are made of, in 16 bytes each.

use std::ops::Range;

/// A record in the topic: which input record it is made of, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) partition: u32,
    detail: u32,
    pub(crate) offset: i64,
}

/// Marks an entry that a range has counted.
const COUNTED: u32 = 1 << 31;
/// Below the group of an entry is the number of the output.
const NUMBER_BITS: u32 = 20;
const NUMBERS: u32 = (1 << NUMBER_BITS) - 1;

impl Entry {
    /// `group` is the kind of a letter or the topic of an output; `number` counts the outputs of the input record.
    pub(crate) fn new(partition: u32, offset: i64, group: usize, number: u32) -> Self {
        let group = u32::try_from(group).unwrap_or(u32::MAX).min((COUNTED >> NUMBER_BITS) - 1);
        Self { partition, offset, detail: group << NUMBER_BITS | number.min(NUMBERS) }
    }

    pub(crate) fn group(self) -> usize {
        ((self.detail & !COUNTED) >> NUMBER_BITS) as usize
    }

    pub(crate) fn is_counted(self) -> bool {
        self.detail & COUNTED != 0
    }

    fn key(self) -> (u32, i64, u32) {
        (self.partition, self.offset, self.detail & !COUNTED)
    }

    /// Whether both are the same output of the same input record.
    pub(crate) fn is_same(self, other: Self) -> bool {
        self.key() == other.key()
    }
}

/// The entries in the order of their input records, once they are sorted.
#[derive(Debug, Default)]
pub(crate) struct Entries(Vec<Entry>);

impl Entries {
    pub(crate) fn push(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    pub(crate) fn sort(&mut self) {
        self.0.sort_unstable_by_key(|entry| entry.key());
    }

    /// The entries of the input records in a range of offsets.
    pub(crate) fn find(&self, partition: u32, offsets: Range<i64>) -> Range<usize> {
        let position =
            |offset: i64| self.0.partition_point(|entry| (entry.partition, entry.offset) < (partition, offset));
        position(offsets.start)..position(offsets.end.max(offsets.start))
    }

    pub(crate) fn all(&self) -> &[Entry] {
        &self.0
    }

    pub(crate) fn has(&self, partition: u32, offset: i64) -> bool {
        !self.find(partition, offset..offset + 1).is_empty()
    }

    /// Marks an entry as counted by a range.
    pub(crate) fn count(&mut self, index: usize) {
        self.0[index].detail |= COUNTED;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_has_16_bytes_and_keeps_its_parts() {
        assert_eq!(size_of::<Entry>(), 16);
        let entry = Entry::new(7, 1 << 40, 5, 3);
        assert_eq!((entry.partition, entry.offset, entry.group(), entry.is_counted()), (7, 1 << 40, 5, false));
        assert!(!entry.is_same(Entry::new(7, 1 << 40, 5, 4)));
    }

    #[test]
    fn entries_of_a_range_are_found() {
        let mut entries = Entries::default();
        for (partition, offset) in [(1, 3), (0, 9), (1, 5), (1, 4), (2, 4), (1, 4)] {
            entries.push(Entry::new(partition, offset, 0, 0));
        }
        entries.sort();
        assert_eq!((entries.find(1, 4..6), entries.find(1, 0..3), entries.find(3, 0..9)), (2..5, 1..1, 6..6));
        entries.count(2);
        assert!(entries.all()[2].is_counted() && entries.all()[2].is_same(entries.all()[3]));
        assert!(entries.has(2, 4) && !entries.has(2, 5));
    }
}
