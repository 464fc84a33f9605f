//! Finds keys for which an output topic has a record that is newer than the record that failed.

use std::collections::HashMap;
use std::time::Duration;

use mapper_core::record::Batch;
use mapper_core::shutdown::Halt;
use mapper_kafka::TopicReader;

use super::super::progress::Progress;
use super::super::states::Access;
use super::plan::{Plan, hash};

const FETCH_RECORDS: usize = 10_000;
const FETCH_BYTES: usize = 4 << 20;
const FETCH_WAIT: Duration = Duration::from_millis(200);

/// For each key of the selected letters, by its hash: the timestamp of the newest record in the output topics.
pub(super) type NewestOutputs = HashMap<u64, i64>;

/// Reads the output topics from the timestamp of the oldest selected record on.
///
/// # Errors
/// If Kafka refuses a read.
pub(super) fn find(access: &Access, plan: &Plan, outputs: &[&str]) -> Result<NewestOutputs, Halt> {
    let mut newest = NewestOutputs::new();
    let Some(oldest) = plan.keys.values().copied().min() else { return Ok(newest) };
    for topic in outputs {
        let ranges = access.setup().ranges_since(topic, oldest)?;
        if ranges.iter().all(|(_, first, end)| first >= end) {
            continue;
        }
        let mut reader = TopicReader::open_ranges(access.setup().settings(), topic, &ranges)?;
        let progress = Progress::new("outputs", reader.firsts(), reader.ends());
        let mut batch = Batch::new(*topic);
        loop {
            let is_more = reader.fetch(&mut batch, FETCH_RECORDS, FETCH_BYTES, FETCH_WAIT)?;
            for record in batch.records() {
                let (Some(key), Some(timestamp)) = (record.key().map(hash), record.timestamp_ms()) else { continue };
                if plan.keys.get(&key).is_some_and(|oldest| timestamp > *oldest) {
                    let known = newest.entry(key).or_insert(timestamp);
                    *known = timestamp.max(*known);
                }
            }
            progress.advance(batch.len());
            batch.clear();
            if !is_more {
                break;
            }
        }
    }
    Ok(newest)
}
