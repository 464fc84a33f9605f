//! The topics of a run, and what the jobs are compared with.

use std::time::Duration;

use harness::kafka::Kafka;
use harness::topics;
use mapper_host::config::Delivery;

/// The topics have as many partitions as the reference has workers, unless the command line gives another number.
pub(crate) const PARTITIONS: i32 = 2;
/// How long one run may take, apart from reading its outputs.
pub(crate) const RUN_TIMEOUT: Duration = Duration::from_secs(300);

/// A delivery and a number of workers to compare the jobs with.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) delivery: Delivery,
    pub(crate) workers: usize,
}

/// What a run reads, and where it writes.
pub(crate) struct Topics {
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) dead_letters: String,
    pub(crate) group: String,
    pub(crate) partitions: i32,
}

impl Topics {
    /// New output topics and a new group.
    pub(crate) fn after(kafka: &Kafka, input: &str, partitions: i32) -> Self {
        let [output, dead_letters, group] =
            ["out", "dlq", "group"].map(|kind| topics::unique(&format!("bench-{kind}")));
        for topic in [&output, &dead_letters] {
            topics::create(kafka, topic, partitions, &[]);
        }
        Self { input: input.to_owned(), output, dead_letters, group, partitions }
    }

    pub(crate) fn delete(&self, kafka: &Kafka) {
        topics::delete(kafka, &self.output);
        topics::delete(kafka, &self.dead_letters);
    }
}
