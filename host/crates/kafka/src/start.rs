//! Decides the offset to read a partition from, at the start and for an offset out of range.

use rdkafka::topic_partition_list::Offset;

use mapper_core::topics::TopicIdentity;

/// A committed offset, and the identity of its topic from the metadata of the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommittedOffset {
    pub(super) offset: i64,
    pub(super) identity: TopicIdentity,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    Committed(i64),
    /// Nothing is committed: `auto.offset.reset` decides.
    Reset,
    /// The beginning, because the topic or the partition is new.
    New,
    /// The beginning, because the offset was committed for a deleted topic.
    Recreated(TopicIdentity),
}

/// Decides the start of a partition. `is_new` is true if the topic or the partition was created after the start of the host.
pub(super) fn choose_start(committed: Option<&CommittedOffset>, topic: &TopicIdentity, is_new: bool) -> Start {
    match committed {
        Some(committed) if committed.identity.differs_from(topic) => Start::Recreated(committed.identity.clone()),
        Some(committed) => Start::Committed(committed.offset),
        None if is_new => Start::New,
        None => Start::Reset,
    }
}

/// The start of a group without committed offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResetPolicy {
    Earliest,
    Latest,
    Error,
}

impl ResetPolicy {
    /// Parses `auto.offset.reset` of the user. librdkafka itself refuses invalid values.
    pub(super) fn from_properties(properties: &[(String, String)]) -> Self {
        let given =
            properties.iter().rfind(|(key, _)| key.strip_prefix("topic.").unwrap_or(key) == "auto.offset.reset");
        match given.map(|(_, value)| value.as_str()) {
            Some("largest" | "latest" | "end") => Self::Latest,
            Some("error") => Self::Error,
            _ => Self::Earliest,
        }
    }

    /// The logical offset; `None` for `error`.
    pub(super) fn offset(self) -> Option<Offset> {
        match self {
            Self::Earliest => Some(Offset::Beginning),
            Self::Latest => Some(Offset::End),
            Self::Error => None,
        }
    }
}

/// The cause of an offset out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutOfRange {
    /// The offset exists: the error came from a replica that was behind.
    InRange,
    /// Records were removed. The first remaining one has this offset.
    Gap(i64),
    /// The partition ends before the offset: it was recreated, or lost records. The source continues at this offset.
    Truncated(i64),
}

/// Classifies an offset by the first and the end offset of its partition. `truncated_to` is the end offset of a new leader with
/// fewer records, if the client detected one.
pub(super) fn classify_out_of_range(offset: i64, (first, end): (i64, i64), truncated_to: Option<i64>) -> OutOfRange {
    match truncated_to {
        Some(to) if to < offset => OutOfRange::Truncated(to.max(first)),
        _ if offset < first => OutOfRange::Gap(first),
        _ if offset > end => OutOfRange::Truncated(first),
        _ => OutOfRange::InRange,
    }
}

/// Parses the end offset in a truncation message of librdkafka, for example after an unclean leader election.
pub(super) fn parse_truncated_to(message: &str) -> Option<i64> {
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
    fn offset_of_a_deleted_topic_is_not_used_for_the_new_one() {
        let (old, new) = (identity("old"), identity("new"));
        let of_old = committed(50, old.clone());
        assert_eq!(choose_start(Some(&of_old), &new, false), Start::Recreated(old.clone()));
        assert_eq!(choose_start(Some(&of_old), &old, true), Start::Committed(50));
        // Other programs commit without the metadata of the host.
        let of_others = committed(50, TopicIdentity::default());
        assert_eq!(choose_start(Some(&of_others), &new, true), Start::Committed(50));
        assert_eq!(choose_start(Some(&of_old), &TopicIdentity::default(), false), Start::Committed(50));
        assert_eq!(choose_start(None, &new, false), Start::Reset);
        assert_eq!(choose_start(None, &new, true), Start::New);
    }

    #[test]
    fn offset_out_of_range_is_a_gap_or_a_truncation() {
        for (offset, range, truncated_to, expected) in [
            (10, (50, 100), None, OutOfRange::Gap(50)),
            (10, (50, 50), None, OutOfRange::Gap(50)),
            (49, (50, 100), None, OutOfRange::Gap(50)),
            (50, (50, 100), None, OutOfRange::InRange),
            (100, (50, 100), None, OutOfRange::InRange),
            (101, (50, 100), None, OutOfRange::Truncated(50)),
            (50, (0, 20), None, OutOfRange::Truncated(0)),
            (100, (0, 150), Some(90), OutOfRange::Truncated(90)),
            (100, (95, 150), Some(90), OutOfRange::Truncated(95)),
            (80, (0, 150), Some(90), OutOfRange::InRange),
        ] {
            assert_eq!(
                classify_out_of_range(offset, range, truncated_to),
                expected,
                "{offset} {range:?} {truncated_to:?}"
            );
        }
    }

    #[test]
    fn truncation_is_parsed_from_the_message_of_librdkafka() {
        let message = "Partition log truncation detected at offset 100 (leader epoch 3): broker end offset is 90 \
                       (offset leader epoch 2). Reset to INVALID.: Local: Log truncated";
        assert_eq!(parse_truncated_to(message), Some(90));
        assert_eq!(parse_truncated_to("fetch failed due to requested offset not available on the broker"), None);
    }

    #[test]
    fn last_reset_policy_of_the_user_is_used() {
        let policy = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            ResetPolicy::from_properties(&pairs)
        };
        assert_eq!(policy(&[]), ResetPolicy::Earliest);
        assert_eq!(policy(&[("auto.offset.reset", "latest")]), ResetPolicy::Latest);
        assert_eq!(policy(&[("topic.auto.offset.reset", "error")]), ResetPolicy::Error);
    }
}
