//! A partition as users see it: as a key of a JSON object, and in the text of commands.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::topic_table::TopicNames;

/// A partition of the only input topic, as `0`, or of one of several, as `visits-eu/0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub struct PartitionKey {
    /// `None` if there is only one input topic.
    pub topic: Option<String>,
    pub partition: i32,
}

impl PartitionKey {
    /// The partition of a number.
    pub fn new(topics: &TopicNames, number: i32) -> Self {
        let topic = (!topics.is_single()).then(|| topics.topic(number).to_owned());
        Self { topic, partition: topics.partition(number) }
    }
}

impl From<i32> for PartitionKey {
    fn from(partition: i32) -> Self {
        Self { topic: None, partition }
    }
}

impl From<PartitionKey> for String {
    fn from(key: PartitionKey) -> Self {
        match key.topic {
            Some(topic) => format!("{topic}/{}", key.partition),
            None => key.partition.to_string(),
        }
    }
}

impl TryFrom<String> for PartitionKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // No topic name has a slash.
        let (topic, partition) = text.rsplit_once('/').map_or((None, &*text), |(topic, rest)| (Some(topic), rest));
        let partition = partition.parse().map_err(|_| format!("not a partition: {text:?}"))?;
        Ok(Self { topic: topic.map(str::to_owned), partition })
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.topic {
            Some(topic) => write!(f, "topic {topic}, partition {}", self.partition),
            None => write!(f, "partition {}", self.partition),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn key_is_the_same_after_a_round_trip_through_json() {
        let names = TopicNames::new(["visits", "orders"]);
        let number = names.number(1, 10).unwrap();
        let offsets = BTreeMap::from([(PartitionKey::new(&names, 2), 5), (PartitionKey::new(&names, number), 7)]);
        let text = serde_json::to_string(&offsets).unwrap();
        assert_eq!(text, r#"{"orders/10":7,"visits/2":5}"#);
        assert_eq!(serde_json::from_str::<BTreeMap<PartitionKey, i32>>(&text).unwrap(), offsets);
        let alone = BTreeMap::from([(PartitionKey::new(&TopicNames::one("visits"), 2), 5)]);
        assert_eq!(serde_json::to_string(&alone).unwrap(), r#"{"2":5}"#);
        assert!(serde_json::from_str::<PartitionKey>(r#""visits""#).is_err());
    }
}
