//! The groups of open letters: a small index for each fingerprint, and the share of its letters that have an entry.

use std::collections::HashMap;

use mapper_core::dead_letter::DeadLetter;

use crate::groups::{Place, message};

/// Letters of further groups have the index [`OTHERS`].
pub(super) const MAX_GROUPS: usize = 10_000;
/// The group of the letters of groups beyond the limit.
pub(super) const OTHERS: u16 = 0;

#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) fingerprint: String,
    pub(super) kind: String,
    /// The message of the earliest letter.
    pub(super) message: String,
    /// Whether letters of another program have the same fingerprint and another kind.
    has_other_kinds: bool,
    earliest: Option<Place>,
    /// Open and closed letters.
    entries: usize,
    /// How often the entries were halved.
    halvings: u32,
}

/// Whether a letter of the failed record with this hash has an entry, if its group was halved so often.
pub(super) fn is_sampled(hash: u64, halvings: u32) -> bool {
    hash.trailing_zeros() >= halvings
}

#[derive(Debug)]
pub(super) struct Groups {
    by_fingerprint: HashMap<String, u16>,
    groups: Vec<Group>,
    /// Indexes of groups without entries.
    free: Vec<u16>,
    max: usize,
}

impl Groups {
    pub(super) fn new(max: usize) -> Self {
        Self { by_fingerprint: HashMap::new(), groups: vec![Group::default()], free: Vec::new(), max }
    }

    pub(super) fn find_or_insert(&mut self, fingerprint: &str) -> u16 {
        if let Some(index) = self.by_fingerprint.get(fingerprint) {
            return *index;
        }
        if self.by_fingerprint.len() >= self.max {
            return OTHERS;
        }
        let group = Group { fingerprint: fingerprint.to_owned(), ..Group::default() };
        let index = match self.free.pop() {
            Some(index) => {
                self.groups[usize::from(index)] = group;
                index
            }
            None => {
                self.groups.push(group);
                (self.groups.len() - 1) as u16
            }
        };
        self.by_fingerprint.insert(fingerprint.to_owned(), index);
        index
    }

    /// Whether a further group is one of the others.
    pub(super) fn is_full(&self) -> bool {
        self.by_fingerprint.len() >= self.max
    }

    /// The groups by index. Those without entries are among them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    /// Whether all letters of each group have its kind.
    pub(super) fn have_one_kind(&self) -> bool {
        !self.groups.iter().any(|group| group.has_other_kinds)
    }

    /// Whether each letter of each group has an entry.
    pub(super) fn has_all(&self) -> bool {
        !self.has_samples() && self.groups[usize::from(OTHERS)].entries == 0
    }

    pub(super) fn halvings(&self, group: u16) -> u32 {
        self.groups[usize::from(group)].halvings
    }

    pub(super) fn has_samples(&self) -> bool {
        self.groups.iter().any(|group| group.halvings > 0)
    }

    /// A letter of a group got an entry.
    pub(super) fn added(&mut self, index: u16, place: Place, letter: &DeadLetter<'_>) {
        let group = &mut self.groups[usize::from(index)];
        group.entries += 1;
        group.has_other_kinds |= group.earliest.is_some() && *group.kind != *letter.kind;
        if index != OTHERS && group.earliest.is_none_or(|earliest| place < earliest) {
            group.kind.replace_range(.., &letter.kind);
            (group.earliest, group.message) = (Some(place), message(letter));
        }
    }

    /// The entry of a letter was removed.
    pub(super) fn removed(&mut self, index: u16) {
        let group = &mut self.groups[usize::from(index)];
        group.entries -= 1;
        if group.entries == 0 && index != OTHERS {
            self.by_fingerprint.remove(&std::mem::take(group).fingerprint);
            self.free.push(index);
        }
    }

    /// Halves the sample of the group with the most entries. Returns the group, and how often it was halved.
    pub(super) fn halve_largest(&mut self) -> (u16, u32) {
        let largest = (0..).zip(&mut self.groups).max_by_key(|(_, group)| group.entries);
        let (index, group) = largest.expect("the others are a group");
        group.halvings += 1;
        (index, group.halvings)
    }
}
