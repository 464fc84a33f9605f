//! The outputs of a job, compared with those of the native job.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;
use serde::Deserialize;
use serde_json::Value;

use crate::committed::Reader;
use crate::{PARTITIONS, Topics};

/// What of the outputs must be the same as that of the native job. Values are compared as JSON, without the time of processing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Compared {
    /// Keys and timestamps of the records.
    pub(crate) keys: bool,
    /// Why a record failed: each language and library says so in its own words.
    pub(crate) messages: bool,
}

/// The committed records of both output topics, as hashes with their numbers.
#[derive(Default)]
pub(crate) struct Outputs {
    reduced: HashMap<u64, u32>,
    dead_letters: HashMap<u64, u32>,
}

/// The value of a reduced visit: id and page pass through, whatever they are.
#[derive(Deserialize, Hash)]
#[serde(deny_unknown_fields)]
struct Reduced {
    visit_id: Value,
    event_time: i64,
    page: Value,
}

/// The value of a dead letter.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    processing_time: String,
    input_json: String,
    error_message: String,
}

impl Outputs {
    pub(crate) fn read(brokers: &str, topics: &Topics, compared: Compared) -> Result<Self> {
        let reader = Reader::new(brokers)?;
        let reduced = count_all(&reader, &topics.output, |record| reduced_hash(record, compared))?;
        let dead_letters = count_all(&reader, &topics.dead_letters, |record| dead_letter_hash(record, compared))?;
        Ok(Self { reduced, dead_letters })
    }

    /// The number of records that are there more often than expected. A record that is missing or not expected is an error.
    pub(crate) fn duplicates(&self, expected: &Self) -> Result<u64> {
        let reduced = duplicates(&self.reduced, &expected.reduced).context("reduced visits")?;
        let dead_letters = duplicates(&self.dead_letters, &expected.dead_letters).context("dead letters")?;
        Ok(reduced + dead_letters)
    }

    /// The numbers of reduced visits and of dead letters.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (count(&self.reduced), count(&self.dead_letters))
    }
}

fn count(records: &HashMap<u64, u32>) -> u64 {
    records.values().copied().map(u64::from).sum()
}

fn duplicates(actual: &HashMap<u64, u32>, expected: &HashMap<u64, u32>) -> Result<u64> {
    let number = |records: &HashMap<u64, u32>, hash| records.get(hash).copied().unwrap_or_default();
    let missing: u32 = expected.iter().map(|(hash, wanted)| wanted.saturating_sub(number(actual, hash))).sum();
    let unexpected = actual.keys().filter(|hash| !expected.contains_key(hash)).count();
    if missing > 0 || unexpected > 0 {
        bail!("{missing} of {} are missing, and {unexpected} are not those of the native job", count(expected));
    }
    Ok(count(actual) - count(expected))
}

fn count_all(
    reader: &Reader,
    topic: &str,
    hash: impl Fn(&BorrowedMessage<'_>) -> Result<u64>,
) -> Result<HashMap<u64, u32>> {
    let mut records = HashMap::new();
    reader.read_all(topic, PARTITIONS, |record| {
        *records.entry(hash(record)?).or_default() += 1;
        Ok(())
    })?;
    Ok(records)
}

fn reduced_hash(record: &impl Message, compared: Compared) -> Result<u64> {
    let reduced: Reduced = parse(record)?;
    Ok(hash((&reduced, key(record, compared))))
}

fn dead_letter_hash(record: &impl Message, compared: Compared) -> Result<u64> {
    let letter: Envelope = parse(record)?;
    // As `2024-01-13T04:21:50.037894`.
    let time = chrono::NaiveDateTime::parse_from_str(&letter.processing_time, "%Y-%m-%dT%H:%M:%S%.6f");
    ensure!(time.is_ok() && letter.processing_time.len() == 26, "{} is no time", letter.processing_time);
    let message = compared.messages.then_some(&letter.error_message);
    Ok(hash((&letter.input_json, message, key(record, compared))))
}

fn parse<'a, T: Deserialize<'a>>(record: &'a impl Message) -> Result<T> {
    let value = record.payload().context("an output without a value")?;
    serde_json::from_slice(value).with_context(|| format!("the output {}", value.escape_ascii()))
}

fn key(record: &impl Message, compared: Compared) -> Option<(Option<&[u8]>, Option<i64>)> {
    compared.keys.then(|| (record.key(), record.timestamp().to_millis()))
}

fn hash(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
