//! Compares the sums, once the ledger and the topics are read.

use std::collections::BTreeMap;

use crate::audit::{Audit, ByRecord, TopicCounts};
use crate::entries::Entry;
use crate::report::AddFindings;
use mapper_api::audit::{AuditReport, AuditedTopic, FindingKind};

/// The committed offsets of the group, by input topic and partition; `None` where nothing is committed.
pub type CommittedOffsets = BTreeMap<(String, i32), Option<i64>>;

/// What is known of the topics beside their records.
#[derive(Debug, Clone, Default)]
pub struct Extents {
    /// Read before the ledger and the topics.
    pub committed_before: CommittedOffsets,
    /// Read after the ledger and the topics.
    pub committed_after: CommittedOffsets,
    /// By output topic, and then the dead-letter topic.
    pub topics: Vec<TopicExtent>,
    pub ledger: TopicExtent,
}

/// What a topic has lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopicExtent {
    /// The offsets before the first ones of its partitions.
    pub removed: u64,
    /// Whether the topic is compacted, so that any record may have been removed.
    pub is_compacted: bool,
}

impl Audit {
    /// Compares all sums.
    pub fn finish(mut self, extents: &Extents) -> AuditReport {
        for (topic, partition) in extents.committed_before.keys().chain(extents.committed_after.keys()) {
            self.number(topic, *partition);
        }
        let mut notes = Vec::new();
        if extents.ledger.removed > 0 {
            notes.push(format!(
                "the ledger begins later: retention has removed {} of its offsets",
                extents.ledger.removed
            ));
        }
        if self.foreign_ledger > 0 {
            notes.push(format!("the ledger topic has {} records that are not of this group", self.foreign_ledger));
        }
        if self.foreign_states > 0 {
            let (name, count) = (&self.settings.states, self.foreign_states);
            notes.push(format!("{name}: {count} records are not of mapper-host; they are not compared"));
        }
        let committed = |offsets: &CommittedOffsets, topic: &str, partition: i32| {
            offsets.get(&(topic.to_owned(), partition)).copied().flatten()
        };
        let mut partitions = Vec::new();
        for partition in &self.partitions {
            let (topic, number) = (partition.topic.as_str(), partition.number);
            let before = committed(&extents.committed_before, topic, number);
            let after = committed(&extents.committed_after, topic, number);
            let is_read = extents.committed_after.contains_key(&(topic.to_owned(), number));
            if is_read {
                partition.check_committed(before, after, &mut self.findings);
            }
            if is_read || partition.coverage.start().is_some() {
                partitions.push(partition.report(before));
            }
        }
        partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        let is_complete = self.is_complete(extents);
        let mut topics = Vec::new();
        for index in 0..self.topics.len() {
            let extent = extents.topics.get(index).copied().unwrap_or_default();
            let older = self.find_unexplained(index, &mut notes);
            self.compare_topic(index, extent, is_complete, &mut notes);
            topics.push(self.report_topic(index, extent, older));
        }
        let redrives = self.compare_redrives(extents, &mut notes);
        AuditReport { partitions, topics, redrives, findings: self.findings, notes }
    }

    /// Whether the ledger has a range for all that the group has ever read.
    fn is_complete(&self, extents: &Extents) -> bool {
        let has_ranges = |topic: &str, number: i32| {
            let partition = self.find(topic, number).and_then(|index| self.partitions.get(index as usize));
            partition.is_some_and(|partition| partition.is_complete && !partition.has_older)
        };
        let mut committed = extents.committed_after.iter().filter(|(_, committed)| committed.is_some());
        extents.ledger.removed == 0
            && committed.all(|((topic, partition), _)| has_ranges(topic, *partition))
            && self
                .partitions
                .iter()
                .filter(|partition| partition.coverage.start().is_some())
                .all(|known| known.is_complete)
    }

    /// Finds the records with an input that no range counts. Returns the number of those that are older than the audit.
    fn find_unexplained(&mut self, topic: usize, notes: &mut Vec<String>) -> u64 {
        let is_letters = topic == self.letters_index();
        let entries = if is_letters { &self.letters } else { &self.outputs };
        let (mut older, mut foreign, mut recreated) = (0, 0, 0);
        let is_uncounted = |entry: &&Entry| !entry.is_counted() && (is_letters || entry.group() == topic);
        for entry in entries.all().iter().filter(is_uncounted) {
            let partition = &self.partitions[entry.partition as usize];
            match partition.coverage.start() {
                // Compared with the resolution.
                _ if !is_letters && self.resolutions.is_redriven(entry.partition, entry.offset) => {}
                None => foreign += 1,
                Some(_) if partition.is_recreated => recreated += 1,
                Some(start) if entry.offset < start && (!partition.is_complete || partition.has_older) => older += 1,
                Some(_) => {
                    let what = if is_letters { "dead letter" } else { "output" };
                    let reason = format!("{what} of an offset that no range of the ledger has");
                    let at = partition.at(entry.offset, entry.offset + 1);
                    self.findings.add(FindingKind::Unexplained, at, 1, reason);
                }
            }
        }
        let name = self.name(topic);
        let others = [
            (older, "are older than the audited ranges"),
            (foreign, "are of partitions without a range in the ledger"),
            (recreated, "are of an input topic that was recreated: an offset is that of several records"),
        ];
        let others = others.into_iter().filter(|(count, _)| *count > 0);
        notes.extend(others.map(|(count, what)| format!("{name}: {count} records {what}; they are not compared")));
        older + foreign + recreated
    }

    fn name(&self, topic: usize) -> String {
        self.settings.outputs.get(topic).unwrap_or(&self.settings.dead_letters).clone()
    }

    fn compare_topic(&mut self, topic: usize, extent: TopicExtent, is_complete: bool, notes: &mut Vec<String>) {
        let (name, is_letters) = (self.name(topic), topic == self.letters_index());
        let is_by_range = is_letters || self.settings.is_per_record;
        let counts = std::mem::take(&mut self.topics[topic]);
        let by_record = self.take_by_record(topic);
        if extent.is_compacted {
            notes.push(format!("{name}: the topic is compacted, so missing records are not reported"));
        }
        if is_by_range {
            self.compare_missing(&name, &by_record, extent, notes);
            if is_letters {
                self.compare_further_letters(&name, &counts, by_record.further_letters, notes);
            }
            self.compare_without_source(&name, &counts, is_letters);
        } else {
            self.compare_sums(&name, &counts, extent, is_complete, notes);
        }
        self.topics[topic] = counts;
    }

    /// What was found in a topic record by record.
    fn take_by_record(&mut self, topic: usize) -> ByRecord {
        let mut all = ByRecord::default();
        for ((number, of), found) in std::mem::take(&mut self.by_record) {
            if of != topic {
                self.by_record.insert((number, of), found);
            } else if !self.partitions[number as usize].is_recreated {
                self.findings.append(found.findings);
                all.further_letters += found.further_letters;
                all.missing_records += found.missing_records;
                all.missing.extend(found.missing);
            }
        }
        all
    }

    /// Records that ranges have counted and that are not in the topic, unless retention has removed as many.
    fn compare_missing(&mut self, name: &str, counts: &ByRecord, extent: TopicExtent, notes: &mut Vec<String>) {
        let missing = counts.missing_records;
        if missing == 0 || extent.is_compacted {
            return;
        }
        if missing <= extent.removed {
            notes.push(format!(
                "{name}: retention has removed {} offsets; {missing} records that the ledger counts are not compared",
                extent.removed
            ));
            return;
        }
        for one in &counts.missing {
            let reason = format!(
                "the topic '{name}' has {} records of this range, and the ledger counts {}",
                one.found, one.counted
            );
            self.findings.add(FindingKind::Missing, one.at.clone(), one.counted - one.found, reason);
        }
    }

    fn compare_further_letters(&mut self, name: &str, counts: &TopicCounts, found: u64, notes: &mut Vec<String>) {
        if self.settings.since_ms.is_some() {
            if found > 0 || counts.redriven > 0 {
                notes.push(format!("{name}: with --since, the letters of redrives are not compared with the ledger"));
            }
            return;
        }
        let (least, most) = (counts.redriven, counts.redriven + counts.redriven_recently);
        let (kind, wrong) = match found {
            found if found > most => (FindingKind::Duplicated, found - most),
            found if found < least => (FindingKind::Missing, least - found),
            _ => return,
        };
        let reason = format!(
            "the topic has {found} further letters of inputs that have a dead letter, and the ledger counts {most} of redrives"
        );
        self.findings.add(kind, name.to_owned(), wrong, reason);
    }

    fn compare_without_source(&mut self, name: &str, counts: &TopicCounts, is_letters: bool) {
        if counts.without_source > 0 {
            let reason = if is_letters {
                "records without the headers of a dead letter of this host"
            } else {
                "records that name no input: they are older than --provenance headers, or not of this pipeline"
            };
            let reason = format!("the topic has {} {reason}", counts.without_source);
            self.findings.add(FindingKind::Unexplained, name.to_owned(), counts.without_source, reason);
        }
    }

    /// The number of outputs, if they do not name their input.
    fn compare_sums(
        &mut self,
        name: &str,
        counts: &TopicCounts,
        extent: TopicExtent,
        is_complete: bool,
        notes: &mut Vec<String>,
    ) {
        let TopicCounts { records, settled, recent, redriven, redriven_recently, .. } = *counts;
        let (least, recent) = (settled + redriven, recent + redriven_recently);
        if self.settings.since_ms.is_some() {
            notes.push(format!(
                "{name}: with --since, outputs are compared only if they name their input (--provenance headers)"
            ));
        } else if records < least && !extent.is_compacted {
            let missing = least - records;
            if missing <= extent.removed {
                notes.push(format!(
                    "{name}: retention has removed {} offsets; {missing} records that the ledger counts are not compared",
                    extent.removed
                ));
            } else {
                let removed = match extent.removed {
                    0 => String::new(),
                    removed => format!(", of which retention has removed at most {removed}"),
                };
                let reason = format!("the topic has {records} records, and the ledger counts {least}{removed}");
                self.findings.add(FindingKind::Missing, name.to_owned(), missing - extent.removed, reason);
            }
        } else if records > least + recent {
            let more = records - least - recent;
            if is_complete {
                let reason = format!("the topic has {records} records, and the ledger counts {}", least + recent);
                self.findings.add(FindingKind::Duplicated, name.to_owned(), more, reason);
            } else {
                notes.push(format!(
                    "{name}: {more} records are not in the ledger, which does not go back to the first record of the group; they are \
                     not compared"
                ));
            }
        }
    }

    fn report_topic(&self, topic: usize, extent: TopicExtent, older: u64) -> AuditedTopic {
        let TopicCounts { records, settled, recent, redriven, redriven_recently, .. } = self.topics[topic];
        AuditedTopic {
            topic: self.name(topic),
            records: records - older,
            counted: settled + redriven,
            recent: recent + redriven_recently,
            removed: extent.removed,
        }
    }
}
