//! The identities of topics. A recreated topic has the same name and another id.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The prefix of the metadata of offsets that the host commits.
const METADATA_PREFIX: &str = "mapper-host/1 ";

/// The id that a cluster gave a topic when it created it, in base64 as Kafka's tools show it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct TopicId(pub String);

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a topic, and the id of its cluster. Each is `None` for brokers without such ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicIdentity {
    /// Topic ids of different clusters are not comparable.
    pub cluster: Option<String>,
    pub id: Option<TopicId>,
}

impl TopicIdentity {
    /// Whether both are certainly different topics of one cluster.
    pub fn differs_from(&self, other: &Self) -> bool {
        self.cluster.is_some()
            && self.cluster == other.cluster
            && matches!((&self.id, &other.id), (Some(a), Some(b)) if a != b)
    }

    /// The metadata of a committed offset. All hosts of the group read it. Empty without ids.
    pub fn to_offset_metadata(&self) -> String {
        match (&self.cluster, &self.id) {
            (Some(cluster), Some(id)) => format!("{METADATA_PREFIX}cluster={cluster} topic={id}"),
            _ => String::new(),
        }
    }

    /// Parses the metadata of a committed offset. Metadata of other programs has no identity.
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
    fn offset_metadata_has_the_identity() {
        let identity = identity("4L6g3nShT-eMCtK--X86sw", "REm6l2J9TL+1OtDPaltrPQ");
        assert_eq!(TopicIdentity::from_offset_metadata(&identity.to_offset_metadata()), identity);
        assert_eq!(TopicIdentity::default().to_offset_metadata(), "");
        for foreign in ["", "AQAAAYx0", "mapper-host/2 topic=x", "cluster=a topic=b", "{\"topic\":\"x\"}"] {
            assert_eq!(TopicIdentity::from_offset_metadata(foreign), TopicIdentity::default(), "{foreign}");
        }
    }

    #[test]
    fn topics_differ_only_within_one_cluster() {
        assert!(identity("a", "1").differs_from(&identity("a", "2")));
        assert!(!identity("a", "1").differs_from(&identity("a", "1")));
        // A tool can copy offsets from another cluster, with the topic id of that cluster.
        assert!(!identity("a", "1").differs_from(&identity("b", "2")));
        assert!(!identity("a", "1").differs_from(&TopicIdentity::default()));
        assert!(!TopicIdentity::default().differs_from(&TopicIdentity::default()));
    }
}
