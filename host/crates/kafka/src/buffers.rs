//! The buffers of the clients of librdkafka.

use rdkafka::config::ClientConfig;

use super::client::KafkaSettings;
use mapper_core::pairs::Pairs;

/// The most input that all workers buffer together, in KiB.
const CONSUMER_BUFFER_KIB: usize = 8 << 10;
/// The most output that all workers buffer together, in KiB.
const PRODUCER_BUFFER_KIB: usize = 8 << 10;
/// The same in records, because librdkafka does not count its own memory for a record and its headers.
const PRODUCER_BUFFER_RECORDS: usize = 6_000;
/// A consumer fetches more if it buffers fewer records than this.
const CONSUMER_BUFFER_RECORDS: usize = 20_000;

/// The buffer of the consumer of each worker, in KiB.
fn consumer_buffer_kib(workers: usize) -> usize {
    (CONSUMER_BUFFER_KIB / workers).max(1024)
}

/// The buffer of the producer of each worker, in KiB.
pub(super) fn producer_buffer_kib(workers: usize) -> usize {
    (PRODUCER_BUFFER_KIB / workers).max(1024)
}

/// The buffer of the producer of each worker, in records.
pub(super) fn producer_buffer_records(workers: usize) -> usize {
    (PRODUCER_BUFFER_RECORDS / workers).max(1000)
}

/// The largest buffers of the clients of one worker, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferLimits {
    /// A full consumer buffer and one more fetch.
    pub input: u64,
    pub output: u64,
}

impl KafkaSettings {
    /// The buffer limits of each worker with these properties of the user.
    pub fn buffer_limits(properties: &Pairs, workers: usize) -> BufferLimits {
        let user_value = |name: &str| {
            let found = properties.iter().find(|(key, _)| key == name);
            found.and_then(|(_, value)| value.parse::<u64>().ok())
        };
        let default_input = consumer_buffer_kib(workers) as u64;
        let input_kib = user_value("queued.max.messages.kbytes").unwrap_or(default_input);
        let fetch = user_value("fetch.max.bytes").unwrap_or(default_input << 10);
        let output_kib = user_value("queue.buffering.max.kbytes").unwrap_or(producer_buffer_kib(workers) as u64);
        BufferLimits { input: (input_kib << 10) + fetch, output: output_kib << 10 }
    }

    /// Limits the records that a consumer fetches ahead.
    pub(super) fn set_buffers(&self, config: &mut ClientConfig) {
        let buffer_kib = consumer_buffer_kib(self.workers);
        config
            .set("queued.min.messages", (CONSUMER_BUFFER_RECORDS / self.workers).max(1000).to_string())
            .set("queued.max.messages.kbytes", buffer_kib.to_string())
            .set("fetch.max.bytes", (buffer_kib << 10).to_string())
            .set("max.partition.fetch.bytes", "1048576")
            // The pause of a partition if the buffer is full. The default of one second stalls the pipeline.
            .set("fetch.queue.backoff.ms", "5");
    }
}
