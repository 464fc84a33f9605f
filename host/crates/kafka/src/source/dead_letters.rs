//! The check of the first records of each input topic for dead letters.

use super::KafkaSource;
use crate::setup::dead_letters_as_input;
use mapper_core::record::Batch;
use mapper_pipeline::contracts::SourceError;

impl KafkaSource {
    pub(super) fn refuse_dead_letters(&mut self, batch: &Batch) -> Result<(), SourceError> {
        let mut rest = if self.input.allows_dead_letters() { 0..0 } else { 0..batch.len() };
        while !rest.is_empty() {
            let run = batch.run_of_one_topic(rest.clone());
            let number = batch.partitions[run.start];
            let detector = self.detectors.entry(self.topics.index(number)).or_default();
            if detector.detects(batch.records_in(run.clone())) {
                return Err(dead_letters_as_input(self.topics.topic(number)).into());
            }
            rest.start = run.end;
        }
        Ok(())
    }
}
