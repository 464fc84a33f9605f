//! Which topic a name stands for: a topic that is deleted and created again has the same name and another id.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the metadata of our committed offsets begins with.
const METADATA_PREFIX: &str = "mapper-host/1 ";

/// The id that a cluster gave a topic when it created it, in base64 as Kafka's tools show it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct TopicId(pub String);

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A topic by its id and the cluster that gave it. Either is absent if the brokers do not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicIdentity {
    /// The id of the cluster: ids of topics are not comparable between clusters.
    pub cluster: Option<String>,
    /// The id of the topic.
    pub id: Option<TopicId>,
}

impl TopicIdentity {
    /// Whether the two are certainly different topics of one cluster.
    pub fn differs_from(&self, other: &Self) -> bool {
        self.cluster.is_some()
            && self.cluster == other.cluster
            && matches!((&self.id, &other.id), (Some(a), Some(b)) if a != b)
    }

    /// The metadata of a committed offset: it travels with the group, wherever hosts run. Empty if there is nothing to tell.
    pub fn to_offset_metadata(&self) -> String {
        match (&self.cluster, &self.id) {
            (Some(cluster), Some(id)) => format!("{METADATA_PREFIX}cluster={cluster} topic={id}"),
            _ => String::new(),
        }
    }

    /// Reads the metadata of a committed offset. That of other programs says nothing.
    pub fn from_offset_metadata(metadata: &str) -> Self {
        let mut identity = Self::default();
        for field in metadata.strip_prefix(METADATA_PREFIX).unwrap_or_default().split(' ') {
            match field.split_once('=') {
                Some(("cluster", cluster)) => identity.cluster = Some(cluster.into()),
                Some(("topic", id)) => identity.id = Some(TopicId(id.into())),
                _ => {}
            }
        }
        identity
    }
}

/// A topic was deleted and created again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recreation {
    /// The name of the topic.
    pub topic: String,
    /// When the host noticed, UTC in RFC 3339.
    pub noticed: String,
    /// The id of the deleted topic; null if it is not known.
    pub old_id: Option<TopicId>,
    /// The id of the new topic; null if it is not known.
    pub new_id: Option<TopicId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(cluster: &str, id: &str) -> TopicIdentity {
        TopicIdentity { cluster: Some(cluster.into()), id: Some(TopicId(id.into())) }
    }

    #[test]
    fn identity_survives_in_the_metadata_of_an_offset() {
        let identity = identity("4L6g3nShT-eMCtK--X86sw", "REm6l2J9TL+1OtDPaltrPQ");
        assert_eq!(TopicIdentity::from_offset_metadata(&identity.to_offset_metadata()), identity);
        assert_eq!(TopicIdentity::default().to_offset_metadata(), "");
        for foreign in ["", "AQAAAYx0", "mapper-host/2 topic=x", "cluster=a topic=b", "{\"topic\":\"x\"}"] {
            assert_eq!(TopicIdentity::from_offset_metadata(foreign), TopicIdentity::default(), "{foreign}");
        }
    }

    #[test]
    fn topics_differ_only_if_one_cluster_gave_both_ids() {
        assert!(identity("a", "1").differs_from(&identity("a", "2")));
        assert!(!identity("a", "1").differs_from(&identity("a", "1")));
        // Offsets that a tool copied from another cluster have the id of the topic there.
        assert!(!identity("a", "1").differs_from(&identity("b", "2")));
        assert!(!identity("a", "1").differs_from(&TopicIdentity::default()));
        assert!(!TopicIdentity::default().differs_from(&TopicIdentity::default()));
    }
}
