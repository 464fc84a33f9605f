//! What must hold, checked with each change that a reader of committed records and offsets can see.

use std::collections::{BTreeMap, BTreeSet};

use mapper_core::counts::Counts;
use mapper_core::record::{Position, Positions};
use mapper_pipeline::simulation::{Change, StoredRecord};

use crate::guest::{TOPICS, outputs};
use crate::ledger::{LEDGER, LedgerChecker};
use crate::scenario::{Kind, Scenario};

/// The header that names the version which made a record.
pub(crate) const MADE_BY: &str = "mapper-host.plugin.digest";
/// The route of the dead-letter topic.
pub(crate) const LETTERS: usize = TOPICS.len();

/// A record that was made of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) route: usize,
    pub(crate) client: usize,
    pub(crate) version: String,
}

impl Made {
    fn new(route: usize, record: &StoredRecord) -> Self {
        Self { route, client: record.process, version: record.header(MADE_BY).to_owned() }
    }
}

/// What a committed transaction did, to be compared with what its host counted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tally {
    next: Positions,
    records_in: u64,
    records_out: u64,
    dead_letters: u64,
}

impl Tally {
    fn compare(&self, counted: &Self) -> Result<(), String> {
        if self == counted { Ok(()) } else { Err(format!("a host counted {counted:?}; committed is {self:?}")) }
    }
}

/// Follows the cluster, and knows what every input must lead to.
pub(crate) struct Checker {
    is_exactly_once: bool,
    may_always_fail: bool,
    inputs: BTreeMap<Position, Kind>,
    committed: Positions,
    made: BTreeMap<Position, Vec<Made>>,
    tallies: Vec<Tally>,
    /// What hosts counted of transactions whose markers are not written yet.
    counted: Vec<Tally>,
    /// `None` without a ledger.
    ledger: Option<LedgerChecker>,
    /// Commits of offsets that were committed before.
    repetitions: u64,
    /// Whether a committed offset has moved back.
    has_gone_back: bool,
}

impl Checker {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let guests = scenario.guests;
        let is_deadly = scenario.kinds.contains(&Kind::Deadly) || scenario.faults.crash > 0.0;
        Self {
            is_exactly_once: scenario.is_exactly_once,
            may_always_fail: guests.trap > 0.0 || guests.faulty > 0.0 || is_deadly,
            inputs: BTreeMap::new(),
            committed: Positions::new(),
            made: BTreeMap::new(),
            tallies: Vec::new(),
            counted: Vec::new(),
            ledger: scenario.has_ledger.then(|| LedgerChecker::new(scenario.is_exactly_once)),
            repetitions: 0,
            has_gone_back: false,
        }
    }

    /// A record of the input topic.
    pub(crate) fn add_input(&mut self, position: Position, kind: Kind) {
        self.inputs.insert(position, kind);
    }

    /// The number of inputs.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// The first input of each partition that is not committed.
    pub(crate) fn uncommitted(&self) -> Option<Position> {
        let is_open = |(partition, offset): &Position| self.committed.get(partition).is_none_or(|next| offset >= next);
        self.inputs.keys().copied().find(is_open)
    }

    /// Takes in what has changed.
    pub(crate) fn change(&mut self, change: &Change) -> Result<(), String> {
        match change {
            Change::Record { route: LEDGER, record } => {
                let ledger = self.ledger.as_mut().ok_or("there is no ledger topic")?;
                ledger.add_record(record, &self.inputs)
            }
            Change::Record { route, record } => self.add_made(*route, record),
            Change::Transaction { records, offsets } => {
                let (ledger, records): (Vec<_>, Vec<_>) =
                    records.iter().cloned().partition(|(route, _)| *route == LEDGER);
                for (route, record) in &records {
                    self.add_made(*route, record)?;
                }
                self.check_transaction(&records, offsets)?;
                if let Some(checker) = &mut self.ledger {
                    let ledger: Vec<StoredRecord> = ledger.into_iter().map(|(_, record)| record).collect();
                    checker.check_transaction(&ledger, &records, offsets, &self.inputs)?;
                }
                self.note_repetition(offsets);
                self.move_offsets(offsets)
            }
            Change::Offsets(offsets) => {
                self.note_repetition(offsets);
                self.move_offsets(offsets)
            }
        }
    }

    fn note_repetition(&mut self, offsets: &Positions) {
        let is_back = |(partition, next): (&i32, &i64)| self.committed.get(partition).is_some_and(|known| next < known);
        self.has_gone_back |= !self.is_exactly_once && offsets.iter().any(is_back);
        if self.has_gone_back {
            // A late commit has moved an offset back. The records after it are committed again, in any number of commits.
            return;
        }
        let is_new = |(partition, next): (&i32, &i64)| self.committed.get(partition).is_none_or(|known| next > known);
        self.repetitions += u64::from(!offsets.iter().any(is_new));
    }

    /// A commit of what is committed already follows only from a commit whose answer was not received.
    pub(crate) fn check_repetitions(&self, unanswered: u64) -> Result<(), String> {
        if self.repetitions <= unanswered {
            return Ok(());
        }
        Err(format!("{} commits had nothing new, and {unanswered} requests had no answer", self.repetitions))
    }

    fn add_made(&mut self, route: usize, record: &StoredRecord) -> Result<(), String> {
        let position = record.input.ok_or("an output of no input")?;
        self.made.entry(position).or_default().push(Made::new(route, record));
        Ok(())
    }

    /// The transaction holds what is made of the inputs whose offsets it commits, and nothing else, all of one version.
    fn check_transaction(&mut self, records: &[(usize, StoredRecord)], offsets: &Positions) -> Result<(), String> {
        let versions: BTreeSet<&str> = records.iter().map(|(_, record)| record.header(MADE_BY)).collect();
        if versions.len() > 1 {
            return Err(format!("one transaction has outputs of several versions: {versions:?}"));
        }
        for (_, record) in records {
            let (partition, offset) = record.input.unwrap_or_default();
            let from = self.committed.get(&partition).copied().unwrap_or(0);
            if offset < from || offsets.get(&partition).is_none_or(|next| offset >= *next) {
                return Err(format!(
                    "an output of {partition}:{offset} is committed with offsets {offsets:?}, after {:?}",
                    self.committed
                ));
            }
        }
        let done = offsets.iter().map(|(partition, next)| self.between(*partition, *next).count() as u64);
        let letters = records.iter().filter(|(route, _)| *route == LETTERS).count() as u64;
        let (records_in, records_out) = (done.sum(), records.len() as u64 - letters);
        let tally = Tally { next: offsets.clone(), records_in, records_out, dead_letters: letters };
        let counted = self.counted.iter().position(|counted| counted.next == *offsets);
        let compared = counted.map_or(Ok(()), |index| tally.compare(&self.counted.swap_remove(index)));
        self.tallies.push(tally);
        compared
    }

    /// The inputs of a partition from the committed offset to this one.
    fn between(&self, partition: i32, next: i64) -> impl Iterator<Item = (Position, Kind)> {
        let from = self.committed.get(&partition).copied().unwrap_or(0);
        let range = (partition, from)..(partition, next.max(from));
        self.inputs.range(range).map(|(position, kind)| (*position, *kind))
    }

    /// No offset is committed whose inputs are not done, and none goes back.
    fn move_offsets(&mut self, offsets: &Positions) -> Result<(), String> {
        if let Some(ledger) = &self.ledger {
            ledger.check_committed(offsets)?;
        }
        for (partition, next) in offsets {
            let before = self.committed.get(partition).copied().unwrap_or(0);
            if self.is_exactly_once && *next < before {
                return Err(format!("the committed offset of partition {partition} goes back from {before} to {next}"));
            }
            for (position, kind) in self.between(*partition, *next) {
                self.check_done(position, kind)?;
            }
        }
        for (partition, next) in offsets {
            let committed = self.committed.entry(*partition).or_insert(*next);
            // At least once, a late commit may move the offset back; what was done stays done.
            *committed = (*committed).max(*next);
        }
        Ok(())
    }

    /// An input has led to all of its outputs or to one dead letter; to each once, or at least once.
    fn check_done(&self, position: Position, kind: Kind) -> Result<(), String> {
        let made = self.made.get(&position).map_or(&[][..], Vec::as_slice);
        let count = |route: usize| made.iter().filter(|made| made.route == route).count();
        let expected = outputs(kind);
        let (letters, total) = (count(LETTERS), made.len());
        let is_complete = expected.iter().all(|(topic, ..)| count(*topic as usize) >= 1);
        let is_letter = letters >= 1;
        let is_output_allowed = !matches!(kind, Kind::Reject | Kind::Trap | Kind::Deadly);
        let is_letter_allowed = self.may_always_fail
            || matches!(kind, Kind::Reject | Kind::Trap | Kind::Deadly | Kind::Large | Kind::Keyless);
        let is_done = is_output_allowed && is_complete && !is_letter || is_letter && is_letter_allowed;
        let is_once = total == if is_letter { 1 } else { expected.len() };
        if is_done && (is_once || !self.is_exactly_once) {
            return Ok(());
        }
        let (partition, offset) = position;
        Err(format!("{partition}:{offset} ({}) is committed and has led to {made:?}", kind.name()))
    }

    /// What a host counted when it got the answer to a commit.
    pub(crate) fn counted(&mut self, next: &Positions, counts: &Counts) -> Result<(), String> {
        if !self.is_exactly_once {
            return Ok(());
        }
        let (next, dead_letters) = (next.clone(), counts.dead_letters());
        let counted = Tally { next, records_in: counts.records_in, records_out: counts.records_out, dead_letters };
        match self.tallies.iter().rev().find(|tally| tally.next == counted.next) {
            Some(tally) => tally.compare(&counted),
            None => {
                self.counted.push(counted);
                Ok(())
            }
        }
    }

    /// Each input by its version: who made what of it.
    pub(crate) fn made(&self) -> impl Iterator<Item = (Position, &Made)> {
        self.made.iter().flat_map(|(position, made)| made.iter().map(|made| (*position, made)))
    }

    /// The outputs of each input partition are in the order of their offsets, in each partition of an output topic.
    pub(crate) fn check_order<'r>(
        &self,
        outputs: impl Iterator<Item = (usize, &'r StoredRecord)>,
    ) -> Result<(), String> {
        let mut last: BTreeMap<(usize, i32), i64> = BTreeMap::new();
        for (number, record) in outputs {
            let (partition, offset) = record.input.ok_or("an output of no input")?;
            let before = last.insert((number, partition), offset).unwrap_or(-1);
            if self.is_exactly_once && offset < before {
                return Err(format!("the output of {partition}:{offset} comes after that of {partition}:{before}"));
            }
        }
        Ok(())
    }
}
