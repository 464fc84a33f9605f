//! Checks that topics exist and may be used, and creates missing ones.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{REQUEST_TIMEOUT, Setup, client_error};
use crate::client::ConnectionContext;
use crate::error_class::ErrorClass;
use crate::permissions::{MissingPermission, Operation, Resource, fetch_granted};
use crate::topic_limits;
use mapper_core::shutdown::Halt;

impl Setup {
    /// Checks that all topics exist, or creates the missing ones with `create` partitions.
    ///
    /// # Errors
    /// If topics are missing, or cannot be created.
    pub fn ensure_topics<'a>(
        &self,
        topics: impl IntoIterator<Item = &'a str>,
        create: Option<u32>,
    ) -> Result<(), Halt> {
        let missing = self.missing_topics(topics)?;
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
        self.create_topics(&missing, partitions, false)?;
        // The answer comes before all brokers have the new metadata.
        for topic in missing {
            self.request(&format!("the metadata of the new topic '{topic}'"), |setup, _| {
                match setup.partition_count(topic) {
                    Ok(Some(_)) => Ok(()),
                    _ => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)),
                }
            })?;
        }
        Ok(())
    }

    /// The topics that do not exist.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub fn missing_topics<'a>(&self, topics: impl IntoIterator<Item = &'a str>) -> Result<Vec<&'a str>, Halt> {
        let mut missing = Vec::new();
        for topic in topics {
            if self.partition_count(topic)?.is_none() {
                missing.push(topic);
            }
        }
        Ok(missing)
    }

    /// Creates topics with this number of partitions. With `validates_only`, Kafka only checks whether it would create them.
    ///
    /// # Errors
    /// If a topic cannot be created, for example without the permission.
    pub fn create_topics(&self, missing: &[&str], partitions: u32, validates_only: bool) -> Result<(), Halt> {
        let admin = self.admin()?;
        let wanted: Vec<_> =
            missing.iter().map(|topic| NewTopic::new(topic, partitions as i32, TopicReplication::Fixed(-1))).collect();
        let options =
            AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT)).request_timeout(Some(2 * REQUEST_TIMEOUT));
        let options = options.validate_only(validates_only);
        let failed = |reason: String| Halt::kafka(format!("the topics could not be created: {reason}"));
        let results =
            topic_limits::wait(admin.create_topics(&wanted, &options)).map_err(|error| failed(error.to_string()))?;
        for result in results {
            match result {
                Ok(_) if validates_only => {}
                Ok(topic) => tracing::info!(topic, partitions, "created the topic"),
                // Another host created it.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) if ErrorClass::of(code).is_not_authorized() => {
                    let missing = MissingPermission::new([Operation::Create], Resource::Topic(&topic));
                    return Err(failed(format!("'{topic}': {code}: {missing}")));
                }
                Err((topic, code)) => return Err(failed(format!("'{topic}': {code}"))),
            }
        }
        Ok(())
    }

    pub(super) fn admin(&self) -> Result<AdminClient<ConnectionContext>, Halt> {
        AdminClient::from_config_and_context(&self.settings.query_client(), ConnectionContext::default())
            .map_err(|error| client_error(&self.settings, error))
    }

    /// Checks the permissions to read the input topics and to write the output topics, if Kafka reports them.
    ///
    /// # Errors
    /// If a permission is missing.
    pub fn check_permissions(&self, inputs: &[String], outputs: &[&str]) -> Result<(), Halt> {
        let inputs = inputs.iter().map(String::as_str);
        let topics: Vec<&str> = outputs.iter().copied().chain(inputs.clone()).collect();
        let granted = match fetch_granted(self.client.client(), &topics, REQUEST_TIMEOUT) {
            Ok(granted) => granted,
            Err(error) => {
                tracing::info!(target: "kafka", %error, "the broker reports no permissions; continuing without a check");
                return Ok(());
            }
        };
        let needed =
            outputs.iter().map(|topic| (*topic, Operation::Write)).chain(inputs.map(|topic| (topic, Operation::Read)));
        for (topic, operation) in needed {
            if granted.get(topic).is_some_and(|granted| !granted.contains(&operation)) {
                let missing = MissingPermission::new([operation], Resource::Topic(topic));
                let what = if operation == Operation::Read { "read" } else { "written to" };
                return Err(Halt::kafka(format!("the topic '{topic}' can't be {what}: {missing}")));
            }
        }
        Ok(())
    }
}
