//! A map with a limited number of entries, which drops those that were not used for the longest time.

use std::collections::HashMap;
use std::hash::Hash;

pub(super) struct Bounded<K, V> {
    most: usize,
    uses: u64,
    /// Each value with its last use.
    entries: HashMap<K, (u64, V)>,
}

impl<K: Hash + Eq + Clone, V> Bounded<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, uses: 0, entries: HashMap::new() }
    }

    pub(super) fn get(&mut self, key: &K) -> Option<&V> {
        self.uses += 1;
        let (last_use, value) = self.entries.get_mut(key)?;
        *last_use = self.uses;
        Some(value)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.entries.len() >= self.most && !self.entries.contains_key(&key) {
            self.drop_oldest();
        }
        self.uses += 1;
        self.entries.insert(key, (self.uses, value));
    }

    /// Drops a quarter at once: to find the oldest needs a look at all.
    fn drop_oldest(&mut self) {
        let mut last_uses: Vec<u64> = self.entries.values().map(|(last_use, _)| *last_use).collect();
        let oldest = last_uses.len() / 4;
        let (_, limit, _) = last_uses.select_nth_unstable(oldest);
        let limit = *limit;
        self.entries.retain(|_, (last_use, _)| *last_use > limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_are_not_used_are_dropped_first() {
        let mut bounded = Bounded::new(8);
        for key in 0..8 {
            bounded.insert(key, key);
        }
        assert_eq!(bounded.get(&0), Some(&0));
        bounded.insert(8, 8);
        assert_eq!((0..9).filter(|key| bounded.entries.contains_key(key)).collect::<Vec<_>>(), [0, 4, 5, 6, 7, 8]);
        bounded.insert(8, 9);
        assert_eq!((bounded.entries.len(), bounded.get(&8)), (6, Some(&9)));
    }

    #[test]
    fn number_of_entries_is_limited() {
        let mut bounded = Bounded::new(3);
        for key in 0..1000 {
            bounded.insert(key, ());
            assert!(bounded.entries.len() <= 3 && bounded.get(&key).is_some());
        }
    }
}
