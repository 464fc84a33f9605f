//! Each answer is that of a read of the whole topic, whatever was written and removed before.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use mapper_api::dead_letters::LetterGroup;
use mapper_core::record::Batch;
use serde::Serialize;

use super::*;
use crate::groups::GroupTable;
use crate::groups::tests::{Sample, now, push};
use crate::report::{GroupContext, group};
use crate::source_range::SourceRange;
use crate::state::{Action, Outcome, Resolution, StateChange, StateKey, StateTable, VERSION};

const PARTITIONS: i32 = 3;
const TOPIC: &str = "visits_dlq";
const FINGERPRINTS: [&str; 4] = ["aaaa000000000000", "aabb000000000000", "bbbb000000000000", "cccc000000000000"];
const PLUGINS: [&str; 3] = ["m 1.0.0 abc123", "m 1.1.0 def456", "n 2.0.0 fed999"];

/// Random numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}

/// Both topics, and what follows them.
struct World {
    random: Random,
    /// A letter in a batch of its own; `None` is a record that is no letter.
    letters: BTreeMap<(i32, i64), (i64, Batch)>,
    ends: [i64; PARTITIONS as usize],
    firsts: [i64; PARTITIONS as usize],
    states: Vec<(String, Option<Vec<u8>>)>,
    followed: OpenLetters,
}

fn state_record(key: &str, value: Option<&[u8]>) -> Batch {
    let mut batch = Batch::new("visits_dlq.state");
    batch.push((0, 0), 0, Some(key.as_bytes()), value, std::iter::empty());
    batch
}

fn add(open: &mut OpenLetters, batch: &Batch) {
    let record = batch.record(0);
    match DeadLetter::read(record) {
        Some(letter) => open.add(&letter),
        None => open.add_foreign(record.partition(), record.offset()),
    }
}

/// Selections that need no content of a letter, each twice: for a long page and a short one.
fn selections() -> Vec<Selection> {
    let text = |text: &str| Some(text.to_owned());
    let at = |seconds: i64| DateTime::from_timestamp(1_705_119_710 + seconds, 0);
    let all = Selection::default;
    [
        all(),
        Selection { group: text("aa"), ..all() },
        Selection { kind: text("trap"), ..all() },
        Selection { version: text("1.1.0"), ..all() },
        Selection { version: text("abc1"), group: text("bbbb"), ..all() },
        Selection { since: at(20), ..all() },
        Selection { until: at(20), ..all() },
        Selection { since: at(20), until: at(40), ..all() },
        Selection { source: SourceRange::parse("visits/0@3..7"), ..all() },
        Selection { source: SourceRange::parse("visits/0@5.."), kind: text("rejected"), ..all() },
        Selection { source: SourceRange::parse("visits/1@0.."), ..all() },
    ]
    .into_iter()
    .flat_map(|selection| [selection.clone(), selection])
    .collect()
}

impl World {
    fn new(seed: u64) -> Self {
        let (letters, states, followed) = (BTreeMap::new(), Vec::new(), OpenLetters::default());
        Self { random: Random(seed), letters, ends: [0; 3], firsts: [0; 3], states, followed }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..10 => self.fail(),
            10..14 => self.resolve(),
            14 => self.withdraw(),
            15..18 => self.decide(),
            18 => self.remove(),
            _ => self.compact(),
        }
    }

    fn fail(&mut self) {
        let random = &mut self.random;
        let (source, fingerprint) = (random.below(12) as i64, random.of(&FINGERPRINTS));
        let sample = Sample {
            source,
            fingerprint,
            kind: if fingerprint == FINGERPRINTS[3] { "trap" } else { "rejected" },
            plugin: random.of(&PLUGINS),
            seconds: random.below(60) as u32,
            attempt: random.below(4) as u32 + 1,
            ..Sample::default()
        };
        let partition = random.below(PARTITIONS as u64) as i32;
        let offset = self.ends[partition as usize] + random.below(2) as i64;
        self.ends[partition as usize] = offset + 1;
        let mut batch = Batch::new(TOPIC);
        if random.below(10) == 0 {
            batch.push((partition, offset), 0, None, Some(b"other"), std::iter::empty());
        } else {
            push(&mut batch, (partition, offset), &sample);
        }
        add(&mut self.followed, &batch);
        self.letters.insert((partition, offset), (source, batch));
    }

    fn write(&mut self, key: &StateKey, value: Option<&impl Serialize>) {
        let value = value.map(|value| serde_json::to_vec(value).unwrap());
        let batch = state_record(&key.to_string(), value.as_deref());
        assert!(self.followed.apply(StateChange::read(batch.record(0)).unwrap()), "no new read");
        self.states.push((key.to_string(), value));
    }

    /// As a redrive and a discard do: a resolution has the last letter of each partition.
    fn resolve(&mut self) {
        let Some((at, (source, _))) = self.letters.iter().nth(self.random.below(60) as usize) else { return };
        let (at, source) = (*at, Position { topic: "visits".to_owned(), partition: 0, offset: *source });
        let resolution = Resolution {
            v: VERSION,
            outcome: self.random.of(&[Outcome::Redriven, Outcome::FailedAgain, Outcome::Discarded]),
            letters: self.table().resolved_with(&source, [at]),
            at: "2026-11-27T10:00:00Z".to_owned(),
            by: "ada@desk".to_owned(),
            reason: None,
            version: None,
            outputs: BTreeMap::new(),
        };
        self.write(&StateKey::Letter(source), Some(&resolution));
    }

    fn withdraw(&mut self) {
        let source = Position { topic: "visits".to_owned(), partition: 0, offset: self.random.below(12) as i64 };
        self.write(&StateKey::Letter(source), None::<&Resolution>);
    }

    fn decide(&mut self) {
        let fingerprint = self.random.of(&FINGERPRINTS);
        let mark = self.random.of(&[Mark::Acknowledged, Mark::Resolved, Mark::Muted, Mark::Reopened]);
        let (at, by, reason) = (format!("{}", self.states.len()), "ada".to_owned(), "known".to_owned());
        let version = self.random.of(&[None, Some("def456")]).map(str::to_owned);
        let action = Action { mark, at, by, reason, until: None, version };
        let mut record = GroupRecord::new(action, self.followed.decision(fingerprint));
        record.ends = (0..).zip(self.ends).collect();
        record.failed_versions = vec!["abc123".to_owned()];
        let record = (self.random.below(8) > 0).then_some(record);
        self.write(&StateKey::Group(fingerprint.to_owned()), record.as_ref());
    }

    /// Retention removes the first records of a partition.
    fn remove(&mut self) {
        let partition = self.random.below(PARTITIONS as u64) as usize;
        let (first, end) = (self.firsts[partition], self.ends[partition]);
        self.firsts[partition] = first + self.random.below((end - first) as u64 / 2 + 1) as i64;
        let firsts = self.firsts;
        self.letters.retain(|(partition, offset), _| *offset >= firsts[*partition as usize]);
        self.followed.remove_before(&(0..).zip(firsts).collect());
    }

    /// Keeps the last record of each key of the state topic.
    fn compact(&mut self) {
        let last: HashMap<String, usize> =
            self.states.iter().enumerate().map(|(index, (key, _))| (key.clone(), index)).collect();
        let kept: BTreeSet<usize> = last.into_values().collect();
        let states = std::mem::take(&mut self.states);
        self.states = states.into_iter().enumerate().filter(|(at, _)| kept.contains(at)).map(|(_, of)| of).collect();
    }

    fn table(&self) -> StateTable {
        let mut table = StateTable::default();
        for (key, value) in &self.states {
            table.apply(state_record(key, value.as_deref()).record(0)).unwrap();
        }
        table.finish();
        table
    }

    /// What a host knows that starts now.
    fn restarted(&self) -> OpenLetters {
        let mut open = OpenLetters::default();
        // The order of partitions is that of Kafka's answers.
        for partition in (0..PARTITIONS).rev() {
            let of = self.letters.iter().filter(|((of, _), _)| *of == partition);
            of.for_each(|(_, (_, batch))| add(&mut open, batch));
        }
        open.remove_before(&(0..).zip(self.firsts).collect());
        for (key, value) in &self.states {
            assert!(open.apply(StateChange::read(state_record(key, value.as_deref()).record(0)).unwrap()));
        }
        open
    }

    fn check(&self, open: &OpenLetters) {
        let table = self.table();
        let letters = || self.letters.values().filter_map(|(_, batch)| DeadLetter::read(batch.record(0)));
        for (scope, includes) in [
            (Scope::Open, (|is_open| is_open) as fn(bool) -> bool),
            (Scope::Closed, |is_open| !is_open),
            (Scope::All, |_| true),
        ] {
            let selected = || letters().filter(|letter| includes(table.is_open(letter)));
            let mut read = GroupTable::new(now());
            selected().for_each(|letter| read.add(&letter, |fingerprint| table.group(fingerprint)));
            let shown = |grouped: Grouped, decision: &dyn Fn(&str) -> Option<GroupRecord>| -> Vec<LetterGroup> {
                let Grouped { groups, names, window, .. } = grouped;
                let context = GroupContext { topic: TOPIC, names: &names, window, letters: 99, now: now() };
                groups.iter().map(|(name, stats)| group(name, stats, decision(name).as_ref(), &context)).collect()
            };
            let expected = shown(read.finish(), &|name| table.group(name).cloned());
            let actual = shown(open.grouped(scope, now()).unwrap(), &|name| open.decision(name).cloned());
            assert_eq!(actual, expected, "{scope:?}");
            let after = Some((1, self.ends[1] / 3));
            for (index, selection) in selections().into_iter().enumerate() {
                let (after, limit) = if index % 2 == 0 { (None, 1000) } else { (after, 3) };
                let meant = selected().filter(|letter| selection.contains(letter));
                let all = meant.map(|letter| (letter.position().partition, letter.position().offset));
                let expected: Vec<_> = all.filter(|at| after.is_none_or(|after| *at > after)).take(limit).collect();
                assert_eq!(open.positions(scope, (&selection, None), after, limit), Some(expected), "{selection:?}");
            }
            let names = HashSet::from([FINGERPRINTS[1].to_owned()]);
            let of_name = Selection { group: Some(FINGERPRINTS[1].to_owned()), ..Selection::default() };
            let by = |selection, names| open.positions(scope, (selection, names), None, 1000);
            assert_eq!(by(&Selection::default(), Some(&names)), by(&of_name, None));
        }
        let count =
            |selects: &dyn Fn(&DeadLetter<'_>) -> bool| letters().filter(|letter| selects(letter)).count() as u64;
        let expected = Counts {
            open: count(&|letter| table.is_open(letter)),
            closed: count(&|letter| !table.is_open(letter)),
            foreign: self.letters.len() as u64 - count(&|_| true),
            removed: self.firsts.iter().sum::<i64>() as u64,
        };
        assert_eq!(open.counts(), Some(expected));
        letters().for_each(|letter| assert_eq!(open.is_open(&letter), Some(table.is_open(&letter))));
        let is_open_aa = |letter: &DeadLetter<'_>| letter.fingerprint.starts_with("aa") && table.is_open(letter);
        assert_eq!(open.count_open(|fingerprint| fingerprint.starts_with("aa")), count(&is_open_aa));
        for at in (0..PARTITIONS).flat_map(|partition| (0..9).map(move |offset| (partition, offset))) {
            let is_at = |letter: &DeadLetter<'_>| (letter.position().partition, letter.position().offset) == at;
            assert_eq!(open.contains(at), count(&is_at) == 1);
        }
        for offset in 0..12 {
            let source = Position { topic: "visits".to_owned(), partition: 0, offset };
            let of = letters().filter(|letter| letter.source.is_some_and(|at| source.is(at)));
            let expected: Vec<_> = of.map(|letter| (letter.position().partition, letter.position().offset)).collect();
            assert_eq!(open.positions_of(&source), Some(expected));
        }
    }
}

#[test]
fn answers_are_those_of_a_read_of_the_whole_topic() {
    for seed in 0..12 {
        let mut world = World::new(seed);
        for step in 0..150 {
            world.step();
            if step % 10 == 9 {
                world.check(&world.followed);
                world.check(&world.restarted());
            }
        }
    }
}

#[test]
fn nothing_is_answered_if_letters_are_missing() {
    let mut open = OpenLetters::with_limits(2, 10);
    let mut batch = Batch::new(TOPIC);
    (0..3).for_each(|offset| push(&mut batch, (0, offset), &Sample { source: offset, ..Sample::default() }));
    let letters: Vec<_> = batch.records().filter_map(DeadLetter::read).collect();
    letters[..2].iter().for_each(|letter| open.add(letter));
    assert!(open.counts().is_some() && open.grouped(Scope::Open, now()).is_some());
    open.add(&letters[2]);
    let source = Position { topic: "visits".to_owned(), partition: 0, offset: 0 };
    assert!(open.counts().is_none() && open.grouped(Scope::Open, now()).is_none());
    assert!(
        open.positions(Scope::All, (&Selection::default(), None), None, 1).is_none()
            && open.positions_of(&source).is_none()
    );
}

#[test]
fn letters_of_a_kind_are_not_known_if_a_fingerprint_has_two() {
    let mut open = OpenLetters::default();
    let mut batch = Batch::new(TOPIC);
    push(&mut batch, (0, 0), &Sample::default());
    push(&mut batch, (0, 1), &Sample { source: 1, kind: "trap", ..Sample::default() });
    let selection = Selection { kind: Some("trap".to_owned()), ..Selection::default() };
    let known = |open: &OpenLetters| open.positions(Scope::All, (&selection, None), None, 9);
    let mut letters = batch.records().filter_map(DeadLetter::read);
    open.add(&letters.next().unwrap());
    assert_eq!(known(&open), Some(vec![]));
    open.add(&letters.next().unwrap());
    assert_eq!(known(&open), None);
}
