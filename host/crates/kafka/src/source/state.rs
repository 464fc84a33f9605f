//! What the source keeps of each partition, and what it has to settle.

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;

use crate::permissions::{Missing, Operation, Resource};
use mapper_core::shutdown::Halt;
use mapper_core::topics::TopicId;
use mapper_pipeline::contracts::SourceError;

/// A partition that this worker has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assigned {
    /// Where reading it began.
    pub(super) start: Offset,
    /// The offset after the last record fetched, once there is one.
    pub(super) next: Option<i64>,
    /// Where it ends for a reader of committed records, as of the last time that it was read to its end: behind the last
    /// record and what transactions left there.
    pub(super) end: Option<i64>,
}

impl Assigned {
    pub(super) fn new(start: Offset) -> Self {
        Self { start, next: None, end: None }
    }

    /// The offset to be read next, if it is known.
    pub(super) fn position(&self) -> Option<i64> {
        let start = if let Offset::Offset(offset) = self.start { Some(offset) } else { None };
        self.next.or(start).max(self.end)
    }
}

/// What the last fetch announced, and settling carries out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Announced {
    Rebalance,
    NewTopic,
    OutOfRange,
}

/// The client reads another topic of the same name.
#[derive(Debug, Clone)]
pub(super) struct NewTopic {
    pub(super) id: TopicId,
    pub(super) partitions: Option<i32>,
}

/// A broker does not have the offset that is to be read next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Displaced {
    /// The offset.
    pub(super) offset: i64,
    /// Where the partition was truncated, if it was.
    pub(super) truncated_to: Option<i64>,
}

/// Something else in the place of a record.
pub(super) struct Event {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) code: RDKafkaErrorCode,
    pub(super) text: String,
}

/// An error that a consumer of the group reports about a topic: most pass, and librdkafka goes on by itself.
pub(super) fn complain(
    (topic, group): (&str, &str),
    what: &str,
    code: Option<RDKafkaErrorCode>,
) -> Result<(), SourceError> {
    let refused = |why: String| Err(Halt::kafka(format!("Kafka refuses to let this host read: {what}{why}")).into());
    match code {
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            refused(format!(": {}", Missing::new([Operation::Describe, Operation::Read], Resource::Topic(topic))))
        }
        Some(RDKafkaErrorCode::InvalidSessionTimeout) => refused(
            ". Give a --session-timeout within what the broker allows (its group.min.session.timeout.ms, 6 s by default, and \
             group.max.session.timeout.ms)"
                .to_owned(),
        ),
        Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {
            refused(format!(": {}", Missing::new([Operation::Read], Resource::Group(group))))
        }
        Some(
            RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::Fatal
            | RDKafkaErrorCode::FencedInstanceId,
        ) => refused(String::new()),
        _ => {
            tracing::warn!(target: "kafka", "the consumer reports: {what}");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_timeout_that_the_broker_does_not_allow_ends_the_host_and_names_the_setting() {
        let ended = complain(("visits", "readers"), "JoinGroup failed", Some(RDKafkaErrorCode::InvalidSessionTimeout));
        assert!(matches!(ended, Err(SourceError::Fatal(halt)) if halt.to_string().contains("--session-timeout")));
        assert!(complain(("visits", "readers"), "a broker is away", Some(RDKafkaErrorCode::AllBrokersDown)).is_ok());
    }
}
