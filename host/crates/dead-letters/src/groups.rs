//! Groups dead letters by fingerprint.

mod names;
mod stats;

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use mapper_core::dead_letter::DeadLetter;

use crate::state::GroupRecord;

pub use names::{LetterFacts, NO_PARTITION, NO_VERSION, Names, PluginVersion};
pub use stats::{GroupStats, INTERVAL_SECONDS, INTERVALS, Place, TrendWindow};

/// Letters of further groups are counted together.
const MAX_GROUPS: usize = 10_000;
/// The longest message of a group, in bytes.
const MAX_MESSAGE_BYTES: usize = 2_000;

/// Groups of dead letters.
#[derive(Debug, Clone)]
pub struct GroupTable {
    groups: HashMap<String, GroupStats>,
    names: Names,
    window: TrendWindow,
    letters: u64,
    /// Letters of groups beyond the limit.
    others: u64,
}

/// The groups of a table.
#[derive(Debug, Clone)]
pub struct Grouped {
    /// With their fingerprints, the largest first.
    pub groups: Vec<(String, GroupStats)>,
    /// What their statistics refer to.
    pub names: Names,
    pub window: TrendWindow,
    /// The number of letters of groups beyond the limit.
    pub others: u64,
}

impl GroupTable {
    /// Without groups. Their trends end at this time.
    pub fn new(now: DateTime<Utc>) -> Self {
        let window = TrendWindow::ending_at(now);
        Self { groups: HashMap::new(), names: Names::default(), window, letters: 0, others: 0 }
    }

    /// Adds a letter. `record` has the decisions about a group.
    pub fn add<'s>(&mut self, letter: &DeadLetter<'_>, record: impl FnOnce(&str) -> Option<&'s GroupRecord>) {
        self.letters += 1;
        let is_known = self.groups.contains_key(&*letter.fingerprint);
        if !is_known && self.groups.len() >= MAX_GROUPS {
            self.others += 1;
            return;
        }
        if !is_known {
            let stats = GroupStats::new(&letter.kind, message(letter));
            self.groups.insert(letter.fingerprint.clone().into_owned(), stats);
        }
        let Some(group) = self.groups.get_mut(&*letter.fingerprint) else { return };
        let facts = self.names.facts(letter);
        if group.add(&facts, self.window) {
            group.message = message(letter);
        }
        group.regressions += u64::from(record(&letter.fingerprint).is_some_and(|record| record.is_regression(letter)));
    }

    /// The number of letters in all groups.
    pub fn letters(&self) -> u64 {
        self.letters
    }

    pub fn finish(self) -> Grouped {
        let Self { groups, names, window, others, .. } = self;
        let mut groups: Vec<_> = groups.into_iter().collect();
        sort(&mut groups);
        Grouped { groups, names, window, others }
    }
}

/// Sorts groups, the largest first.
pub(crate) fn sort(groups: &mut [(String, GroupStats)]) {
    groups.sort_by(|(one, a), (other, b)| b.count.cmp(&a.count).then_with(|| one.cmp(other)));
}

/// The message of a letter, cut.
pub(crate) fn message(letter: &DeadLetter<'_>) -> String {
    let message = letter.message();
    message[..message.floor_char_boundary(MAX_MESSAGE_BYTES)].to_owned()
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
        samples.iter().enumerate().for_each(|(offset, sample)| push(&mut batch, (0, offset as i64), sample));
        batch
    }

    /// Adds a letter at a partition and an offset.
    pub(crate) fn push(batch: &mut Batch, at: (i32, i64), sample: &Sample<'_>) {
        let Sample { source, kind, fingerprint, plugin, message, value, key, seconds, attempt } = sample;
        let seconds = 4 * 3600 + 21 * 60 + 50 + seconds;
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let value = serde_json::json!({"input_json": value, "error_message": message});
        let value = format!(
            "{{\"processing_time\": \"2024-01-13T{hours:02}:{minutes:02}:{seconds:02}.000000\", {}",
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
        batch.push(at, 7, key.map(str::as_bytes), Some(value.as_bytes()), headers);
    }

    /// A minute after the first sample.
    pub(crate) fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_705_119_710 + 60, 0).unwrap()
    }

    fn table(samples: &[Sample<'_>]) -> GroupTable {
        let mut table = GroupTable::new(now());
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
        assert_eq!(groups.letters(), 3);
        let Grouped { groups, others, .. } = groups.finish();
        assert_eq!(others, 0);
        let (fingerprint, group) = &groups[0];
        assert_eq!((fingerprint.as_str(), group.count, &*group.message), ("aaaa000000000000", 2, "first"));
        assert_eq!((group.first_ms, group.last_ms), (Some(1_705_119_710_000), Some(1_705_119_717_000)));
        assert_eq!((group.max_attempt, group.versions().len(), group.span()), (3, 2, 5));
        assert_eq!(groups[1].1.kind, "trap");
    }

    #[test]
    fn group_keeps_the_places_of_its_earliest_and_latest_letters_in_any_order_of_reading() {
        let samples: Vec<Sample<'_>> =
            (0..9).map(|source| Sample { source, seconds: 8 - source as u32, ..Sample::default() }).collect();
        let batch = batch(&samples);
        let offsets = |places: &[Place]| places.iter().map(|place| place.offset).collect::<Vec<_>>();
        for order in [[0, 1, 2, 3, 4, 5, 6, 7, 8], [8, 7, 6, 5, 4, 3, 2, 1, 0], [4, 8, 0, 6, 2, 7, 1, 5, 3]] {
            let mut table = GroupTable::new(now());
            order.into_iter().for_each(|index| table.add(&DeadLetter::read(batch.record(index)).unwrap(), |_| None));
            let groups = table.finish().groups;
            assert_eq!((offsets(groups[0].1.first()), offsets(groups[0].1.last())), (vec![8, 7, 6], vec![2, 1, 0]));
        }
    }

    #[test]
    fn trend_counts_the_letters_of_each_hour_of_a_day() {
        // 04:21:50, and 04:59:59, 05:00:00.
        let samples =
            [0, 2289, 2290].map(|seconds| Sample { source: i64::from(seconds), seconds, ..Sample::default() });
        let at = |hour: i64| {
            let mut table = GroupTable::new(DateTime::from_timestamp(1_705_118_400 + hour * 3600 + 1799, 0).unwrap());
            batch(&samples).records().for_each(|record| table.add(&DeadLetter::read(record).unwrap(), |_| None));
            let Grouped { groups, window, .. } = table.finish();
            assert_eq!(window.from().timestamp(), 1_705_118_400 + (hour - 23) * 3600);
            groups[0].1.trend
        };
        assert_eq!((at(0)[23], at(0)[..23].iter().sum::<u64>()), (2, 0), "a letter of the future has no interval");
        assert_eq!((at(1)[22], at(1)[23]), (2, 1));
        assert_eq!((at(23)[0], at(23)[1], at(24)[0]), (2, 1, 1));
        assert_eq!(at(25).iter().sum::<u64>(), 0);
    }

    #[test]
    fn groups_beyond_the_limit_are_counted_together() {
        let names: Vec<String> = (0..MAX_GROUPS + 5).map(|number| format!("{number:016x}")).collect();
        let samples: Vec<_> = names.iter().map(|fingerprint| Sample { fingerprint, ..Sample::default() }).collect();
        let table = table(&samples);
        assert_eq!(table.letters(), (MAX_GROUPS + 5) as u64);
        let Grouped { groups, others, .. } = table.finish();
        assert_eq!((groups.len(), others), (MAX_GROUPS, 5));
    }
}
