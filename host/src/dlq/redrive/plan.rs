//! The letters that a redrive takes, found in a first pass over the dead-letter topic.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use mapper_core::dead_letter::DeadLetter;
use mapper_core::record::Positions;
use mapper_core::shutdown::Halt;

use super::super::letters;
use super::super::states::Access;
use crate::config::LetterFilter;

/// The position of a letter in its topic: partition and offset.
pub(super) type LetterAt = (i32, i64);

/// The letters that a redrive takes.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// How many there are.
    pub(super) total: u64,
    /// Older letters of the same record, by the letter that is taken. They are closed with it.
    pub(super) older: HashMap<LetterAt, Vec<LetterAt>>,
    /// All older letters.
    pub(super) superseded: HashSet<LetterAt>,
    /// The keys of all letters, by their hash, with the timestamp of the oldest record.
    pub(super) keys: HashMap<u64, i64>,
    /// Keys whose letters are not in the order of their records.
    pub(super) unordered_keys: HashSet<u64>,
    /// Letters whose records have failed too often.
    pub(super) exhausted: u64,
    /// The topics of the failed records.
    pub(super) sources: Vec<String>,
    /// The fingerprints of all letters of the dead-letter topic.
    pub(super) known: HashSet<String>,
    /// Only letters of these groups are taken.
    pub(super) groups: Option<HashSet<String>>,
    /// The end offsets of the dead-letter topic. Later letters are not taken.
    pub(super) ends: Positions,
}

/// Where the last letter of a key was found.
struct LastOfKey {
    letter_partition: i32,
    source: (u64, i32, i64),
}

pub(super) fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Whether a redrive takes a letter, as far as the letter itself decides.
pub(super) fn is_exhausted(letter: &DeadLetter<'_>, max_attempts: u32) -> bool {
    letter.attempt >= max_attempts
}

impl Plan {
    /// Reads the topic once.
    ///
    /// # Errors
    /// If Kafka refuses a read.
    pub(super) fn read(access: &Access, filter: &LetterFilter, max_attempts: u32) -> Result<Self, Halt> {
        let groups = letters::groups_in_state(access, filter)?;
        let mut plan = Self::default();
        // The newest letter of each record: by the hash of its position, the letter and its number of failures.
        let mut newest: HashMap<(u64, u64), (LetterAt, u32)> = HashMap::new();
        let mut last_of_key: HashMap<u64, LastOfKey> = HashMap::new();
        let scanned = letters::select_in(access, filter, groups.as_ref(), |letter, is_open| {
            if !plan.known.contains(&*letter.fingerprint) {
                plan.known.insert(letter.fingerprint.clone().into_owned());
            }
            if !is_open {
                return Ok(ControlFlow::Continue(()));
            }
            if is_exhausted(letter, max_attempts) {
                plan.exhausted += 1;
                return Ok(ControlFlow::Continue(()));
            }
            let (source, at) = (letter.source_or_self(), letter.position());
            let at = (at.partition, at.offset);
            let identity = (hash((0, source)), hash((1, source)));
            match newest.get_mut(&identity) {
                None => {
                    newest.insert(identity, (at, letter.attempt));
                    plan.total += 1;
                }
                Some((known, attempt)) => {
                    let older = if (letter.attempt, at) > (*attempt, *known) {
                        let replaced = std::mem::replace(known, at);
                        *attempt = letter.attempt;
                        let mut inherited = plan.older.remove(&replaced).unwrap_or_default();
                        inherited.push(replaced);
                        plan.older.entry(at).or_default().append(&mut inherited);
                        replaced
                    } else {
                        plan.older.entry(*known).or_default().push(at);
                        at
                    };
                    plan.superseded.insert(older);
                }
            }
            if !plan.sources.iter().any(|known| known == source.topic) {
                plan.sources.push(source.topic.to_owned());
            }
            if let Some(key) = letter.key() {
                let key = hash(key);
                if let Some(timestamp) = letter.source_timestamp_ms() {
                    let oldest = plan.keys.entry(key).or_insert(timestamp);
                    *oldest = timestamp.min(*oldest);
                }
                let of_key =
                    LastOfKey { letter_partition: at.0, source: (hash(source.topic), source.partition, source.offset) };
                if last_of_key.insert(key, of_key).is_some_and(|before| !before.precedes(at.0, letter)) {
                    plan.unordered_keys.insert(key);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        (plan.ends, plan.groups) = (scanned.ends, groups);
        Ok(plan)
    }
}

impl LastOfKey {
    /// Whether a later letter of the key follows in the order of the records.
    fn precedes(&self, letter_partition: i32, letter: &DeadLetter<'_>) -> bool {
        let source = letter.source_or_self();
        let (topic, partition, offset) = self.source;
        let is_same_partition = (topic, partition) == (hash(source.topic), source.partition);
        self.letter_partition == letter_partition && is_same_partition && offset <= source.offset
    }
}
