//! Groups of failures by fingerprint, each with an example.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use mapper_core::record::Record;
use mapper_core::verdict::{Failure, FailureKind};

/// The maximum number of groups. Failures of other groups are counted together.
const MOST_GROUPS: usize = 100;
/// Bytes of a message, or of an input, that an example keeps.
const EXAMPLE_BYTES: usize = 300;

/// One of the failures of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The topic of the record.
    pub topic: String,
    /// The partition of the record.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The message of the failure, cut.
    pub message: String,
    /// The value of the record, cut. Bytes that are not UTF-8 are replaced. `None` is null.
    pub input: Option<String>,
}

/// Failures with the same fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The kind of the failures.
    pub kind: FailureKind,
    /// The number of failures.
    pub count: u64,
    /// When the first one was processed.
    pub first_seen: DateTime<Utc>,
    /// When the last one was processed.
    pub last_seen: DateTime<Utc>,
    /// One of the last failures.
    pub example: Example,
}

/// The latest groups by fingerprint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    groups: HashMap<String, Group>,
    others: u64,
}

impl Failures {
    /// A record failed.
    pub fn note(&mut self, fingerprint: &str, record: Record<'_>, failure: &Failure<'_>, now: DateTime<Utc>) {
        if let Some(group) = self.groups.get_mut(fingerprint) {
            group.count += 1;
            group.last_seen = now;
            return;
        }
        if self.groups.len() >= MOST_GROUPS {
            self.others += 1;
            return;
        }
        // A cut character becomes a replacement character.
        let text = |value: &[u8]| String::from_utf8_lossy(&value[..value.len().min(EXAMPLE_BYTES + 1)]).into_owned();
        let example = Example {
            topic: record.topic().to_owned(),
            partition: record.partition(),
            offset: record.offset(),
            message: cut(&failure.message),
            input: record.value().map(|value| cut(&text(value))),
        };
        let group = Group { kind: failure.kind, count: 1, first_seen: now, last_seen: now, example };
        self.groups.insert(fingerprint.to_owned(), group);
    }

    /// Adds later failures. The groups without a failure for the longest time are dropped.
    pub fn merge(&mut self, later: Self) {
        self.others += later.others;
        for (fingerprint, group) in later.groups {
            match self.groups.get_mut(&fingerprint) {
                Some(known) => {
                    *known = Group { count: known.count + group.count, first_seen: known.first_seen, ..group }
                }
                None => {
                    self.groups.insert(fingerprint, group);
                }
            }
        }
        while self.groups.len() > MOST_GROUPS {
            let oldest = self.groups.iter().min_by_key(|(_, group)| group.last_seen);
            let Some(fingerprint) = oldest.map(|(fingerprint, _)| fingerprint.clone()) else { return };
            self.others += self.groups.remove(&fingerprint).map_or(0, |group| group.count);
        }
    }

    /// All groups with their fingerprints, in any order.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.groups.iter().map(|(fingerprint, group)| (&**fingerprint, group))
    }

    /// All groups with their fingerprints, the latest first.
    pub fn latest(&self) -> Vec<(&str, &Group)> {
        let mut groups: Vec<_> = self.groups().collect();
        groups.sort_by_key(|(fingerprint, group)| (std::cmp::Reverse(group.last_seen), *fingerprint));
        groups
    }

    /// The number of failures in dropped groups.
    pub fn others(&self) -> u64 {
        self.others
    }
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(EXAMPLE_BYTES);
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mapper_core::record::Batch;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn noted(failures: &mut Failures, fingerprint: &str, offset: i64, seconds: i64) {
        let mut batch = Batch::new("visits");
        batch.push((1, offset), 0, None, Some(b"{\xff"), std::iter::empty());
        let failure = Failure::new(FailureKind::Rejected, format!("no. {offset}"));
        failures.note(fingerprint, batch.record(0), &failure, at(seconds));
    }

    #[test]
    fn group_has_the_count_and_a_recent_example() {
        let mut all = Failures::default();
        for (offset, seconds) in [(1, 10), (2, 11)] {
            noted(&mut all, "a", offset, seconds);
        }
        let mut later = Failures::default();
        noted(&mut later, "a", 3, 20);
        noted(&mut later, "b", 4, 21);
        all.merge(later);
        let [(b, _), (a, group)] = all.latest()[..] else { panic!("{all:?}") };
        assert_eq!((a, b), ("a", "b"));
        let example = Example {
            topic: "visits".into(),
            partition: 1,
            offset: 3,
            message: "no. 3".into(),
            input: Some("{\u{fffd}".into()),
        };
        let whole = Group { kind: FailureKind::Rejected, count: 3, first_seen: at(10), last_seen: at(20), example };
        assert_eq!(group, &whole);
    }

    #[test]
    fn groups_are_bounded_and_all_failures_are_counted() {
        let mut all = Failures::default();
        for number in 0..250 {
            let mut later = Failures::default();
            noted(&mut later, &format!("{number}"), number, number);
            all.merge(later);
        }
        assert_eq!((all.latest().len(), all.others()), (MOST_GROUPS, 150));
        assert_eq!(all.latest()[0].0, "249");
        let mut many = Failures::default();
        for number in 0..250 {
            noted(&mut many, &format!("{number}"), number, 300);
        }
        assert_eq!((many.latest().len(), many.others()), (MOST_GROUPS, 150));
        all.merge(many);
        let counted: u64 = all.latest().iter().map(|(_, group)| group.count).sum();
        assert_eq!((all.latest().len(), counted + all.others()), (MOST_GROUPS, 500));
    }

    #[test]
    fn example_is_cut() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"ä".repeat(EXAMPLE_BYTES)), format!("{}…", "ä".repeat(EXAMPLE_BYTES / 2)));
    }
}
