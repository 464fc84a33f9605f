//! Groups dead letters by fingerprint.

use std::collections::{BTreeMap, HashMap, VecDeque};

use mapper_core::dead_letter::DeadLetter;

use crate::selection::Position;
use crate::state::GroupRecord;

/// Letters of further groups are counted together.
const MAX_GROUPS: usize = 10_000;
/// The longest message of a group, in bytes.
const MAX_MESSAGE_BYTES: usize = 2_000;
/// The number of first and of last positions of a group.
const SAMPLES: usize = 3;
/// The most versions of a group.
const MAX_VERSIONS: usize = 20;

/// A version of a plugin, owned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PluginVersion {
    pub name: String,
    pub version: String,
    pub digest: String,
}

/// Letters with the same fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStats {
    pub kind: String,
    /// The message of the first letter, cut.
    pub message: String,
    pub count: u64,
    /// When the first and the last letter failed, in milliseconds since 1970.
    pub first_ms: Option<i64>,
    pub last_ms: Option<i64>,
    /// The highest number of failures of a record.
    pub max_attempt: u32,
    /// The number of letters of each version of the plugin.
    pub versions: BTreeMap<PluginVersion, u64>,
    /// The first letters.
    pub first: Vec<Position>,
    /// The last letters behind the first ones.
    pub last: VecDeque<Position>,
    /// For each partition of the failed records, the first and the last offset.
    pub spans: BTreeMap<(String, i32), (i64, i64)>,
    /// The letters that show that a resolved group fails again.
    pub regressions: u64,
}

/// Groups of dead letters.
#[derive(Debug, Clone, Default)]
pub struct GroupTable {
    groups: HashMap<String, GroupStats>,
    letters: u64,
    /// Letters of groups beyond the limit.
    others: u64,
}

impl GroupTable {
    /// Adds a letter. `record` has the decisions about a group.
    pub fn add<'s>(&mut self, letter: &DeadLetter<'_>, record: impl FnOnce(&str) -> Option<&'s GroupRecord>) {
        self.letters += 1;
        let is_known = self.groups.contains_key(&*letter.fingerprint);
        if !is_known && self.groups.len() >= MAX_GROUPS {
            self.others += 1;
            return;
        }
        if !is_known {
            self.groups.insert(letter.fingerprint.clone().into_owned(), GroupStats::new(letter));
        }
        let Some(group) = self.groups.get_mut(&*letter.fingerprint) else { return };
        group.add(letter);
        group.regressions += u64::from(record(&letter.fingerprint).is_some_and(|record| record.is_regression(letter)));
    }

    /// The number of letters in all groups.
    pub fn letters(&self) -> u64 {
        self.letters
    }

    /// The number of letters of groups beyond the limit.
    pub fn others(&self) -> u64 {
        self.others
    }

    /// The groups with their fingerprints, the largest first.
    pub fn into_sorted(self) -> Vec<(String, GroupStats)> {
        let mut groups: Vec<_> = self.groups.into_iter().collect();
        groups.sort_by(|(one, a), (other, b)| b.count.cmp(&a.count).then_with(|| one.cmp(other)));
        groups
    }
}

impl GroupStats {
    fn new(letter: &DeadLetter<'_>) -> Self {
        let message = letter.message();
        Self {
            kind: letter.kind.clone().into_owned(),
            message: cut(&message, MAX_MESSAGE_BYTES).to_owned(),
            count: 0,
            first_ms: None,
            last_ms: None,
            max_attempt: 0,
            versions: BTreeMap::new(),
            first: Vec::new(),
            last: VecDeque::new(),
            spans: BTreeMap::new(),
            regressions: 0,
        }
    }

    fn add(&mut self, letter: &DeadLetter<'_>) {
        self.count += 1;
        self.max_attempt = self.max_attempt.max(letter.attempt);
        if let Some(failed_ms) = letter.failed_at_ms() {
            self.first_ms = Some(self.first_ms.map_or(failed_ms, |first| first.min(failed_ms)));
            self.last_ms = Some(self.last_ms.map_or(failed_ms, |last| last.max(failed_ms)));
        }
        self.add_version(letter);
        if self.first.len() < SAMPLES {
            self.first.push(letter.position().into());
        } else {
            if self.last.len() == SAMPLES {
                self.last.pop_front();
            }
            self.last.push_back(letter.position().into());
        }
        let Some(source) = letter.source else { return };
        // A lookup without an allocation: nearly all letters are of a known partition.
        let known = self
            .spans
            .iter_mut()
            .find(|((topic, partition), _)| *partition == source.partition && topic == source.topic);
        match known {
            Some((_, (first, last))) => (*first, *last) = ((*first).min(source.offset), (*last).max(source.offset)),
            None => {
                self.spans.insert((source.topic.to_owned(), source.partition), (source.offset, source.offset));
            }
        }
    }

    fn add_version(&mut self, letter: &DeadLetter<'_>) {
        let Some(plugin) = letter.plugin else { return };
        let known = self.versions.iter_mut().find(|(version, _)| version.digest == plugin.digest);
        if let Some((_, count)) = known {
            *count += 1;
        } else if self.versions.len() < MAX_VERSIONS {
            let (name, version) = (plugin.name.to_owned(), plugin.version.to_owned());
            self.versions.insert(PluginVersion { name, version, digest: plugin.digest.to_owned() }, 1);
        }
    }

    /// The number of offsets between the first and the last failed record, over all partitions.
    pub fn span(&self) -> u64 {
        self.spans.values().map(|(first, last)| (last - first) as u64 + 1).sum()
    }
}

/// The beginning of a text with at most this many bytes.
fn cut(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

#[cfg(test)]
pub(crate) mod tests {
    use mapper_core::record::Batch;

    use super::*;

    pub(crate) struct Sample<'a> {
        pub(crate) source: i64,
        pub(crate) kind: &'a str,
        pub(crate) fingerprint: &'a str,
        pub(crate) plugin: &'a str,
        pub(crate) message: &'a str,
        pub(crate) value: &'a str,
        pub(crate) key: Option<&'a str>,
        pub(crate) seconds: u32,
        pub(crate) attempt: u32,
    }

    impl Default for Sample<'_> {
        fn default() -> Self {
            Self {
                source: 0,
                kind: "rejected",
                fingerprint: "aaaa000000000000",
                plugin: "m 1.0.0 abc123",
                message: "no",
                value: "{}",
                key: None,
                seconds: 0,
                attempt: 1,
            }
        }
    }

    /// Letters in the partition 0 of `visits_dlq`.
    pub(crate) fn batch(samples: &[Sample<'_>]) -> Batch {
        let mut batch = Batch::new("visits_dlq");
        for (offset, sample) in samples.iter().enumerate() {
            let Sample { source, kind, fingerprint, plugin, message, value, key, seconds, attempt } = sample;
            let (minutes, seconds) = (21 + seconds / 60, 50 + seconds % 60);
            let value = serde_json::json!({"input_json": value, "error_message": message});
            let value = format!(
                "{{\"processing_time\": \"2024-01-13T04:{minutes}:{seconds}.000000\", {}",
                &value.to_string()[1..]
            );
            let (source, failure) = (format!("visits/0@{source}"), format!("{kind} {fingerprint}"));
            let attempt = attempt.to_string();
            let headers = [
                ("mapper-host.source", &*source),
                ("mapper-host.failure", &*failure),
                ("mapper-host.plugin", plugin),
                ("mapper-host.attempt", &*attempt),
            ];
            let headers = headers.iter().map(|(name, value)| (name.as_bytes(), Some(value.as_bytes())));
            batch.push((0, offset as i64), 7, key.map(str::as_bytes), Some(value.as_bytes()), headers);
        }
        batch
    }

    fn table(samples: &[Sample<'_>]) -> GroupTable {
        let mut table = GroupTable::default();
        batch(samples).records().for_each(|record| table.add(&DeadLetter::read(record).unwrap(), |_| None));
        table
    }

    #[test]
    fn letters_with_the_same_fingerprint_are_one_group() {
        let groups = table(&[
            Sample { source: 5, message: "first", ..Sample::default() },
            Sample { source: 1, fingerprint: "bbbb000000000000", kind: "trap", ..Sample::default() },
            Sample {
                source: 9,
                message: "second",
                seconds: 7,
                attempt: 3,
                plugin: "m 2.0.0 def456",
                ..Sample::default()
            },
        ]);
        assert_eq!((groups.letters(), groups.others()), (3, 0));
        let groups = groups.into_sorted();
        let (fingerprint, group) = &groups[0];
        assert_eq!((fingerprint.as_str(), group.count, &*group.message), ("aaaa000000000000", 2, "first"));
        assert_eq!((group.first_ms, group.last_ms), (Some(1_705_119_710_000), Some(1_705_119_717_000)));
        assert_eq!((group.max_attempt, group.versions.len(), group.span()), (3, 2, 5));
        assert_eq!(groups[1].1.kind, "trap");
    }

    #[test]
    fn group_keeps_its_first_and_last_positions() {
        let samples: Vec<Sample<'_>> = (0..9).map(|source| Sample { source, ..Sample::default() }).collect();
        let groups = table(&samples).into_sorted();
        let offsets =
            |positions: &mut dyn Iterator<Item = &Position>| positions.map(|at| at.offset).collect::<Vec<_>>();
        let group = &groups[0].1;
        assert_eq!(offsets(&mut group.first.iter()), [0, 1, 2]);
        assert_eq!(offsets(&mut group.last.iter()), [6, 7, 8]);
    }

    #[test]
    fn groups_beyond_the_limit_are_counted_together() {
        let names: Vec<String> = (0..MAX_GROUPS + 5).map(|number| format!("{number:016x}")).collect();
        let samples: Vec<_> = names.iter().map(|fingerprint| Sample { fingerprint, ..Sample::default() }).collect();
        let table = table(&samples);
        assert_eq!((table.letters(), table.others()), ((MAX_GROUPS + 5) as u64, 5));
        assert_eq!(table.into_sorted().len(), MAX_GROUPS);
    }
}
