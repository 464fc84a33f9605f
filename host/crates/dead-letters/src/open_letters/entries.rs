//! The entries of letters, by their failed records.

/// The entries of a part of the list: it grows without a copy of all entries.
const CHUNK: usize = 1 << 13;
const EMPTY: u32 = u32::MAX;
const MIN_SLOTS: usize = 1 << 10;

/// A letter, without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// That of the position of the failed record.
    pub(super) hash: u64,
    pub(super) offset: i64,
    pub(super) source_offset: i64,
    /// When it failed, in milliseconds since 1970, or [`UNKNOWN_TIME`].
    pub(super) failed_ms: i64,
    pub(super) partition: i32,
    /// The index of the partition of the failed record.
    pub(super) source: u32,
    /// The index of its group.
    pub(super) group: u16,
    /// The index of the version of the plugin.
    pub(super) version: u16,
    pub(super) attempt: u16,
    pub(super) is_closed: bool,
}

pub(super) const UNKNOWN_TIME: i64 = i64::MIN;

impl Entry {
    pub(super) fn failed_ms(&self) -> Option<i64> {
        (self.failed_ms != UNKNOWN_TIME).then_some(self.failed_ms)
    }
}

/// A list of entries, and a table that finds those of a failed record.
#[derive(Debug, Default)]
pub(super) struct Entries {
    chunks: Vec<Vec<Entry>>,
    len: usize,
    closed: usize,
    /// Indexes of entries. The first slot of an entry follows from its hash; a used slot pushes it to the next one.
    slots: Vec<u32>,
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The number of closed letters.
    pub(super) fn closed(&self) -> usize {
        self.closed
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.chunks.iter().flatten()
    }

    pub(super) fn push(&mut self, entry: Entry) {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.build_slots((self.slots.len() * 2).max(MIN_SLOTS));
        }
        self.use_slot(entry.hash, self.len as u32);
        self.append(entry);
    }

    fn append(&mut self, entry: Entry) {
        if self.len == self.chunks.len() * CHUNK {
            // A small topic needs a small chunk.
            self.chunks.push(Vec::with_capacity(if self.len == 0 { 0 } else { CHUNK }));
        }
        self.chunks[self.len / CHUNK].push(entry);
        self.len += 1;
        self.closed += usize::from(entry.is_closed);
    }

    /// The lower bits of the hash decide about the sample.
    fn first_slot(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.slots.len() - 1)
    }

    fn use_slot(&mut self, hash: u64, index: u32) {
        let mut slot = self.first_slot(hash);
        while self.slots[slot] != EMPTY {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        self.slots[slot] = index;
    }

    fn build_slots(&mut self, count: usize) {
        // Not both tables at the same time.
        self.slots = Vec::new();
        self.slots = vec![EMPTY; count];
        let chunks = std::mem::take(&mut self.chunks);
        for (index, entry) in (0..).zip(chunks.iter().flatten()) {
            self.use_slot(entry.hash, index);
        }
        self.chunks = chunks;
    }

    /// The indexes of the entries with this hash.
    fn indexes_of(&self, hash: u64) -> impl Iterator<Item = usize> {
        let mut slot = if self.slots.is_empty() { 0 } else { self.first_slot(hash) };
        let used = std::iter::from_fn(move || {
            let index = *self.slots.get(slot)?;
            slot = (slot + 1) & (self.slots.len() - 1);
            (index != EMPTY).then_some(index as usize)
        });
        used.filter(move |index| self.chunks[index / CHUNK][index % CHUNK].hash == hash)
    }

    /// The letters of a failed record.
    pub(super) fn of(&self, hash: u64) -> impl Iterator<Item = &Entry> {
        self.indexes_of(hash).map(|index| &self.chunks[index / CHUNK][index % CHUNK])
    }

    /// Closes the letters of a failed record that `closes` selects, and opens the others.
    pub(super) fn close_of(&mut self, hash: u64, closes: impl Fn(&Entry) -> bool) {
        let indexes: Vec<usize> = self.indexes_of(hash).collect();
        for index in indexes {
            let entry = &mut self.chunks[index / CHUNK][index % CHUNK];
            let is_closed = closes(entry);
            self.closed = self.closed + usize::from(is_closed) - usize::from(entry.is_closed);
            entry.is_closed = is_closed;
        }
    }

    /// Keeps some letters. Gives memory back if most are removed.
    pub(super) fn retain(&mut self, keeps: impl Fn(&Entry) -> bool, mut removed: impl FnMut(&Entry)) {
        let before = self.len;
        let chunks = std::mem::take(&mut self.chunks);
        (self.len, self.closed) = (0, 0);
        for entry in chunks.into_iter().flatten() {
            if keeps(&entry) {
                self.append(entry);
            } else {
                removed(&entry);
            }
        }
        if self.len < before {
            let slots = self.slots.len();
            self.build_slots(if self.len < slots / 8 { (slots / 4).max(MIN_SLOTS) } else { slots });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn entry(hash: u64, offset: i64) -> Entry {
        let (source_offset, failed_ms, partition, source) = (offset, UNKNOWN_TIME, 0, 0);
        let (group, version, attempt, is_closed) = (0, 0, 1, false);
        Entry { hash, offset, source_offset, failed_ms, partition, source, group, version, attempt, is_closed }
    }

    #[test]
    fn entries_are_found_by_their_hash_after_any_number_of_others_was_added_and_removed() {
        let mut entries = Entries::default();
        let mut expected: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
        for offset in 0..40_000 {
            // Hashes collide in a slot, in all bits, and not at all.
            let hash = (offset as u64 % 7_000) << if offset % 3 == 0 { 20 } else { 40 };
            entries.push(entry(hash, offset));
            expected.entry(hash).or_default().push(offset);
        }
        let check = |entries: &Entries, expected: &BTreeMap<u64, Vec<i64>>| {
            for (hash, offsets) in expected {
                let mut found: Vec<i64> = entries.of(*hash).map(|entry| entry.offset).collect();
                found.sort_unstable();
                assert_eq!(&found, offsets, "{hash}");
            }
            assert_eq!(entries.of(u64::MAX).count(), 0);
        };
        check(&entries, &expected);
        for keeps in [|offset: i64| offset % 5 != 0, |offset: i64| offset < 300] {
            let mut removed = 0;
            entries.retain(|entry| keeps(entry.offset), |_| removed += 1);
            expected.values_mut().for_each(|offsets| offsets.retain(|offset| keeps(*offset)));
            check(&entries, &expected);
            assert!(removed > 0 && entries.len() == expected.values().map(Vec::len).sum::<usize>());
        }
        assert!(entries.slots.len() < 1 << 16 && entries.slots.len() > entries.len());
    }
}
