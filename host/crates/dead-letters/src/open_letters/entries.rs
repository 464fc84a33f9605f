//! The entries of open letters, by their failed records.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;

/// An open letter, without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) offset: i64,
    /// When it failed, in seconds since 1970; 0 if that is unknown.
    pub(super) failed_s: u32,
    pub(super) partition: i32,
    /// The index of its group.
    pub(super) group: u16,
    /// The index of the version of the plugin.
    pub(super) version: u16,
}

/// Nearly all failed records have one open letter.
#[derive(Debug, Default)]
pub(super) struct Entries {
    single: HashMap<u64, Entry>,
    /// Further letters of a failed record.
    more: HashMap<u64, Vec<Entry>>,
    in_more: usize,
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.single.len() + self.in_more
    }

    /// `hash` is that of the failed record.
    pub(super) fn insert(&mut self, hash: u64, entry: Entry) {
        match self.single.entry(hash) {
            MapEntry::Vacant(vacant) => drop(vacant.insert(entry)),
            MapEntry::Occupied(_) => {
                self.more.entry(hash).or_default().push(entry);
                self.in_more += 1;
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.single.values().chain(self.more.values().flatten())
    }

    /// Keeps some letters of a failed record.
    pub(super) fn retain_of(&mut self, hash: u64, keeps: impl Fn(&Entry) -> bool, mut removed: impl FnMut(&Entry)) {
        if let MapEntry::Occupied(occupied) = self.single.entry(hash)
            && !keeps(occupied.get())
        {
            removed(&occupied.remove());
        }
        if self.in_more > 0
            && let MapEntry::Occupied(mut occupied) = self.more.entry(hash)
        {
            let before = occupied.get().len();
            occupied.get_mut().retain(|entry| {
                keeps(entry) || {
                    removed(entry);
                    false
                }
            });
            self.in_more -= before - occupied.get().len();
            if occupied.get().is_empty() {
                occupied.remove();
            }
        }
    }

    /// Keeps some letters. Gives memory back if most are removed.
    pub(super) fn retain(&mut self, keeps: impl Fn(u64, &Entry) -> bool, mut removed: impl FnMut(&Entry)) {
        self.single.retain(|hash, entry| {
            keeps(*hash, entry) || {
                removed(entry);
                false
            }
        });
        self.more.retain(|hash, entries| {
            entries.retain(|entry| {
                keeps(*hash, entry) || {
                    removed(entry);
                    false
                }
            });
            !entries.is_empty()
        });
        self.in_more = self.more.values().map(Vec::len).sum();
        if self.single.len() < self.single.capacity() / 8 {
            self.single.shrink_to_fit();
        }
    }
}
