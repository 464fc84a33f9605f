//! The committed offsets of a group, read without joining it.

use std::collections::BTreeMap;

use super::{REQUEST_TIMEOUT, Setup};
use crate::client;
use crate::topic_limits;
use mapper_core::shutdown::Halt;
use mapper_core::topic_table::TopicNames;
use mapper_core::topics::TopicIdentity;

impl Setup {
    /// Reads the committed offsets of all partitions of these topics. `None`: nothing is committed, or only for a deleted topic of
    /// the same name. It waits for open transactions with offsets of the group.
    ///
    /// # Errors
    /// If Kafka does not answer, or a topic does not exist.
    pub fn read_group_offsets(&self, topics: &[String]) -> Result<BTreeMap<(String, i32), Option<i64>>, Halt> {
        let names = TopicNames::new(topics.iter().map(String::as_str));
        let mut numbers = Vec::new();
        for (index, topic) in topics.iter().enumerate() {
            let Some(count) = self.partition_count(topic)? else {
                let brokers = &self.settings.brokers;
                return Err(Halt::configuration(format!(
                    "the topic '{topic}' doesn't exist at '{brokers}'; check the name"
                )));
            };
            numbers.extend((0..count).filter_map(|partition| names.number(index, partition)));
        }
        let all: Vec<&str> = topics.iter().map(String::as_str).collect();
        let identities =
            self.request("the ids of the input topics", |setup, timeout| setup.read_identities(&all, timeout))?;
        let committed = self.request("the committed offsets of the group", |setup, timeout| {
            client::read_committed(&setup.client, &names, numbers.iter().copied(), timeout)
        })?;
        let identity =
            |number: i32| -> TopicIdentity { identities.get(names.topic(number)).cloned().unwrap_or_default() };
        let committed = client::filter_by_topic(committed, identity);
        let offset = |number: &i32| {
            ((names.topic(*number).to_owned(), names.partition(*number)), committed.get(number).copied())
        };
        Ok(numbers.iter().map(offset).collect())
    }

    /// Whether topics are compacted, in their order. `false` if the configuration of a topic is not known.
    pub fn are_compacted(&self, topics: &[&str]) -> Vec<bool> {
        let limits = topic_limits::describe(&self.settings, topics, REQUEST_TIMEOUT).unwrap_or_else(|error| {
            tracing::warn!(target: "kafka", %error, "failed to read the configuration of the topics");
            Vec::new()
        });
        let is_compacted =
            |index: usize| limits.get(index).and_then(Option::as_ref).is_some_and(|limits| limits.needs_key);
        (0..topics.len()).map(is_compacted).collect()
    }
}
