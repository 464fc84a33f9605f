//! The checks of Kafka before the first record: connection, topics, permissions and record limits.

mod compacted;
mod group_offsets;
mod topics;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::{self, ConnectionContext, KafkaSettings};
use super::describe::{TopicDescription, describe_topics};
use super::diagnosis;
use super::error_class::ErrorClass;
use super::input::{Input, InputContext};
use super::permissions::{MissingPermission, Operation, Resource};
use super::sample::last_records;
use super::topic_limits;
use super::until::EndOffsets;
use crate::properties;
use mapper_core::dead_letter::DeadLetterDetector;
use mapper_core::decision::{DEFAULT_RECORD_BYTES, Routes};
use mapper_core::input_topics::InputTopics;
use mapper_core::record::Positions;
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_core::topic_table::TopicNames;
use mapper_core::topics::TopicIdentity;

/// The timeout of a request before a retry.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The timeout of the first request; each retry doubles it. It is short to detect a permanent error early.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// The host gives up if a permanent error lasts for this time: until then, another broker can answer.
const PERMANENT_AFTER: Duration = Duration::from_millis(1500);
/// The time to poll the errors of the client after each request.
const ERROR_POLL_TIME: Duration = Duration::from_millis(20);

/// A client for the checks. It neither joins a group nor produces.
pub struct Setup {
    settings: KafkaSettings,
    client: BaseConsumer<ConnectionContext>,
    deadline: Instant,
    shutdown: Shutdown,
    /// The input topics, after [`Setup::resolve_input`].
    input: OnceLock<Arc<Input>>,
}

impl Setup {
    /// Connects; fails after `within`.
    ///
    /// # Errors
    /// If librdkafka refuses a property, or no broker answers in time.
    pub fn connect(settings: &KafkaSettings, within: Duration, shutdown: &Shutdown) -> Result<Self, Halt> {
        super::files::check(&settings.properties)?;
        let mut config = settings.query_client();
        // librdkafka reports a connection that is closed at once only at this level. A port with another protocol closes it so.
        config.set_log_level(RDKafkaLogLevel::Info);
        let client = BaseConsumer::from_config_and_context(&config, ConnectionContext::default())
            .map_err(|error| client_error(settings, error))?;
        let deadline = Instant::now() + within;
        let setup =
            Self { settings: settings.clone(), client, deadline, shutdown: shutdown.clone(), input: OnceLock::new() };
        setup.request("the metadata", |setup, timeout| {
            setup.client.fetch_metadata(Some("__consumer_offsets"), timeout)
        })?;
        Ok(setup)
    }

    pub fn settings(&self) -> &KafkaSettings {
        &self.settings
    }

    /// Repeats a request until it has an answer, the deadline passes, or the error is permanent.
    fn request<T>(&self, what: &str, send: impl Fn(&Self, Duration) -> Result<T, KafkaError>) -> Result<T, Halt> {
        let mut timeout = FIRST_REQUEST_TIMEOUT;
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let error = match send(self, timeout.min(left).max(Duration::from_millis(100))) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if let Some(code) = error.rdkafka_error_code().filter(|code| ErrorClass::of(*code).is_not_authorized()) {
                return Err(Halt::kafka(format!("Kafka at '{}' refuses {what}: {code}", self.settings.brokers)));
            }
            self.poll_errors();
            let errors = &self.client.context().errors;
            let late = Instant::now() >= self.deadline || self.shutdown.requested();
            if late || errors.has_permanent(PERMANENT_AFTER) {
                return Err(Halt::kafka(diagnosis::describe_unreachable(&self.settings, errors, what, &error)));
            }
            tracing::info!(target: "kafka", brokers = self.settings.brokers, %error, "no answer yet; retrying");
            self.shutdown.sleep(Duration::from_millis(250));
            timeout = (timeout * 2).min(REQUEST_TIMEOUT);
        }
    }

    /// Polls the client, so that its context gets the errors.
    fn poll_errors(&self) {
        let until = Instant::now() + ERROR_POLL_TIME;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            // There is no subscription, so a poll returns no record.
            drop(self.client.poll(left));
        }
    }

    /// The number of partitions; `None` if the topic does not exist.
    fn partition_count(&self, topic: &str) -> Result<Option<i32>, Halt> {
        let answer = self.request(&format!("the metadata of the topic '{topic}'"), |setup, timeout| {
            let metadata = setup.client.fetch_metadata(Some(topic), timeout)?;
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            match found.and_then(|found| found.error()).map(RDKafkaErrorCode::from) {
                None => Ok(Ok(found.map(|found| found.partitions().len() as i32).filter(|partitions| *partitions > 0))),
                Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(Ok(None)),
                Some(code) if ErrorClass::of(code).is_not_authorized() => Ok(Err(code)),
                Some(code) => Err(KafkaError::MetadataFetch(code)),
            }
        })?;
        answer.map_err(|code| {
            let missing = MissingPermission::new([Operation::Describe], Resource::Topic(topic));
            Halt::kafka(format!("the topic '{topic}' can't be used: {code}: {missing}"))
        })
    }

    /// The input topics that exist now.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub fn find_input_topics(&self, topics: &InputTopics) -> Result<Vec<String>, Halt> {
        let InputTopics::Pattern(pattern) = topics else { return Ok(topics.names().to_vec()) };
        let metadata = self.request("the list of topics", |setup, timeout| {
            let metadata = setup.client.fetch_metadata(None, timeout)?;
            Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect::<Vec<_>>())
        })?;
        let mut found: Vec<String> = metadata.into_iter().filter(|topic| pattern.matches(topic)).collect();
        found.sort_unstable();
        Ok(found)
    }

    /// The routes to these topics, with the record limits of each.
    ///
    /// # Errors
    /// If librdkafka refuses a property. Unknown limits are only a warning.
    pub fn read_routes(&self, outputs: &[&str], dead_letters: &str, ledger: Option<&str>) -> Result<Routes, Halt> {
        let topics: Vec<&str> = outputs.iter().copied().chain([dead_letters]).chain(ledger).collect();
        let limits = match topic_limits::describe(&self.settings, &topics, REQUEST_TIMEOUT) {
            Ok(limits) => limits,
            Err(error @ KafkaError::ClientConfig(..)) => return Err(client_error(&self.settings, error)),
            Err(error) => {
                tracing::warn!(target: "kafka", %error, "failed to read the configuration of the topics");
                vec![None; topics.len()]
            }
        };
        for (topic, _) in topics.iter().zip(&limits).filter(|(_, limits)| limits.is_none()) {
            tracing::warn!(
                topic,
                bytes = DEFAULT_RECORD_BYTES,
                "the topic's configuration is not known (permission DESCRIBE_CONFIGS); using Kafka's default for the size of \
                 records; the broker checks keys and timestamps"
            );
        }
        let is_compacted =
            |index: usize| limits.get(index).and_then(Option::as_ref).is_some_and(|limits| limits.needs_key);
        if is_compacted(outputs.len()) {
            tracing::warn!(
                topic = dead_letters,
                "the dead-letter topic is compacted (cleanup.policy): Kafka keeps only the last dead letter of each key"
            );
        }
        if is_compacted(outputs.len() + 1) {
            tracing::warn!(
                topic = ledger,
                "the ledger topic is compacted (cleanup.policy): Kafka keeps only the last range of each partition, which an audit \
                 reports as a gap"
            );
        }
        let limits =
            limits.into_iter().map(|limits| Some(topic_limits::cap(&self.settings, limits.unwrap_or_default())));
        Ok(Routes::with_default_limits(outputs, dead_letters).with_ledger(ledger).with_limits(limits))
    }

    /// Reads the current end offsets of topics.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub fn read_end_offsets(&self, names: &TopicNames, topics: &[String]) -> Result<EndOffsets, Halt> {
        let mut ends = BTreeMap::new();
        for topic in topics {
            let Some(index) = names.find(topic) else { continue };
            for (partition, first, end) in self.offset_ranges(topic)? {
                if let Some(number) = names.number(index, partition) {
                    ends.insert(number, if first == end { 0 } else { end });
                }
            }
        }
        Ok(EndOffsets::new(ends))
    }

    /// The partitions of a topic, each with its first and its end offset.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub fn offset_ranges(&self, topic: &str) -> Result<Vec<(i32, i64, i64)>, Halt> {
        let what = format!("the end offsets of the topic '{topic}'");
        let range = |partition| {
            let (first, end) =
                self.request(&what, |setup, timeout| setup.client.fetch_watermarks(topic, partition, timeout))?;
            Ok((partition, first, end))
        };
        (0..self.partition_count(topic)?.unwrap_or(0)).map(range).collect()
    }

    /// The partitions of a topic, each with its first offset at this timestamp or later, and its end offset.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub fn ranges_since(&self, topic: &str, timestamp_ms: i64) -> Result<Vec<(i32, i64, i64)>, Halt> {
        let mut ranges = self.offset_ranges(topic)?;
        let mut asked = TopicPartitionList::new();
        for (partition, _, _) in &ranges {
            let added = asked.add_partition_offset(topic, *partition, Offset::Offset(timestamp_ms.max(0)));
            added.map_err(|error| client_error(&self.settings, error))?;
        }
        let found = self.request(&format!("the offsets of the topic '{topic}' at a time"), |setup, timeout| {
            setup.client.offsets_for_times(asked.clone(), timeout)
        })?;
        for (partition, first, end) in &mut ranges {
            // Without a record at this time or later, there is nothing to read.
            *first = match found.find_partition(topic, *partition).map(|found| found.offset()) {
                Some(Offset::Offset(offset)) => offset.max(*first),
                _ => *end,
            };
        }
        Ok(ranges)
    }

    /// Refuses an input topic whose last records are dead letters.
    ///
    /// # Errors
    /// If the topic has dead letters.
    pub fn reject_dead_letters(&self, topic: &str) -> Result<(), Halt> {
        let ranges = self.offset_ranges(topic)?;
        let failed = |error: KafkaError| Halt::kafka(format!("the input topic '{topic}' could not be read: {error}"));
        let sample = last_records(&self.settings, topic, &ranges).map_err(failed)?;
        if DeadLetterDetector::default().detects(sample.records()) { Err(dead_letters_as_input(topic)) } else { Ok(()) }
    }

    /// Reads the ids of the input topics that exist now. Topics of the embedded broker have no ids.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub fn resolve_input(
        &self,
        topics: &InputTopics,
        at_start: &[String],
        has_ids: bool,
        context: InputContext,
    ) -> Result<Arc<Input>, Halt> {
        let names: Vec<&str> = at_start.iter().map(String::as_str).collect();
        let what = format!("the ids of the topics '{topics}'");
        let described = match has_ids {
            true if names.is_empty() => Some(BTreeMap::new()),
            true => Some(self.request(&what, |setup, timeout| setup.describe(&names, timeout))?),
            false => None,
        };
        let input = Arc::new(Input::new(topics.clone(), at_start, described.as_ref(), context)?);
        Ok(self.input.get_or_init(|| input).clone())
    }

    /// Reads the identities of topics. A topic that does not exist is missing.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub fn read_identities(
        &self,
        topics: &[&str],
        timeout: Duration,
    ) -> Result<BTreeMap<String, TopicIdentity>, KafkaError> {
        let described = self.describe(topics, timeout)?;
        Ok(described.into_iter().map(|(topic, described)| (topic, described.identity)).collect())
    }

    /// The result is empty for a broker without topic ids.
    fn describe(&self, topics: &[&str], timeout: Duration) -> Result<BTreeMap<String, TopicDescription>, KafkaError> {
        match describe_topics(self.client.client(), topics, timeout) {
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnsupportedFeature) => {
                Ok(BTreeMap::new())
            }
            described => described,
        }
    }

    /// Reads the offsets that the group has committed for partitions of the input topics. Offsets of a deleted topic with the same
    /// name are missing.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub fn read_committed(&self, numbers: &[i32], timeout: Duration) -> Result<Positions, KafkaError> {
        let Some(input) = self.input.get() else { return Ok(Positions::new()) };
        if numbers.is_empty() {
            // The caller also wants to know whether Kafka answers.
            self.client.fetch_metadata(Some("__consumer_offsets"), timeout)?;
            return Ok(Positions::new());
        }
        let topics = input.names();
        let committed = client::read_committed(&self.client, &topics, numbers.iter().copied(), timeout)?;
        Ok(client::filter_by_topic(committed, |number| input.identity(topics.index(number))))
    }

    /// A partition of an input topic, if there is one.
    pub fn any_partition(&self) -> Option<i32> {
        let input = self.input.get()?;
        let names = input.names();
        let topic = names.all().iter().position(|topic| input.topics.contains(topic))?;
        names.number(topic, 0)
    }
}

/// The error for an input topic with dead letters. Their dead letters would be dead letters of dead letters.
pub(super) fn dead_letters_as_input(topic: &str) -> Halt {
    Halt::configuration(format!(
        "the input topic '{topic}' contains dead letters of a host: their values are envelopes, not the records that failed. To map \
         the records that failed, read them with `mapper-host map --from-topic {topic} --format dead-letter`. To map the envelopes as they \
         are, give --input-is-dead-letters"
    ))
}

/// The error for a client that librdkafka does not create.
fn client_error(settings: &KafkaSettings, error: KafkaError) -> Halt {
    let message = match error {
        KafkaError::ClientConfig(_, description, key, value) => {
            let is_shown = properties::find(&key).is_some_and(|property| property.shows(&value));
            let value = if is_shown { format!("={value}") } else { String::new() };
            format!("librdkafka refuses --kafka {key}{value}: {description}")
        }
        other => format!("failed to create the Kafka client: {other}"),
    };
    Halt::configuration(settings.redact(&message))
}
