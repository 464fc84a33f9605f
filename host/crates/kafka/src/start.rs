//! Decides where to read a partition from: at the start, and when the next offset is not in the partition.

use rdkafka::topic_partition_list::Offset;

use mapper_core::topics::TopicIdentity;

/// A committed offset, and the topic that it was committed for if its metadata tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommittedOffset {
    pub(super) offset: i64,
    pub(super) identity: TopicIdentity,
}

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    /// At the committed offset.
    Committed(i64),
    /// Where the property `auto.offset.reset` says: nothing is committed.
    Reset,
    /// At the beginning: nothing is committed of a topic or partition that is new.
    New,
    /// At the beginning: the offset was committed for a topic that was deleted.
    Recreated(TopicIdentity),
}

/// Where to begin with a partition of this topic. `is_new`: the topic or the partition was created while the group read.
pub(super) fn start(committed: Option<&CommittedOffset>, topic: &TopicIdentity, is_new: bool) -> Start {
    match committed {
        Some(committed) if committed.identity.differs_from(topic) => Start::Recreated(committed.identity.clone()),
        Some(committed) => Start::Committed(committed.offset),
        None if is_new => Start::New,
        None => Start::Reset,
    }
}

/// Where a group begins that has committed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResetPolicy {
    Earliest,
    Latest,
    /// Not at all: the user decides.
    Error,
}

impl ResetPolicy {
    /// Reads the user's `auto.offset.reset`. librdkafka refuses values that it does not know.
    pub(super) fn from_properties(properties: &[(String, String)]) -> Self {
        let given =
            properties.iter().rfind(|(key, _)| key.strip_prefix("topic.").unwrap_or(key) == "auto.offset.reset");
        match given.map(|(_, value)| value.as_str()) {
            Some("largest" | "latest" | "end") => Self::Latest,
            Some("error") => Self::Error,
            _ => Self::Earliest,
        }
    }

    /// The logical offset, unless it is an error.
    pub(super) fn offset(self) -> Option<Offset> {
        match self {
            Self::Earliest => Some(Offset::Beginning),
            Self::Latest => Some(Offset::End),
            Self::Error => None,
        }
    }
}

/// What it means that a broker does not have the next offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutOfRange {
    /// It has it after all: the answer came from a broker that was behind.
    InRange,
    /// Records were removed: the first one left is at this offset.
    Gap(i64),
    /// The partition ends before it, so it is another one, or lost records. It goes on at this offset.
    Shorter(i64),
}

/// Judges an offset by the first offset and the end of its partition. `truncated_to` is where a replica with fewer records took
/// over, if the client noticed that.
pub(super) fn out_of_range(offset: i64, (first, end): (i64, i64), truncated_to: Option<i64>) -> OutOfRange {
    match truncated_to {
        Some(to) if to < offset => OutOfRange::Shorter(to.max(first)),
        _ if offset < first => OutOfRange::Gap(first),
        _ if offset > end => OutOfRange::Shorter(first),
        _ => OutOfRange::InRange,
    }
}

/// The offset in librdkafka's message that a partition was truncated, as when an unclean leader was elected.
pub(super) fn truncated_to(message: &str) -> Option<i64> {
    // "Partition log truncation detected at offset 100 (leader epoch 3): broker end offset is 90 (offset leader epoch 2). …"
    let (_, rest) = message.split_once("log truncation detected")?;
    let (_, rest) = rest.split_once("broker end offset is ")?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mapper_core::topics::TopicId;

    fn identity(id: &str) -> TopicIdentity {
        TopicIdentity { cluster: Some("cluster".into()), id: Some(TopicId(id.into())) }
    }

    fn committed(offset: i64, identity: TopicIdentity) -> CommittedOffset {
        CommittedOffset { offset, identity }
    }

    #[test]
    fn offset_of_a_deleted_topic_is_not_where_the_new_one_begins() {
        let (old, new) = (identity("old"), identity("new"));
        let of_old = committed(50, old.clone());
        assert_eq!(start(Some(&of_old), &new, false), Start::Recreated(old.clone()));
        assert_eq!(start(Some(&of_old), &old, true), Start::Committed(50));
        // Other programs commit without our metadata.
        let of_others = committed(50, TopicIdentity::default());
        assert_eq!(start(Some(&of_others), &new, true), Start::Committed(50));
        assert_eq!(start(Some(&of_old), &TopicIdentity::default(), false), Start::Committed(50));
        assert_eq!(start(None, &new, false), Start::Reset);
        assert_eq!(start(None, &new, true), Start::New);
    }

    #[test]
    fn offset_out_of_range_is_a_gap_or_a_shorter_partition() {
        for (offset, range, truncated_to, expected) in [
            (10, (50, 100), None, OutOfRange::Gap(50)),
            (10, (50, 50), None, OutOfRange::Gap(50)),
            (49, (50, 100), None, OutOfRange::Gap(50)),
            (50, (50, 100), None, OutOfRange::InRange),
            (100, (50, 100), None, OutOfRange::InRange),
            (101, (50, 100), None, OutOfRange::Shorter(50)),
            (50, (0, 20), None, OutOfRange::Shorter(0)),
            (100, (0, 150), Some(90), OutOfRange::Shorter(90)),
            (100, (95, 150), Some(90), OutOfRange::Shorter(95)),
            (80, (0, 150), Some(90), OutOfRange::InRange),
        ] {
            assert_eq!(out_of_range(offset, range, truncated_to), expected, "{offset} {range:?} {truncated_to:?}");
        }
    }

    #[test]
    fn truncation_is_read_from_the_message_of_librdkafka() {
        let message = "Partition log truncation detected at offset 100 (leader epoch 3): broker end offset is 90 \
                       (offset leader epoch 2). Reset to INVALID.: Local: Log truncated";
        assert_eq!(truncated_to(message), Some(90));
        assert_eq!(truncated_to("fetch failed due to requested offset not available on the broker"), None);
    }

    #[test]
    fn reset_policy_is_the_last_that_the_user_gave() {
        let policy = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            ResetPolicy::from_properties(&pairs)
        };
        assert_eq!(policy(&[]), ResetPolicy::Earliest);
        assert_eq!(policy(&[("auto.offset.reset", "latest")]), ResetPolicy::Latest);
        assert_eq!(policy(&[("topic.auto.offset.reset", "error")]), ResetPolicy::Error);
    }
}
