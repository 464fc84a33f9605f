//! Compares the resolutions of redrives with the ledger, the dead letters and the outputs.

use crate::audit::Audit;
use crate::finish::{Extents, TopicExtent};
use crate::report::AddFindings;
use crate::resolutions::ResolutionOutcome;
use mapper_api::audit::{AuditedRedrives, FindingKind};

/// What the ledger says of the redrives of a dead-letter topic.
#[derive(Debug, Default)]
pub(crate) struct CountedRedrives {
    /// The letters of transactions that were committed before the topics were read.
    pub(crate) settled: u64,
    /// The letters of all transactions.
    pub(crate) total: u64,
    /// Whether some redrives were for the pipeline of another group.
    pub(crate) has_others: bool,
}

/// An output topic and its redriven outputs that are not there.
#[derive(Debug, Default)]
struct MissingOutputs {
    count: u64,
    /// The position of each record, with the outputs that are written and those that are there.
    records: Vec<(String, u64, u64)>,
}

/// The most records with missing outputs that are listed for each topic.
const MAX_MISSING: usize = 1000;

impl Audit {
    /// Compares the resolutions of redrives. `None` if there has been no redrive.
    pub(crate) fn compare_redrives(&mut self, extents: &Extents, notes: &mut Vec<String>) -> Option<AuditedRedrives> {
        let letters = extents.topics.get(self.letters_index()).copied().unwrap_or_default();
        let lost = self.compare_resolved_letters(letters);
        let counted = self.redrives.total;
        let resolutions = self.resolutions.total.records;
        if self.settings.is_per_record {
            self.compare_redriven_outputs(extents, notes);
        }
        if resolutions == 0 && counted == 0 {
            return None;
        }
        if self.settings.since_ms.is_some() {
            let name = &self.settings.states;
            notes.push(format!("{name}: with --since, the number of resolutions is not compared with the ledger"));
        } else {
            self.compare_resolution_sums(lost, extents, notes);
        }
        Some(AuditedRedrives { topic: self.settings.states.clone(), resolutions, counted })
    }

    /// Compares the resolutions of each record with its letters. Returns the most resolutions that compaction can have removed: each
    /// resolution closes a letter, and compaction leaves the last one of a record.
    fn compare_resolved_letters(&mut self, extent: TopicExtent) -> u64 {
        let letters_are_complete =
            extent.removed == 0 && !extent.is_compacted && self.topics[self.letters_index()].without_source == 0;
        let mut lost = 0;
        for of_record in self.resolutions.by_record() {
            let (first, last) = (of_record[0], of_record[of_record.len() - 1]);
            let (partition, offset) = (first.partition, first.offset);
            let letters = self.letters.find(partition, offset..offset + 1).len();
            // The letter that replaced the last one is open.
            let closed = letters.saturating_sub(usize::from(last.outcome == ResolutionOutcome::FailedAgain));
            lost += closed.saturating_sub(of_record.len()) as u64;
            let of = &self.partitions[partition as usize];
            if !letters_are_complete || of.is_recreated {
                continue;
            }
            let failed_again = of_record.iter().filter(|one| one.outcome == ResolutionOutcome::FailedAgain).count();
            let name = &self.settings.dead_letters;
            if letters == 0 && last.is_settled {
                let reason = format!(
                    "the state topic has a resolution of this record, and the topic '{name}' has no letter of it"
                );
                self.findings.add(FindingKind::Unexplained, of.at(offset, offset + 1), 1, reason);
            } else if letters <= failed_again && last.is_settled {
                let missing = failed_again + 1 - letters;
                let reason = format!(
                    "this record failed again at {failed_again} redrives, and the topic '{name}' has {letters} letters of it"
                );
                self.findings.add(FindingKind::Missing, of.at(offset, offset + 1), missing as u64, reason);
            }
        }
        lost
    }

    /// Compares the redriven outputs of each record with its resolutions.
    fn compare_redriven_outputs(&mut self, extents: &Extents, notes: &mut Vec<String>) {
        for topic in 0..self.settings.outputs.len() {
            let mut missing = MissingOutputs::default();
            for of_record in self.resolutions.by_record() {
                let (partition, offset) = (of_record[0].partition, of_record[0].offset);
                let of = &self.partitions[partition as usize];
                if of.is_recreated {
                    continue;
                }
                let found = self.outputs_of(partition, offset, topic);
                let (settled, written) = self.resolutions.outputs(of_record, topic);
                let (at, name) = (of.at(offset, offset + 1), &self.settings.outputs[topic]);
                if found < settled {
                    missing.count += settled - found;
                    if missing.records.len() < MAX_MISSING {
                        missing.records.push((at, settled, found));
                    }
                } else if found > written && self.letters.has(partition, offset) {
                    let reason = format!(
                        "the topic '{name}' has {found} outputs of this record, which has a dead letter, and the resolutions of redrives have \
                         {written}"
                    );
                    self.findings.add(FindingKind::Unexplained, at, found - written, reason);
                }
            }
            self.report_missing_outputs(topic, missing, extents, notes);
            self.find_outputs_without_resolution(topic);
        }
    }

    /// The different outputs of a record in a topic. An output that is there twice is found elsewhere.
    fn outputs_of(&self, partition: u32, offset: i64, topic: usize) -> u64 {
        let entries = &self.outputs.all()[self.outputs.find(partition, offset..offset + 1)];
        let of_topic = entries.chunk_by(|one, other| one.is_same(*other)).filter(|same| same[0].group() == topic);
        of_topic.count() as u64
    }

    fn report_missing_outputs(
        &mut self,
        topic: usize,
        missing: MissingOutputs,
        extents: &Extents,
        notes: &mut Vec<String>,
    ) {
        let extent = extents.topics.get(topic).copied().unwrap_or_default();
        let name = &self.settings.outputs[topic];
        if missing.count == 0 || extent.is_compacted {
            return;
        }
        if missing.count <= extent.removed {
            notes.push(format!(
                "{name}: retention has removed {} offsets; {} outputs of redrives are not compared",
                extent.removed, missing.count
            ));
            return;
        }
        for (at, written, found) in missing.records {
            let reason = format!(
                "a redrive has written {written} outputs of this record to '{name}', and the topic has {found}"
            );
            self.findings.add(FindingKind::Missing, at, written - found, reason);
        }
    }

    /// Outputs of records that have a dead letter, so no range has counted them, and no resolution.
    fn find_outputs_without_resolution(&mut self, topic: usize) {
        let entries = self.outputs.all().iter().filter(|entry| entry.group() == topic);
        let mut last = None;
        for entry in entries {
            let (partition, offset) = (entry.partition, entry.offset);
            let of = &self.partitions[partition as usize];
            let is_audited = of.coverage.start().is_some_and(|start| offset >= start) && !of.is_recreated;
            let is_next = last.replace((partition, offset)) != Some((partition, offset));
            let is_resolved = || !self.resolutions.of(partition, offset).is_empty();
            if is_audited && is_next && self.letters.has(partition, offset) && !is_resolved() {
                let name = &self.settings.outputs[topic];
                let reason = format!(
                    "the topic '{name}' has an output of this record, which has a dead letter and no resolution of a redrive"
                );
                self.findings.add(FindingKind::Unexplained, of.at(offset, offset + 1), 1, reason);
            }
        }
    }

    /// `lost` is the most resolutions that compaction can have removed.
    fn compare_resolution_sums(&mut self, lost: u64, extents: &Extents, notes: &mut Vec<String>) {
        let (settled, total) = (self.resolutions.settled.records, self.resolutions.total.records);
        let counted = &self.redrives;
        let name = self.settings.states.clone();
        if settled > counted.total {
            let more = settled - counted.total;
            if extents.ledger.removed > 0 {
                notes.push(format!(
                    "{name}: {more} resolutions are not in the ledger, which begins later; they are not compared"
                ));
                return;
            }
            let reason = format!(
                "the topic has {settled} resolutions of redrives, and the ledger counts {}: a redrive ran without --ledger-topic, or \
                 somebody else has written them",
                counted.total
            );
            return self.findings.add(FindingKind::Unexplained, name, more, reason);
        }
        if counted.settled > total + lost {
            let missing = counted.settled - total - lost;
            let letters = extents.topics.get(self.letters_index()).copied().unwrap_or_default();
            if missing <= letters.removed {
                notes.push(format!(
                    "{name}: retention has removed {} dead letters; {missing} resolutions that the ledger counts are not compared",
                    letters.removed
                ));
                return;
            }
            let reason = format!(
                "the topic has {total} resolutions of redrives, and the ledger counts {}: their letters will be redriven again",
                counted.settled
            );
            return self.findings.add(FindingKind::Missing, name, missing, reason);
        }
        if lost == 0 && !counted.has_others {
            self.compare_output_sums(&name);
        }
    }

    fn compare_output_sums(&mut self, name: &str) {
        for (topic, output) in self.settings.outputs.iter().enumerate() {
            let (settled, total) = (self.resolutions.settled.outputs[topic], self.resolutions.total.outputs[topic]);
            let counts = &self.topics[topic];
            let (least, most) = (counts.redriven, counts.redriven + counts.redriven_recently);
            let (kind, wrong) = match () {
                () if settled > most => (FindingKind::Unexplained, settled - most),
                () if total < least => (FindingKind::Missing, least - total),
                () => continue,
            };
            let reason =
                format!("the resolutions of redrives have {total} outputs to '{output}', and the ledger counts {most}");
            self.findings.add(kind, name.to_owned(), wrong, reason);
        }
    }
}
