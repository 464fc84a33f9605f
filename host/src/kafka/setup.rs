//! What must be true of a Kafka before the first record: it answers, the topics are there, and how large their records may
//! be.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::{self, KafkaSettings, Quiet};
use super::until::Until;
use crate::config::properties;
use crate::decision::{DEFAULT_RECORD_BYTES, Route, Routes};
use crate::shutdown::{Halt, Shutdown};

/// How long one question may take before it is asked again.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// librdkafka's own bounds for `message.max.bytes`.
const MAX_RECORD_BYTES: usize = 1_000_000_000;

/// A connection that only asks.
pub struct Setup {
    settings: KafkaSettings,
    asking: BaseConsumer<Quiet>,
    deadline: Instant,
    shutdown: Shutdown,
}

impl Setup {
    /// Connects; gives up after `within`.
    ///
    /// # Errors
    /// When librdkafka refuses a property, or no broker answers in time.
    pub fn connect(settings: &KafkaSettings, within: Duration, shutdown: &Shutdown) -> Result<Self, Halt> {
        super::files::check(&settings.properties)?;
        let asking = BaseConsumer::from_config_and_context(&settings.asking(), Quiet)
            .map_err(|error| refused_property(settings, error))?;
        let deadline = Instant::now() + within;
        let setup = Self { settings: settings.clone(), asking, deadline, shutdown: shutdown.clone() };
        setup.insist("which brokers there are", || {
            setup.asking.fetch_metadata(Some("__consumer_offsets"), setup.patience())
        })?;
        Ok(setup)
    }

    fn patience(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(100), ASK_TIMEOUT)
    }

    /// Asks until there is an answer, or it is too late.
    fn insist<T>(&self, what: &str, ask: impl Fn() -> Result<T, KafkaError>) -> Result<T, Halt> {
        loop {
            let error = match ask() {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if Instant::now() >= self.deadline || self.shutdown.requested() {
                return Err(Halt::kafka(format!(
                    "Kafka at '{}' doesn't answer {what}: {error}. Check --brokers, and the network and security settings (--kafka)",
                    self.settings.brokers
                )));
            }
            tracing::info!(target: "kafka", brokers = self.settings.brokers, %error, "no answer yet; asking again");
            self.shutdown.sleep(Duration::from_millis(250));
        }
    }

    /// The number of partitions of a topic; `None` if there is no such topic.
    fn partitions(&self, topic: &str) -> Result<Option<i32>, Halt> {
        self.insist(&format!("about the topic '{topic}'"), || {
            let metadata = self.asking.fetch_metadata(Some(topic), self.patience())?;
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            match found.and_then(|found| found.error()).map(RDKafkaErrorCode::from) {
                None => Ok(found.map(|found| found.partitions().len() as i32).filter(|partitions| *partitions > 0)),
                Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(None),
                Some(code) => Err(KafkaError::MetadataFetch(code)),
            }
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
        let results = wait(admin.create_topics(&wanted, &options))?.map_err(|error| failed(error.to_string()))?;
        for result in results {
            match result {
                Ok(topic) => tracing::info!(topic, partitions, "created the topic"),
                // Another host was faster.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(failed(format!("'{topic}': {code}"))),
            }
        }
        // A broker answers before all of it knows.
        for topic in missing {
            self.insist(&format!("about the new topic '{topic}'"), || match self.partitions(topic) {
                Ok(Some(_)) => Ok(()),
                _ => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)),
            })?;
        }
        Ok(())
    }

    fn admin(&self) -> Result<AdminClient<Quiet>, Halt> {
        AdminClient::from_config_and_context(&self.settings.asking(), Quiet)
            .map_err(|error| refused_property(&self.settings, error))
    }

    /// The routes to these topics, with the largest record that each takes.
    ///
    /// # Errors
    /// When the client can't be made; a broker that doesn't tell is only a warning.
    pub fn routes(&self, outputs: &[&str], dead_letters: &str) -> Result<Routes, Halt> {
        let admin = self.admin()?;
        let topics: Vec<&str> = outputs.iter().copied().chain([dead_letters]).collect();
        let asked: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let options = AdminOptions::new().request_timeout(Some(ASK_TIMEOUT));
        let answers = wait(admin.describe_configs(&asked, &options))?.unwrap_or_default();
        let mut routes = topics.iter().enumerate().map(|(index, topic)| {
            let config = answers.get(index).and_then(|answer| answer.as_ref().ok());
            let told = config.and_then(|config| config.get("max.message.bytes")?.value.as_ref()?.parse().ok());
            if told.is_none() {
                tracing::warn!(
                    topic,
                    bytes = DEFAULT_RECORD_BYTES,
                    "the broker doesn't say how large a record may be; taking Kafka's default"
                );
            }
            let taken = told.unwrap_or(DEFAULT_RECORD_BYTES).min(MAX_RECORD_BYTES);
            // What the user's producer does not take is not sent, either.
            let max_record_bytes = taken.min(self.settings.max_message_bytes().unwrap_or(taken));
            Route { topic: (*topic).into(), max_record_bytes }
        });
        let dead_letters = routes.next_back().expect("the dead-letter topic was asked for, last");
        Ok(Routes { outputs: routes.collect(), dead_letters, added_bytes: 0 })
    }

    /// The end offsets of a topic as they are now.
    ///
    /// # Errors
    /// When Kafka doesn't answer.
    pub fn until(&self, topic: &str) -> Result<Until, Halt> {
        let partitions = self.partitions(topic)?.unwrap_or(0);
        let mut ends = BTreeMap::new();
        for partition in 0..partitions {
            let (first, end) = self.insist("where the input topic ends", || {
                self.asking.fetch_watermarks(topic, partition, self.patience())
            })?;
            ends.insert(partition, if first == end { 0 } else { end });
        }
        Ok(Until::new(ends))
    }

    /// The offsets that the group has committed. The answer may take that long.
    ///
    /// # Errors
    /// When Kafka doesn't answer.
    pub fn committed(
        &self,
        topic: &str,
        partitions: impl IntoIterator<Item = i32>,
        timeout: Duration,
    ) -> Result<BTreeMap<i32, i64>, KafkaError> {
        client::committed(&self.asking, topic, partitions, timeout)
    }
}

/// Waits for an answer; the client's own threads do the work.
fn wait<T>(answer: impl Future<Output = T>) -> Result<T, Halt> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    Ok(runtime.map_err(|error| Halt::internal(&error.into()))?.block_on(answer))
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
