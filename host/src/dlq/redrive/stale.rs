//! Finds keys for which an output topic has a record that is newer than the record that failed.

use std::collections::HashMap;
use std::ops::ControlFlow;

use mapper_core::shutdown::Halt;
use mapper_kafka::TopicReader;

use super::super::states::{Access, read_batches};
use super::plan::{Plan, hash};

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
        let reader = TopicReader::open_ranges(access.setup().settings(), topic, &ranges)?;
        let progress = access.progress("outputs", &reader);
        read_batches(reader, topic, access.cancel(), |batch| {
            for record in batch.records() {
                let (Some(key), Some(timestamp)) = (record.key().map(hash), record.timestamp_ms()) else { continue };
                if plan.keys.get(&key).is_some_and(|oldest| timestamp > *oldest) {
                    let known = newest.entry(key).or_insert(timestamp);
                    *known = timestamp.max(*known);
                }
            }
            progress.advance(batch.len());
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(newest)
}
