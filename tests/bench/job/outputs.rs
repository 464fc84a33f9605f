//! What a job has written: counted, and summed up so that two jobs can be held against each other.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mapper_core::dead_letter::is_own_header;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Headers;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::{PARTITIONS, Topics};

const READ_TIMEOUT: Duration = Duration::from_secs(120);
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
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "bench-outputs")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.queue.backoff.ms", "5")
            .create()?;
        let mut outputs = Self::default();
        for (topic, is_dead_letter) in [(&topics.output, false), (&topics.dead_letters, true)] {
            let mut all = TopicPartitionList::new();
            for partition in 0..PARTITIONS {
                all.add_partition_offset(topic, partition, Offset::Beginning)?;
            }
            consumer.assign(&all)?;
            let count = outputs.read_all(&consumer, is_dead_letter)?;
            *(if is_dead_letter { &mut outputs.dead_letters } else { &mut outputs.reduced }) = count;
        }
        Ok(outputs)
    }

    fn read_all(&mut self, consumer: &BaseConsumer, is_dead_letter: bool) -> Result<u64> {
        let (started, mut count, mut ended) = (Instant::now(), 0, HashSet::new());
        while ended.len() < PARTITIONS as usize {
            ensure!(started.elapsed() < READ_TIMEOUT, "the outputs can't be read in {READ_TIMEOUT:?}");
            match consumer.poll(READ_TIMEOUT) {
                Some(Ok(record)) => {
                    count += 1;
                    let (whole, headers) = checksums(&record, is_dead_letter);
                    self.checksum = self.checksum.wrapping_add(whole);
                    self.headers_checksum = self.headers_checksum.wrapping_add(headers);
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ended.insert(partition);
                }
                Some(Err(error)) => return Err(error.into()),
                None => {}
            }
        }
        Ok(count)
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
