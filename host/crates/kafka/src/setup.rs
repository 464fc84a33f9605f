//! What must be true of a Kafka before the first record: it answers, the topics are there, the host may use them, and how large their
//! records may be.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::{self, KafkaSettings, Quiet};
use super::describe::{Described, describe_topics};
use super::diagnosis;
use super::input::InputTopic;
use super::permissions::{Missing, Operation, Resource, granted, is_refused};
use super::sample::last_records;
use super::topic_limits;
use super::until::Until;
use crate::policy::InputPolicy;
use crate::properties;
use mapper_core::dead_letter::DeadLetterDetector;
use mapper_core::decision::{DEFAULT_RECORD_BYTES, Routes};
use mapper_core::record::Positions;
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_core::topics::TopicIdentity;
use mapper_state::intents::Intents;

use crate::topic_events::TopicEvents;

/// How long one question may take before it is asked again.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for the first time; doubled each time. It is short, so that what can't be helped by waiting is seen soon.
const FIRST_ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a cause that waiting can't help is watched before the host gives up: another broker may answer.
const PERMANENT_AFTER: Duration = Duration::from_millis(1500);
/// How long what a client reports is taken in after each question.
const REPORTS_TIME: Duration = Duration::from_millis(20);

/// A connection that only asks.
pub struct Setup {
    settings: KafkaSettings,
    asking: BaseConsumer<Quiet>,
    deadline: Instant,
    shutdown: Shutdown,
    /// The input topic, once it is known.
    input: OnceLock<Arc<InputTopic>>,
}

impl Setup {
    /// Connects; gives up after `within`.
    ///
    /// # Errors
    /// When librdkafka refuses a property, or no broker answers in time.
    pub fn connect(settings: &KafkaSettings, within: Duration, shutdown: &Shutdown) -> Result<Self, Halt> {
        super::files::check(&settings.properties)?;
        let mut config = settings.asking();
        // A connection that is closed at its begin is reported at this level, and it is what a port of another protocol does.
        config.set_log_level(RDKafkaLogLevel::Info);
        let asking = BaseConsumer::from_config_and_context(&config, Quiet::default())
            .map_err(|error| refused_property(settings, error))?;
        let deadline = Instant::now() + within;
        let setup =
            Self { settings: settings.clone(), asking, deadline, shutdown: shutdown.clone(), input: OnceLock::new() };
        setup.insist("the metadata", |setup, timeout| {
            setup.asking.fetch_metadata(Some("__consumer_offsets"), timeout)
        })?;
        Ok(setup)
    }

    /// Asks until there is an answer, or it is too late, or waiting can't help.
    fn insist<T>(&self, what: &str, ask: impl Fn(&Self, Duration) -> Result<T, KafkaError>) -> Result<T, Halt> {
        let mut patience = FIRST_ASK_TIMEOUT;
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let error = match ask(self, patience.min(left).max(Duration::from_millis(100))) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if let Some(code) = error.rdkafka_error_code().filter(|code| is_refused(*code)) {
                return Err(Halt::kafka(format!("Kafka at '{}' refuses {what}: {code}", self.settings.brokers)));
            }
            self.take_reports();
            let errors = &self.asking.context().errors;
            let late = Instant::now() >= self.deadline || self.shutdown.requested();
            if late || errors.are_permanent(PERMANENT_AFTER) {
                return Err(Halt::kafka(diagnosis::unreachable(&self.settings, errors, what, &error)));
            }
            tracing::info!(target: "kafka", brokers = self.settings.brokers, %error, "no answer yet; asking again");
            self.shutdown.sleep(Duration::from_millis(250));
            patience = (patience * 2).min(ASK_TIMEOUT);
        }
    }

    /// What the client reports waits until it is polled.
    fn take_reports(&self) {
        let until = Instant::now() + REPORTS_TIME;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            // Nothing is subscribed, so no record comes; the context takes in the rest.
            drop(self.asking.poll(left));
        }
    }

    /// The number of partitions of a topic; `None` if there is no such topic.
    fn partitions(&self, topic: &str) -> Result<Option<i32>, Halt> {
        let answer = self.insist(&format!("the metadata of the topic '{topic}'"), |setup, timeout| {
            let metadata = setup.asking.fetch_metadata(Some(topic), timeout)?;
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            match found.and_then(|found| found.error()).map(RDKafkaErrorCode::from) {
                None => Ok(Ok(found.map(|found| found.partitions().len() as i32).filter(|partitions| *partitions > 0))),
                Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(Ok(None)),
                Some(code) if is_refused(code) => Ok(Err(code)),
                Some(code) => Err(KafkaError::MetadataFetch(code)),
            }
        })?;
        answer.map_err(|code| {
            let missing = Missing::new([Operation::Describe], Resource::Topic(topic));
            Halt::kafka(format!("the topic '{topic}' can't be used: {code}: {missing}"))
        })
    }

    /// Checks that all topics are there, or creates the missing ones with that many partitions.
    ///
    /// # Errors
    /// Names those that are missing.
    pub fn topics<'a>(&self, topics: impl IntoIterator<Item = &'a str>, create: Option<u32>) -> Result<(), Halt> {
        let mut missing = Vec::new();
        for topic in topics {
            if self.partitions(topic)?.is_none() {
                missing.push(topic);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let Some(partitions) = create else {
            let (they, are) = if missing.len() == 1 { ("topic", "doesn't") } else { ("topics", "don't") };
            return Err(Halt::configuration(format!(
                "the {they} {} {are} exist at '{}'; create with --create-topics PARTITIONS, or check the names",
                missing.iter().map(|topic| format!("'{topic}'")).collect::<Vec<_>>().join(", "),
                self.settings.brokers
            )));
        };
        let admin = self.admin()?;
        let wanted: Vec<_> =
            missing.iter().map(|topic| NewTopic::new(topic, partitions as i32, TopicReplication::Fixed(-1))).collect();
        let options = AdminOptions::new().operation_timeout(Some(ASK_TIMEOUT)).request_timeout(Some(2 * ASK_TIMEOUT));
        let failed = |reason: String| Halt::kafka(format!("the topics could not be created: {reason}"));
        let results =
            topic_limits::wait(admin.create_topics(&wanted, &options)).map_err(|error| failed(error.to_string()))?;
        for result in results {
            match result {
                Ok(topic) => tracing::info!(topic, partitions, "created the topic"),
                // Another host was faster.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) if is_refused(code) => {
                    let missing = Missing::new([Operation::Create], Resource::Topic(&topic));
                    return Err(failed(format!("'{topic}': {code}: {missing}")));
                }
                Err((topic, code)) => return Err(failed(format!("'{topic}': {code}"))),
            }
        }
        // A broker answers before all of it knows.
        for topic in missing {
            self.insist(&format!("the metadata of the new topic '{topic}'"), |setup, _| {
                match setup.partitions(topic) {
                    Ok(Some(_)) => Ok(()),
                    _ => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)),
                }
            })?;
        }
        Ok(())
    }

    /// Checks that the host may read this topic and write to these, as far as Kafka tells.
    ///
    /// # Errors
    /// Names what is missing.
    pub fn permissions(&self, input: &str, outputs: &[&str]) -> Result<(), Halt> {
        let topics: Vec<&str> = outputs.iter().copied().chain([input]).collect();
        let granted = match granted(self.asking.client(), &topics, ASK_TIMEOUT) {
            Ok(granted) => granted,
            Err(error) => {
                tracing::info!(target: "kafka", %error, "the broker does not tell what this host may do; going on without a check");
                return Ok(());
            }
        };
        let needed = outputs.iter().map(|topic| (*topic, Operation::Write)).chain([(input, Operation::Read)]);
        for (topic, operation) in needed {
            if granted.get(topic).is_some_and(|granted| !granted.contains(&operation)) {
                let missing = Missing::new([operation], Resource::Topic(topic));
                let what = if operation == Operation::Read { "read" } else { "written to" };
                return Err(Halt::kafka(format!("the topic '{topic}' can't be {what}: {missing}")));
            }
        }
        Ok(())
    }

    fn admin(&self) -> Result<AdminClient<Quiet>, Halt> {
        AdminClient::from_config_and_context(&self.settings.asking(), Quiet::default())
            .map_err(|error| refused_property(&self.settings, error))
    }

    /// The routes to these topics, with what each takes.
    ///
    /// # Errors
    /// When the client can't be made; a broker that doesn't tell is only a warning.
    pub fn routes(&self, outputs: &[&str], dead_letters: &str) -> Result<Routes, Halt> {
        let topics: Vec<&str> = outputs.iter().copied().chain([dead_letters]).collect();
        let limits = match topic_limits::describe(&self.settings, &topics, ASK_TIMEOUT) {
            Ok(limits) => limits,
            Err(error @ KafkaError::ClientConfig(..)) => return Err(refused_property(&self.settings, error)),
            Err(error) => {
                tracing::warn!(target: "kafka", %error, "the configuration of the topics could not be read");
                vec![None; topics.len()]
            }
        };
        for (topic, _) in topics.iter().zip(&limits).filter(|(_, limits)| limits.is_none()) {
            tracing::warn!(
                topic,
                bytes = DEFAULT_RECORD_BYTES,
                "the topic's configuration is not known (permission DESCRIBE_CONFIGS); taking Kafka's default for the size of \
                 records, and leaving keys and timestamps to the broker"
            );
        }
        if limits.last().is_some_and(|limits| limits.as_ref().is_some_and(|limits| limits.needs_key)) {
            tracing::warn!(
                topic = dead_letters,
                "the dead-letter topic is compacted (cleanup.policy): Kafka keeps only the last dead letter of each key"
            );
        }
        let limits =
            limits.into_iter().map(|limits| Some(topic_limits::capped(&self.settings, limits.unwrap_or_default())));
        Ok(Routes::with_default_limits(outputs, dead_letters).with_limits(limits))
    }

    /// The end offsets of a topic as they are now.
    ///
    /// # Errors
    /// When Kafka doesn't answer.
    pub fn until(&self, topic: &str) -> Result<Until, Halt> {
        let partitions = self.partitions(topic)?.unwrap_or(0);
        let mut ends = BTreeMap::new();
        for partition in 0..partitions {
            let (first, end) = self.insist("the end offsets of the input topic", |setup, timeout| {
                setup.asking.fetch_watermarks(topic, partition, timeout)
            })?;
            ends.insert(partition, if first == end { 0 } else { end });
        }
        Ok(Until::new(ends))
    }

    /// Refuses an input topic of dead letters, as far as its last records tell.
    ///
    /// # Errors
    /// If it is one.
    pub fn refuse_dead_letters(&self, topic: &str) -> Result<(), Halt> {
        let mut ranges = Vec::new();
        for partition in 0..self.partitions(topic)?.unwrap_or(0) {
            let (first, end) = self.insist("the end offsets of the input topic", |setup, timeout| {
                setup.asking.fetch_watermarks(topic, partition, timeout)
            })?;
            ranges.push((partition, first, end));
        }
        let failed = |error: KafkaError| Halt::kafka(format!("the input topic '{topic}' could not be read: {error}"));
        let sample = last_records(&self.settings, topic, &ranges).map_err(failed)?;
        if DeadLetterDetector::default().detects(&sample) { Err(dead_letters_as_input(topic)) } else { Ok(()) }
    }

    /// The input topic as it is now. Topics of the embedded broker have no id that it tells.
    ///
    /// # Errors
    /// When Kafka doesn't answer.
    pub fn input(
        &self,
        (topic, has_id): (&str, bool),
        until: Option<Arc<Until>>,
        policy: InputPolicy,
        reports: (Arc<dyn TopicEvents>, Arc<Intents>),
    ) -> Result<Arc<InputTopic>, Halt> {
        let what = format!("the id of the topic '{topic}'");
        let described = match has_id {
            true => self.insist(&what, |setup, timeout| setup.described(&[topic], timeout))?,
            false => BTreeMap::new(),
        };
        let input = Arc::new(InputTopic::new(topic, described.get(topic), until, policy, reports));
        Ok(self.input.get_or_init(|| input).clone())
    }

    /// Which topics these names stand for, without those that don't exist.
    ///
    /// # Errors
    /// When Kafka doesn't answer.
    pub fn identities(
        &self,
        topics: &[&str],
        timeout: Duration,
    ) -> Result<BTreeMap<String, TopicIdentity>, KafkaError> {
        let described = self.described(topics, timeout)?;
        Ok(described.into_iter().map(|(topic, described)| (topic, described.identity)).collect())
    }

    /// A broker that can't describe topics has no topic ids either.
    fn described(&self, topics: &[&str], timeout: Duration) -> Result<BTreeMap<String, Described>, KafkaError> {
        match describe_topics(self.asking.client(), topics, timeout) {
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnsupportedFeature) => {
                Ok(BTreeMap::new())
            }
            described => described,
        }
    }

    /// The offsets that the group has committed for the input topic, not for a deleted one of the same name. The answer may take that long.
    ///
    /// # Errors
    /// When Kafka doesn't answer.
    pub fn committed(
        &self,
        topic: &str,
        partitions: impl IntoIterator<Item = i32>,
        timeout: Duration,
    ) -> Result<Positions, KafkaError> {
        let committed = client::committed(&self.asking, topic, partitions, timeout)?;
        let identity = self.input.get().map(|input| input.identity()).unwrap_or_default();
        Ok(client::of_topic(committed, &identity))
    }
}

/// Mapping dead letters makes dead letters of dead letters.
pub(super) fn dead_letters_as_input(topic: &str) -> Halt {
    Halt::configuration(format!(
        "the input topic '{topic}' contains dead letters of a host: their values are envelopes, not the records that failed. To map \
         the records that failed, read them with `mapper-host map --from-topic {topic} --format dead-letter`. To map the envelopes as they \
         are, give --input-is-dead-letters"
    ))
}

/// Why librdkafka makes no client of these properties.
fn refused_property(settings: &KafkaSettings, error: KafkaError) -> Halt {
    let message = match error {
        KafkaError::ClientConfig(_, description, key, value) => {
            let is_shown = properties::find(&key).is_some_and(|property| property.shows(&value));
            let value = if is_shown { format!("={value}") } else { String::new() };
            format!("librdkafka refuses --kafka {key}{value}: {description}")
        }
        other => format!("the Kafka client can't be made: {other}"),
    };
    Halt::configuration(settings.without_secrets(&message))
}
