//! Takes in what is in the topics and in the ledger.

use std::collections::BTreeMap;

use crate::entries::{Entries, Entry};
use crate::partition::Partition;
use crate::redrives::CountedRedrives;
use crate::report::AddFindings;
use crate::resolutions::{ResolutionOutcome, Resolutions, outputs_to};
use mapper_api::audit::{FindingKind, Findings};
use mapper_core::ledger::{LedgerCounts, LedgerRange, LedgerRecord};
use mapper_core::source::RecordSource;
use mapper_core::verdict::FailureKind;

/// What is audited.
#[derive(Debug, Clone)]
pub struct AuditSettings {
    /// The consumer group of the pipeline.
    pub group: String,
    /// The output topics.
    pub outputs: Vec<String>,
    pub dead_letters: String,
    /// The topic with the resolutions of redrives.
    pub states: String,
    /// Only ranges whose ledger records are not older, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Whether outputs name their input.
    pub is_per_record: bool,
}

/// An audit that is not finished.
#[derive(Debug)]
pub struct Audit {
    pub(crate) settings: AuditSettings,
    pub(crate) partitions: Vec<Partition>,
    numbers: BTreeMap<String, BTreeMap<i32, u32>>,
    /// The letters by kind.
    pub(crate) letters: Entries,
    /// The outputs by topic, if they name their input.
    pub(crate) outputs: Entries,
    pub(crate) resolutions: Resolutions,
    pub(crate) redrives: CountedRedrives,
    /// By output topic, and then the dead-letter topic.
    pub(crate) topics: Vec<TopicCounts>,
    pub(crate) findings: Findings,
    /// By partition number and topic.
    pub(crate) by_record: BTreeMap<(u32, usize), ByRecord>,
    /// Ledger records of this group that could not be parsed, and those of others.
    pub(crate) foreign_ledger: u64,
    pub(crate) foreign_states: u64,
    is_sorted: bool,
}

/// The records of a topic, and what the ledger says of them.
#[derive(Debug, Default)]
pub(crate) struct TopicCounts {
    pub(crate) records: u64,
    /// Records that name no input.
    pub(crate) without_source: u64,
    /// Counted by ranges of transactions that were committed before the topic was read.
    pub(crate) settled: u64,
    /// Counted by ranges of transactions that may have been committed later.
    pub(crate) recent: u64,
    /// The same of redrives.
    pub(crate) redriven: u64,
    pub(crate) redriven_recently: u64,
}

/// What was found in one topic by comparing record by record with the ranges of one partition. If the input topic was recreated, an
/// offset is that of several records, and none of this counts.
#[derive(Debug, Default)]
pub(crate) struct ByRecord {
    pub(crate) findings: Findings,
    /// Further dead letters of inputs that have one.
    pub(crate) further_letters: u64,
    /// Fewer records than ranges have counted.
    pub(crate) missing: Vec<Missing>,
    pub(crate) missing_records: u64,
}

/// The records that a range has counted, and that are not there.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) at: String,
    pub(crate) counted: u64,
    pub(crate) found: u64,
}

/// The most missing records that are listed for each topic.
const MAX_MISSING: usize = 1000;

impl Audit {
    pub fn new(settings: AuditSettings) -> Self {
        let topics = (0..=settings.outputs.len()).map(|_| TopicCounts::default()).collect();
        let resolutions = Resolutions::new(settings.outputs.len());
        Self {
            settings,
            partitions: Vec::new(),
            numbers: BTreeMap::new(),
            letters: Entries::default(),
            outputs: Entries::default(),
            resolutions,
            redrives: CountedRedrives::default(),
            topics,
            findings: Findings::default(),
            by_record: BTreeMap::new(),
            foreign_ledger: 0,
            foreign_states: 0,
            is_sorted: false,
        }
    }

    /// The index of the dead-letter topic among the topics.
    pub(crate) fn letters_index(&self) -> usize {
        self.settings.outputs.len()
    }

    pub(crate) fn find(&self, topic: &str, partition: i32) -> Option<u32> {
        self.numbers.get(topic)?.get(&partition).copied()
    }

    pub(crate) fn number(&mut self, topic: &str, partition: i32) -> u32 {
        if let Some(number) = self.find(topic, partition) {
            return number;
        }
        let number = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        self.numbers.entry(topic.to_owned()).or_default().insert(partition, number);
        self.partitions.push(Partition::new(topic, partition));
        number
    }

    /// A record of the dead-letter topic, with the kind of its failure. `None`: it names no input.
    pub fn add_letter(&mut self, letter: Option<(RecordSource<'_>, &str)>) {
        let index = self.letters_index();
        let Some((source, kind)) = letter else {
            self.topics[index].records += 1;
            self.topics[index].without_source += 1;
            return;
        };
        self.topics[index].records += 1;
        let partition = self.number(source.topic, source.partition);
        self.letters.push(Entry::new(partition, source.offset, kind_index(kind), 0));
    }

    /// A record of an output topic, by its index. `None`: it names no input.
    pub fn add_output(&mut self, topic: usize, source: Option<RecordSource<'_>>) {
        self.topics[topic].records += 1;
        if !self.settings.is_per_record {
            return;
        }
        match source {
            None => self.topics[topic].without_source += 1,
            Some(source) => {
                let partition = self.number(source.topic, source.partition);
                self.outputs.push(Entry::new(partition, source.offset, topic, source.output));
            }
        }
    }

    /// A resolution of the state topic: the failed record, what was done about it, and the outputs of each topic. `is_settled`: its
    /// transaction was committed before the topics were read.
    pub fn add_resolution(
        &mut self,
        source: RecordSource<'_>,
        outcome: ResolutionOutcome,
        outputs: &BTreeMap<String, u64>,
        is_settled: bool,
    ) {
        let partition = self.number(source.topic, source.partition);
        let outputs = outputs_to(&self.settings.outputs, outputs);
        self.resolutions.add((partition, source.offset), outcome, outputs, is_settled);
    }

    /// A record of the state topic that is not of mapper-host.
    pub fn add_foreign_state(&mut self) {
        self.foreign_states += 1;
    }

    /// A record of the ledger topic, after all letters, outputs and resolutions. `is_settled`: its transaction was committed before the topics were
    /// read. `None`: it is no ledger record.
    pub fn add_ledger(&mut self, record: Option<&LedgerRecord<'_>>, timestamp_ms: Option<i64>, is_settled: bool) {
        if !self.is_sorted {
            self.letters.sort();
            self.outputs.sort();
            self.resolutions.sort();
            self.is_sorted = true;
        }
        if let Some(LedgerRecord::Redrive(redrive)) = record
            && *redrive.topic == self.settings.dead_letters
        {
            self.redrives.total += redrive.records;
            self.redrives.settled += if is_settled { redrive.records } else { 0 };
            self.redrives.has_others |= *redrive.group != self.settings.group;
        }
        let is_older = self.settings.since_ms.zip(timestamp_ms).is_some_and(|(since, timestamp)| timestamp < since);
        match record {
            Some(LedgerRecord::Input(range)) if *range.group == self.settings.group => {
                if is_older {
                    let partition = self.number(&range.topic, range.partition) as usize;
                    self.partitions[partition].has_older = true;
                } else {
                    self.add_range(range, is_settled);
                }
            }
            Some(LedgerRecord::Redrive(redrive)) if *redrive.group == self.settings.group => {
                if !is_older {
                    self.add_redrive(&redrive.counts, is_settled);
                }
            }
            _ => self.foreign_ledger += 1,
        }
    }

    fn add_redrive(&mut self, counts: &LedgerCounts<'_>, is_settled: bool) {
        let mut add = |topic: usize, count: u64| {
            let counts = &mut self.topics[topic];
            if is_settled { counts.redriven += count } else { counts.redriven_recently += count }
        };
        for (topic, count) in &counts.outputs {
            if let Some(index) = self.settings.outputs.iter().position(|known| known == topic) {
                add(index, *count);
            }
        }
        add(self.settings.outputs.len(), counts.dead_letters.values().sum());
    }

    fn add_range(&mut self, range: &LedgerRange<'_>, is_settled: bool) {
        let number = self.number(&range.topic, range.partition);
        self.partitions[number as usize].add(range, &mut self.findings);
        let letters = self.letters_index();
        let mut add = |topic: usize, count: u64| {
            let counts = &mut self.topics[topic];
            if is_settled { counts.settled += count } else { counts.recent += count }
        };
        for (topic, count) in &range.counts.outputs {
            match self.settings.outputs.iter().position(|known| known == topic) {
                Some(index) => add(index, *count),
                None => {
                    let reason = format!(
                        "the ledger counts {count} outputs to a topic that is not audited; give it with --extra-topic"
                    );
                    self.findings.add(FindingKind::Unexplained, topic.clone().into_owned(), *count, reason);
                }
            }
        }
        add(letters, range.counts.dead_letters.values().sum());
        self.compare_letters(range, number, is_settled);
        if self.settings.is_per_record {
            self.compare_outputs(range, number, is_settled);
        }
    }

    /// Compares the letters of a range with its counts. A further letter of the same record is one of a redrive.
    fn compare_letters(&mut self, range: &LedgerRange<'_>, number: u32, is_settled: bool) {
        let topic = self.letters_index();
        let mut found = vec![0_u64; FailureKind::ALL.len() + 1];
        let mut last = None;
        for index in self.letters.find(number, range.first..range.last + 1) {
            let entry = self.letters.all()[index];
            if last.replace(entry.offset) == Some(entry.offset) {
                self.by_record(number, topic).further_letters += u64::from(!entry.is_counted());
            } else {
                found[entry.group().min(FailureKind::ALL.len())] += 1;
            }
            self.letters.count(index);
        }
        let mut counted = vec![0_u64; FailureKind::ALL.len() + 1];
        for (kind, count) in &range.counts.dead_letters {
            counted[kind_index(kind).min(FailureKind::ALL.len())] += count;
        }
        let at = self.partitions[number as usize].at(range.first, range.last + 1);
        for (kind, (counted, found)) in counted.into_iter().zip(found).enumerate() {
            let kind = FailureKind::ALL.get(kind).map_or("of another kind", |kind| kind.name());
            self.compare_range((number, topic), format!("{at} {kind}"), (counted, found), is_settled);
        }
    }

    /// Compares the outputs of a range with its counts. An output of a record that has a letter or a resolution is one of a redrive.
    fn compare_outputs(&mut self, range: &LedgerRange<'_>, number: u32, is_settled: bool) {
        let mut found = vec![0_u64; self.settings.outputs.len()];
        let mut last: Option<Entry> = None;
        for index in self.outputs.find(number, range.first..range.last + 1) {
            let entry = self.outputs.all()[index];
            let is_again = last.replace(entry).is_some_and(|last| last.is_same(entry));
            if is_again {
                let at = self.partitions[number as usize].at(entry.offset, entry.offset + 1);
                let topic = &self.settings.outputs[entry.group()];
                let reason = format!("the topic '{topic}' has an output of this record more than once");
                if !entry.is_counted() {
                    self.by_record(number, entry.group()).findings.add(FindingKind::Duplicated, at, 1, reason);
                }
            } else if !self.letters.has(number, entry.offset) && !self.resolutions.is_redriven(number, entry.offset) {
                found[entry.group()] += 1;
            }
            self.outputs.count(index);
        }
        let at = self.partitions[number as usize].at(range.first, range.last + 1);
        for (topic, found) in found.into_iter().enumerate() {
            let counted = range.counts.outputs.get(self.settings.outputs[topic].as_str()).copied().unwrap_or(0);
            self.compare_range((number, topic), at.clone(), (counted, found), is_settled);
        }
    }

    fn by_record(&mut self, number: u32, topic: usize) -> &mut ByRecord {
        self.by_record.entry((number, topic)).or_default()
    }

    fn compare_range(
        &mut self,
        (number, topic): (u32, usize),
        at: String,
        (counted, found): (u64, u64),
        is_settled: bool,
    ) {
        if found > counted {
            let name = self.settings.outputs.get(topic).unwrap_or(&self.settings.dead_letters);
            let reason =
                format!("the topic '{name}' has {found} records of this range, and the ledger counts {counted}");
            self.by_record(number, topic).findings.add(FindingKind::Unexplained, at, found - counted, reason);
        } else if found < counted && is_settled {
            let counts = self.by_record(number, topic);
            counts.missing_records += counted - found;
            if counts.missing.len() < MAX_MISSING {
                counts.missing.push(Missing { at, counted, found });
            }
        }
    }
}

/// The index of a kind of failure. A later version of the host may have more kinds.
fn kind_index(kind: &str) -> usize {
    FailureKind::ALL.iter().position(|known| known.name() == kind).unwrap_or(FailureKind::ALL.len())
}
