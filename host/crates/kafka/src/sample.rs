//! Reads the last records of the input topic before the start.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::client::KafkaSettings;
use super::groupless;
use mapper_core::record::{Batch, Positions};

/// The most partitions in the sample.
const MAX_PARTITIONS: usize = 32;
/// The most offsets of each partition.
const MAX_OFFSETS: i64 = 20;
const MAX_RECORDS: usize = 200;
/// The sample has the records that were read within this time.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Reads the last records of partitions. Each range has a partition, its first offset and its end offset.
///
/// # Errors
/// If librdkafka refuses a property, or if every read fails.
pub(super) fn last_records(settings: &KafkaSettings, topic: &str, ranges: &[(i32, i64, i64)]) -> KafkaResult<Batch> {
    let mut batch = Batch::new(topic);
    let ranges = ranges.iter().filter(|(_, first, end)| first < end).take(MAX_PARTITIONS);
    let ranges: Vec<_> = ranges.collect();
    let mut ends: Positions = ranges.iter().map(|(partition, _, end)| (*partition, *end)).collect();
    if ends.is_empty() {
        return Ok(batch);
    }
    let mut config = settings.query_client();
    config.set("fetch.wait.max.ms", "10");
    let start =
        |(partition, first, end): &&(i32, i64, i64)| (*partition, Offset::Offset((end - MAX_OFFSETS).max(*first)));
    let (consumer, mut queue) = groupless::assign(config, topic, ranges.iter().map(start))?;
    let deadline = Instant::now() + TIME_LIMIT;
    let mut failed = None;
    while !ends.is_empty() && batch.len() < MAX_RECORDS && failed.is_none() && Instant::now() < deadline {
        // Drops broker errors. librdkafka retries by itself.
        while consumer.poll(Duration::ZERO).is_some() {}
        queue.fetch(Duration::from_millis(20), |fetched| {
            let (partition, offset) = (fetched.partition(), fetched.offset());
            match fetched.error() {
                Some(RDKafkaErrorCode::PartitionEOF) => drop(ends.remove(&partition)),
                Some(code) => failed = Some(code),
                None => {
                    let headers = fetched.headers();
                    batch.push((partition, offset), fetched.timestamp_ms(), fetched.key(), fetched.value(), headers);
                }
            }
            if batch.len() < MAX_RECORDS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
    }
    match failed {
        Some(code) if batch.is_empty() => Err(KafkaError::MessageConsumption(code)),
        _ => Ok(batch),
    }
}
