//! Reads the committed records of a topic up to an end offset, without a group and without commits. It keeps no record.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::client::{ConnectionContext, KafkaSettings};
use super::groupless;
use super::limits::OFFSETS_LIMIT;
use super::native::Fetched;
use mapper_core::record::{Header, NO_TIMESTAMP};
use mapper_core::shutdown::{Cause, Halt, Shutdown};

/// A transaction that is open for longer than this ends the read. It is longer than the default of `--transaction-timeout`.
const OPEN_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);
/// The offsets of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetRange {
    pub first: i64,
    /// The end of the partition (its high watermark), whether the last transactions are committed or not.
    pub end: i64,
}

/// A record in its topic, borrowed from the client.
pub struct ScannedRecord<'a>(Fetched<'a>);

impl<'a> ScannedRecord<'a> {
    pub fn partition(&self) -> i32 {
        self.0.partition()
    }

    pub fn offset(&self) -> i64 {
        self.0.offset()
    }

    pub fn timestamp_ms(&self) -> Option<i64> {
        Some(self.0.timestamp_ms()).filter(|timestamp| *timestamp != NO_TIMESTAMP)
    }

    pub fn key(&self) -> Option<&'a [u8]> {
        self.0.key()
    }

    pub fn value(&self) -> Option<&'a [u8]> {
        self.0.value()
    }

    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> + Clone + use<'a> {
        self.0.headers()
    }
}

/// A client that reads topics. It joins no group.
pub struct TopicScanner {
    settings: KafkaSettings,
    /// Sees the ends of partitions with open transactions.
    query: BaseConsumer<ConnectionContext>,
    shutdown: Shutdown,
}

impl TopicScanner {
    /// Creates the client.
    ///
    /// # Errors
    /// If librdkafka refuses a property.
    pub fn new(settings: &KafkaSettings, shutdown: &Shutdown) -> Result<Self, Halt> {
        let mut config = settings.query_client();
        config.set("isolation.level", "read_uncommitted");
        let query = BaseConsumer::from_config_and_context(&config, ConnectionContext::default());
        let query = query.map_err(|error| Halt::new(Cause::Configuration, error))?;
        Ok(Self { settings: settings.clone(), query, shutdown: shutdown.clone() })
    }

    /// The partitions of a topic, in order.
    ///
    /// # Errors
    /// If Kafka does not answer, or the topic does not exist.
    pub fn offset_ranges(&self, topic: &str) -> Result<Vec<OffsetRange>, Halt> {
        let ranges = groupless::offset_ranges(&self.query, topic, OFFSETS_LIMIT);
        let ranges = ranges.map_err(|error| groupless::unreadable(topic, error))?;
        if ranges.is_empty() {
            let brokers = &self.settings.brokers;
            return Err(Halt::configuration(format!(
                "the topic '{topic}' doesn't exist at '{brokers}'; check the name"
            )));
        }
        Ok(ranges.into_iter().map(|(first, end)| OffsetRange { first, end }).collect())
    }

    /// Passes all committed records of a topic up to these ends to `take`. Waits until all transactions before the ends are ended.
    ///
    /// # Errors
    /// If Kafka refuses the read, a transaction stays open, or a shutdown is requested.
    pub fn scan(
        &self,
        topic: &str,
        ranges: &[OffsetRange],
        mut take: impl FnMut(&ScannedRecord<'_>),
    ) -> Result<(), Halt> {
        let failed = |error: KafkaError| groupless::unreadable(topic, error);
        let ends: BTreeMap<i32, i64> =
            (0..).zip(ranges).filter(|(_, range)| range.first < range.end).map(|(p, range)| (p, range.end)).collect();
        let starts = ends.keys().map(|partition| (*partition, Offset::Beginning));
        let (consumer, mut queue) = groupless::assign(self.settings.scan_client(), topic, starts).map_err(failed)?;
        let mut reached: BTreeMap<i32, i64> = BTreeMap::new();
        let mut last_progress = Instant::now();
        let is_done = |reached: &BTreeMap<i32, i64>| {
            ends.iter().all(|(partition, end)| reached.get(partition).is_some_and(|at| at >= end))
        };
        while !is_done(&reached) {
            if self.shutdown.requested() {
                return Err(Halt::kafka(format!("the read of the topic '{topic}' was interrupted")));
            }
            groupless::handle_events(&consumer, topic)?;
            let mut refused = Ok(());
            queue.fetch(POLL, |fetched| {
                let partition = fetched.partition();
                let end = ends.get(&partition).copied().unwrap_or(0);
                let at = match fetched.error() {
                    // The end for a reader of committed records: before the first open transaction.
                    Some(RDKafkaErrorCode::PartitionEOF) => fetched.offset(),
                    Some(code) => {
                        refused = groupless::handle_partition_error(topic, partition, code);
                        return if refused.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
                    }
                    None if fetched.offset() >= end => end,
                    None => {
                        let record = ScannedRecord(fetched);
                        take(&record);
                        record.offset() + 1
                    }
                };
                let known = reached.entry(partition).or_insert(0);
                if at > *known {
                    (*known, last_progress) = (at, Instant::now());
                }
                if at >= end && is_done(&reached) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            refused?;
            if last_progress.elapsed() >= OPEN_LIMIT {
                return Err(self.stalled(topic, &reached, &ends));
            }
        }
        Ok(())
    }

    /// Waits until all transactions are ended that have records of a topic before these ends.
    ///
    /// # Errors
    /// If a transaction stays open, or a shutdown is requested.
    pub fn wait_for_stable(&self, topic: &str, ranges: &[OffsetRange]) -> Result<(), Halt> {
        let failed = |error: KafkaError| groupless::unreadable(topic, error);
        let config = self.settings.query_client();
        let committed = BaseConsumer::from_config_and_context(&config, ConnectionContext::default()).map_err(failed)?;
        let deadline = Instant::now() + OPEN_LIMIT;
        for (partition, range) in (0..).zip(ranges) {
            loop {
                let (_, stable) = committed.fetch_watermarks(topic, partition, OFFSETS_LIMIT).map_err(failed)?;
                if stable >= range.end {
                    break;
                }
                if Instant::now() >= deadline || self.shutdown.requested() {
                    let (reached, ends) =
                        (BTreeMap::from([(partition, stable)]), BTreeMap::from([(partition, range.end)]));
                    return Err(self.stalled(topic, &reached, &ends));
                }
                self.shutdown.sleep(POLL);
            }
        }
        Ok(())
    }

    fn stalled(&self, topic: &str, reached: &BTreeMap<i32, i64>, ends: &BTreeMap<i32, i64>) -> Halt {
        let open = ends.iter().find(|(partition, end)| reached.get(partition).is_none_or(|at| at < end));
        let (partition, end) = open.map_or((0, 0), |(partition, end)| (*partition, *end));
        let at = reached.get(&partition).copied().unwrap_or(0);
        Halt::kafka(format!(
            "the topic '{topic}', partition {partition}, could be read only to offset {at} of {end} within {}: a transaction is open. \
             Wait until Kafka aborts it (--transaction-timeout of the host), and try again",
            humantime::format_duration(OPEN_LIMIT)
        ))
    }
}
