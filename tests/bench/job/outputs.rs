//! What a job has written: counted, and summed up so that two jobs can be held against each other.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use anyhow::Result;
use mapper_core::dead_letter::is_own_header;
use rdkafka::Message;
use rdkafka::message::Headers;

use crate::Topics;
use crate::committed::Reader;

/// How the value of a dead letter begins, with a time that differs from run to run.
const TIME_PREFIX: usize = r#"{"processing_time": "2024-01-13T04:21:50.037894""#.len();

/// The committed records of both output topics.
#[derive(Default)]
pub(crate) struct Outputs {
    pub(crate) reduced: u64,
    pub(crate) dead_letters: u64,
    /// Of keys, values, timestamps and names of headers of the records themselves, in any order of the records.
    pub(crate) checksum: u64,
    /// Of the names of the headers that describe failures.
    pub(crate) headers_checksum: u64,
}

impl Outputs {
    pub(crate) fn read(brokers: &str, topics: &Topics) -> Result<Self> {
        let reader = Reader::new(brokers)?;
        let mut outputs = Self::default();
        for (topic, is_dead_letter) in [(&topics.output, false), (&topics.dead_letters, true)] {
            let mut count = 0;
            reader.read_all(topic, topics.partitions, |record| {
                count += 1;
                let (whole, headers) = checksums(record, is_dead_letter);
                outputs.checksum = outputs.checksum.wrapping_add(whole);
                outputs.headers_checksum = outputs.headers_checksum.wrapping_add(headers);
                Ok(())
            })?;
            *(if is_dead_letter { &mut outputs.dead_letters } else { &mut outputs.reduced }) = count;
        }
        Ok(outputs)
    }
}

/// Of the record itself, and of the names of the headers that describe its failure.
fn checksums(record: &impl Message, is_dead_letter: bool) -> (u64, u64) {
    let hash = |what: &dyn Fn(&mut DefaultHasher)| {
        let mut hasher = DefaultHasher::new();
        what(&mut hasher);
        hasher.finish()
    };
    let value = record.payload().map(|value| value.get(if is_dead_letter { TIME_PREFIX } else { 0 }..));
    let names = record.headers().map(|headers| headers.iter().map(|header| header.key).collect());
    let mut names: Vec<&str> = names.unwrap_or_default();
    names.sort_unstable();
    let (ours, kept): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| is_own_header(name.as_bytes()));
    let whole = (is_dead_letter, record.key(), value, record.timestamp().to_millis(), kept);
    (hash(&|hasher| whole.hash(hasher)), hash(&|hasher| ours.hash(hasher)))
}
