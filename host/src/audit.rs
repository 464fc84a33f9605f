//! Reads the ledger, the committed offsets and the topics of a pipeline, and says what does not agree: `mapper-host audit`, and the audits of the
//! admin API.
//!
//! The order of the reads decides what can be compared while hosts run. The ledger records and the resolutions up to the first end are of
//! transactions that are complete in the topics when these are read. What the topics have beyond is in the ledger and in the state topic up
//! to the second end.

use std::time::Duration;

use crate::config::AuditConfig;
use mapper_api::audit::AuditReport;
use mapper_audit::{Audit, AuditSettings, CommittedOffsets, Extents, ResolutionOutcome, TopicExtent};
use mapper_core::dead_letter::letter_source;
use mapper_core::delivery::Delivery;
use mapper_core::ledger::LedgerRecord;
use mapper_core::shutdown::{Cause, Halt, Shutdown};
use mapper_core::source::RecordSource;
use mapper_dead_letters::StateError;
use mapper_dead_letters::state::{Outcome, StateChange};
use mapper_kafka::setup::Setup;
use mapper_kafka::{KafkaSettings, OffsetRange, ScannedRecord, TopicScanner};
use mapper_terminal::output;

/// At least once, a host commits offsets this long after their ledger records at most, unless Kafka is slow.
const COMMIT_WAIT: Duration = Duration::from_secs(1);
const COMMIT_ATTEMPTS: usize = 5;

/// Audits a pipeline and prints the report.
///
/// # Errors
/// If Kafka cannot be read, or something is missing, duplicated or unexplained.
pub fn run(config: &AuditConfig, shutdown: &Shutdown) -> Result<(), Halt> {
    let report = read(config, shutdown)?;
    let findings = report.findings.total;
    if config.json {
        output::print_json(&report);
    } else {
        print(&report);
    }
    if findings == 0 {
        return Ok(());
    }
    let findings = if findings == 1 { "1 finding".to_owned() } else { format!("{findings} findings") };
    Err(Halt::new(
        Cause::Audit,
        anyhow::anyhow!("the audit of the group '{}' has {findings}, listed above", config.group),
    ))
}

fn print(report: &AuditReport) {
    report.partitions.iter().for_each(|partition| output::print_line(partition.to_string()));
    report.topics.iter().for_each(|topic| output::print_line(topic.to_string()));
    report.redrives.iter().for_each(|redrives| output::print_line(redrives.to_string()));
    report.notes.iter().for_each(|note| output::print_line(format!("note: {note}")));
    report.findings.listed.iter().for_each(|finding| output::print_line(finding.to_string()));
    match report.findings.total - report.findings.listed.len() as u64 {
        0 if report.findings.is_empty() => output::print_line("nothing is missing, duplicated or unexplained"),
        0 => {}
        more => output::print_line(format!("and {more} more findings")),
    }
}

/// Audits a pipeline. A shutdown ends it.
///
/// # Errors
/// If Kafka cannot be read, or the topics have more records than the configuration allows.
pub(crate) fn read(config: &AuditConfig, shutdown: &Shutdown) -> Result<AuditReport, Halt> {
    let settings = KafkaSettings {
        brokers: config.brokers.clone(),
        group: config.group.clone(),
        delivery: Delivery::ExactlyOnce,
        properties: config.kafka.clone(),
        transaction_timeout: Duration::ZERO,
        session_timeout: Duration::from_secs(45),
        workers: 1,
    };
    let setup = Setup::connect(&settings, config.connect_timeout, shutdown)?;
    let scanner = TopicScanner::new(&settings, shutdown)?;
    let inputs = setup.find_input_topics(&config.input_topics)?;
    let mut audit = Audit::new(AuditSettings {
        group: config.group.clone(),
        outputs: config.output_topics.clone(),
        dead_letters: config.dead_letter_topic.clone(),
        states: config.state_topic.clone(),
        since_ms: config.since_ms,
        is_per_record: config.provenance,
    });
    let mut extents = Extents { committed_before: setup.read_group_offsets(&inputs)?, ..Extents::default() };
    let settled = scanner.offset_ranges(&config.ledger_topic)?;
    scanner.wait_for_stable(&config.ledger_topic, &settled)?;
    let states = StateRead::begin(&config.state_topic, &scanner, &setup)?;
    let mut memory = Memory { records: 0, max_records: config.max_kept_records };
    read_topics(config, (&scanner, &setup), &mut memory, &mut audit, &mut extents)?;
    states.finish((&scanner, &setup), &mut memory, &mut audit)?;
    let ledger = scanner.offset_ranges(&config.ledger_topic)?;
    extents.ledger = TopicExtent { removed: removed(&ledger), is_compacted: false };
    let ends = read_ledger(config, &scanner, (&settled, &ledger), &mut audit)?;
    extents.committed_after = read_committed(&setup, &inputs, &ends, shutdown)?;
    Ok(audit.finish(&extents))
}

/// The records of which the audit keeps some bytes each.
struct Memory {
    records: u64,
    max_records: Option<u64>,
}

impl Memory {
    /// # Errors
    /// If there are too many with these.
    fn reserve(&mut self, topic: &str, ranges: &[OffsetRange]) -> Result<(), Halt> {
        self.records += ranges.iter().map(|range| (range.end - range.first).unsigned_abs()).sum::<u64>();
        match self.max_records {
            Some(max) if self.records > max => Err(Halt::configuration(format!(
                "the audit would need too much memory of the host: up to the topic '{topic}' there are {} records to keep, and {max} are \
                 allowed. Run it at a terminal, with mapper-host audit",
                self.records
            ))),
            _ => Ok(()),
        }
    }
}

/// Reads the output topics and the dead-letter topic.
fn read_topics(
    config: &AuditConfig,
    (scanner, setup): (&TopicScanner, &Setup),
    memory: &mut Memory,
    audit: &mut Audit,
    extents: &mut Extents,
) -> Result<(), Halt> {
    let topics: Vec<&str> =
        config.output_topics.iter().chain([&config.dead_letter_topic]).map(String::as_str).collect();
    let compacted = setup.are_compacted(&topics);
    for (index, (topic, is_compacted)) in topics.into_iter().zip(compacted).enumerate() {
        let ranges = scanner.offset_ranges(topic)?;
        extents.topics.push(TopicExtent { removed: removed(&ranges), is_compacted });
        let is_output = index < config.output_topics.len();
        if !is_output || config.provenance {
            memory.reserve(topic, &ranges)?;
        }
        scanner.scan(topic, &ranges, |record| {
            if !is_output {
                audit.add_letter(letter_source(record.headers()));
            } else if config.provenance {
                audit.add_output(index, RecordSource::of_output(record.headers()));
            } else {
                audit.add_output(index, None);
            }
        })?;
    }
    Ok(())
}

/// A read of the state topic, which may not exist.
struct StateRead<'a> {
    topic: &'a str,
    /// The ends before the other topics are read.
    settled: Vec<OffsetRange>,
}

impl<'a> StateRead<'a> {
    fn begin(topic: &'a str, scanner: &TopicScanner, setup: &Setup) -> Result<Self, Halt> {
        let settled = if setup.has_topic(topic)? { scanner.offset_ranges(topic)? } else { Vec::new() };
        if !settled.is_empty() {
            scanner.wait_for_stable(topic, &settled)?;
        }
        Ok(Self { topic, settled })
    }

    /// Reads the resolutions, after the other topics.
    fn finish(
        self,
        (scanner, setup): (&TopicScanner, &Setup),
        memory: &mut Memory,
        audit: &mut Audit,
    ) -> Result<(), Halt> {
        let Self { topic, settled } = self;
        if !setup.has_topic(topic)? {
            return Ok(());
        }
        let mut result = Ok(());
        let ranges = scanner.offset_ranges(topic)?;
        memory.reserve(topic, &ranges)?;
        scanner.scan(topic, &ranges, |record| match StateChange::parse(record.key(), record.value()) {
            Ok(StateChange::Letter(source, Some(resolution))) => {
                let at = RecordSource {
                    topic: &source.topic,
                    partition: source.partition,
                    offset: source.offset,
                    output: 0,
                };
                let is_settled = is_settled(&settled, record);
                audit.add_resolution(at, outcome(resolution.outcome), &resolution.outputs, is_settled);
            }
            Ok(_) => {}
            Err(StateError::Foreign { .. }) => audit.add_foreign_state(),
            Err(newer @ StateError::Newer { .. }) => {
                let error = format!("the state topic '{topic}' can't be used: {newer}");
                result = Err(Halt::configuration(error));
            }
        })?;
        result
    }
}

fn outcome(outcome: Outcome) -> ResolutionOutcome {
    match outcome {
        Outcome::Redriven => ResolutionOutcome::Redriven,
        Outcome::FailedAgain => ResolutionOutcome::FailedAgain,
        Outcome::Returned => ResolutionOutcome::Returned,
        Outcome::Discarded => ResolutionOutcome::Discarded,
    }
}

fn is_settled(settled: &[OffsetRange], record: &ScannedRecord<'_>) -> bool {
    let partition = usize::try_from(record.partition()).unwrap_or(usize::MAX);
    settled.get(partition).is_some_and(|range| record.offset() < range.end)
}

/// Reads the ledger. Returns the end of the ranges of each partition.
fn read_ledger(
    config: &AuditConfig,
    scanner: &TopicScanner,
    (settled, ledger): (&[OffsetRange], &[OffsetRange]),
    audit: &mut Audit,
) -> Result<CommittedOffsets, Halt> {
    let mut ends = CommittedOffsets::new();
    scanner.scan(&config.ledger_topic, ledger, |record| {
        let parsed = LedgerRecord::parse(record.value().unwrap_or_default()).ok();
        let is_settled = is_settled(settled, record);
        if let Some(LedgerRecord::Input(range)) = parsed.as_ref().filter(|record| record.group() == config.group) {
            ends.insert((range.topic.clone().into_owned(), range.partition), Some(range.last + 1));
        }
        audit.add_ledger(parsed.as_ref(), record.timestamp_ms(), is_settled);
    })?;
    Ok(ends)
}

/// Reads the committed offsets. At least once, a host commits them soon after their ledger records.
fn read_committed(
    setup: &Setup,
    inputs: &[String],
    ends: &CommittedOffsets,
    shutdown: &Shutdown,
) -> Result<CommittedOffsets, Halt> {
    let mut committed = setup.read_group_offsets(inputs)?;
    for _ in 0..COMMIT_ATTEMPTS {
        let is_behind =
            |(at, committed): (&(String, i32), &Option<i64>)| ends.get(at).is_some_and(|end| committed < end);
        if !committed.iter().any(is_behind) {
            break;
        }
        shutdown.sleep(COMMIT_WAIT);
        committed = setup.read_group_offsets(inputs)?;
    }
    Ok(committed)
}

/// The number of offsets before the first ones.
fn removed(ranges: &[OffsetRange]) -> u64 {
    ranges.iter().map(|range| range.first.unsigned_abs()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audit_that_would_keep_too_many_records_is_refused_with_the_way_out() {
        let ranges = [OffsetRange { first: 10, end: 70 }, OffsetRange { first: 0, end: 40 }];
        let mut memory = Memory { records: 0, max_records: Some(199) };
        assert!(memory.reserve("dlq", &ranges).is_ok());
        let refused = memory.reserve("dlq.state", &ranges).unwrap_err();
        let expected =
            "up to the topic 'dlq.state' there are 200 records to keep, and 199 are allowed. Run it at a terminal";
        assert!(refused.reason().contains(expected), "{refused}");
        assert!(Memory { records: 0, max_records: None }.reserve("dlq", &ranges).is_ok());
    }
}
