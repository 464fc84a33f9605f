//! The memory limit of a pipeline for records and instances: the sum of its limits.

use super::PipelineSpec;
use mapper_core::bytes::Bytes;
use mapper_kafka::{BufferLimits, KafkaSettings};

/// The size limit of a batch, see the source of the pipeline.
const BATCH_BYTES: u64 = 1 << 20;
/// The instances of a try-out and of a shadow.
const EXTRA_INSTANCES: u64 = 2;

/// The parts of the sum, in bytes, of all workers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryBound {
    /// Instances of the plugin: two per worker, because a new version is created before the old one is dropped, and those of a try-out and of
    /// a shadow.
    pub instances: u64,
    /// Batches, and the outputs of a call.
    pub records: u64,
    /// The buffers of the consumers, and one further fetch.
    pub input_buffers: u64,
    /// The queues of the producers.
    pub output_buffers: u64,
}

impl MemoryBound {
    /// Computes the bound of a pipeline.
    pub fn of(spec: &PipelineSpec) -> Self {
        let workers = spec.workers as u64;
        let buffers = KafkaSettings::buffer_limits(&spec.kafka, spec.workers);
        let BufferLimits { input, output } = buffers;
        Self {
            instances: (2 * workers + EXTRA_INSTANCES) * spec.limits.memory_bytes as u64,
            records: workers * (BATCH_BYTES + spec.limits.output_bytes as u64),
            input_buffers: workers * input,
            output_buffers: workers * output,
        }
    }

    /// The sum.
    pub fn total(&self) -> u64 {
        self.instances + self.records + self.input_buffers + self.output_buffers
    }
}

impl std::fmt::Display for MemoryBound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { instances, records, input_buffers, output_buffers } = *self;
        write!(
            f,
            "{} = {} instances + {} batches and outputs + {} fetched + {} to be produced",
            Bytes(self.total()),
            Bytes(instances),
            Bytes(records),
            Bytes(input_buffers),
            Bytes(output_buffers)
        )
    }
}
