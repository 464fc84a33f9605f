//! Fills batches with fetched records, and corrects the positions of partitions after a fetch.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::KafkaSource;
use super::numbers::Numbers;
use super::receive::Receiver;
use super::state::{Assigned, Event, OutOfRangeOffset};
use crate::limits::OFFSETS_LIMIT;
use crate::start::parse_truncated_to;
use mapper_core::record::Batch;
use mapper_core::shutdown::Halt;
use mapper_pipeline::contracts::SourceError;

/// A batch ends at this size.
pub(super) const BATCH_BYTES: usize = 1 << 20;

impl KafkaSource {
    /// Reads records into a batch. With a backlog, one call takes many of them: that costs less than one call per record.
    pub(super) fn receive(&mut self, batch: &mut Batch, max_records: usize, wait: Duration) -> Result<(), SourceError> {
        let Self { queue, assigned, input, topics, events, .. } = self;
        let numbers = Numbers::new(topics);
        let until = input.until.as_deref();
        let mut receiver = Receiver { numbers, assigned, until, events, batch, left: max_records, run: None };
        let backlog = self.backlog_record_bytes.map(|bytes| (BATCH_BYTES / bytes.max(1)).clamp(1, max_records));
        let seeks = backlog.and_then(|most| receiver.take_queued(queue, most));
        if seeks.is_none() {
            receiver.fetch(queue, wait);
        }
        let Receiver { numbers, batch, left, .. } = receiver;
        if let Some(mistake) = numbers.mistake() {
            return Err(Halt::internal(mistake).into());
        }
        let is_full = max_records - left >= backlog.unwrap_or(max_records) || batch.bytes() >= BATCH_BYTES;
        self.backlog_record_bytes = is_full.then(|| batch.bytes() / batch.len().max(1));
        for (partition, offset) in seeks.unwrap_or_default() {
            if let Some(assigned) = self.assigned.get_mut(&partition) {
                assigned.seek = Some(offset);
            }
        }
        Ok(())
    }

    /// Corrects the positions that the last fetch left wrong. It comes before every other fetch, so a failure loses no record.
    pub(super) fn correct_positions(&mut self) -> Result<(), SourceError> {
        let pending = self.assigned.iter().filter(|(partition, _)| !self.out_of_range.contains_key(partition));
        let pending = pending.filter_map(|(partition, assigned)| Some((*partition, assigned.seek?)));
        self.seek(pending).map_err(|error| {
            SourceError::Retriable(
                anyhow::Error::new(error).context("failed to seek to the first record that was not read"),
            )
        })?;
        self.assigned.values_mut().for_each(|assigned| assigned.seek = None);
        Ok(())
    }

    pub(super) fn seek(&self, targets: impl Iterator<Item = (i32, i64)>) -> KafkaResult<()> {
        let list = self.partition_list(targets.map(|(partition, offset)| (partition, Offset::Offset(offset))))?;
        if list.count() == 0 {
            return Ok(());
        }
        let sought = self.consumer.seek_partitions(list, OFFSETS_LIMIT)?;
        sought.elements().iter().try_for_each(|element| element.error())
    }

    pub(super) fn take_events(&mut self) -> Result<(), SourceError> {
        for Event { partition, offset, code, text } in std::mem::take(&mut self.events) {
            match code {
                RDKafkaErrorCode::PartitionEOF => {
                    if let Some(until) = &self.input.until {
                        until.reach(partition, offset);
                    }
                    if let Some(assigned) = self.assigned.get_mut(&partition) {
                        assigned.end = Some(offset);
                    }
                }
                RDKafkaErrorCode::AutoOffsetReset => {
                    let position = self.assigned.get(&partition).and_then(Assigned::position);
                    // librdkafka reports a negative offset for a truncated partition.
                    let offset = if offset >= 0 { offset } else { position.unwrap_or(0) };
                    let truncated_to = parse_truncated_to(&text);
                    self.out_of_range.insert(partition, OutOfRangeOffset { offset, truncated_to });
                }
                _ => self.handle_error(&format!("{}: {code}", self.topics.describe(partition)), Some(code))?,
            }
        }
        Ok(())
    }

    /// Undoes the fetch of a batch, because its records can be from a recreated topic.
    pub(super) fn discard_batch(&mut self, batch: &mut Batch) {
        self.events.clear();
        // Backwards, so that the first offset of each partition remains.
        for index in (0..batch.len()).rev() {
            if let Some(assigned) = self.assigned.get_mut(&batch.partitions[index]) {
                assigned.next = Some(batch.offsets[index]);
            }
            if let Some(until) = &self.input.until {
                until.reopen(batch.partitions[index]);
            }
        }
        batch.clear();
    }
}
