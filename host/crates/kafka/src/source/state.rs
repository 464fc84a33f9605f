//! The state of each partition of the source, and its pending events.

use std::ops::Range;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;

use crate::error_class::{Denied, ErrorClass};
use crate::permissions::{MissingPermission, Operation, Resource};
use mapper_core::shutdown::Halt;
use mapper_core::topics::TopicId;
use mapper_pipeline::contracts::SourceError;

/// A partition that is assigned to this worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assigned {
    pub(super) start: Offset,
    /// The offset after the last fetched record.
    pub(super) next: Option<i64>,
    /// The end for a read_committed consumer when it last reached it: after the last record and the transaction markers.
    pub(super) end: Option<i64>,
    /// Where to seek to before the next fetch, if the position of librdkafka is wrong, see `RecordQueue::take_queued`.
    pub(super) seek: Option<i64>,
}

impl Assigned {
    pub(super) fn new(start: Offset) -> Self {
        Self { start, next: None, end: None, seek: None }
    }

    /// The next offset, if it is known.
    pub(super) fn position(&self) -> Option<i64> {
        let start = if let Offset::Offset(offset) = self.start { Some(offset) } else { None };
        self.next.or(start).max(self.end)
    }
}

/// An event that the last fetch announced. `settle` handles it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Announcement {
    Rebalance,
    NewTopic,
    OutOfRange,
}

/// The recreated topic that the client reads.
#[derive(Debug, Clone)]
pub(super) struct NewTopic {
    /// The index of the topic.
    pub(super) topic: usize,
    pub(super) id: TopicId,
    pub(super) partitions: Option<i32>,
}

/// The next offset of a partition, which the broker does not have.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutOfRangeOffset {
    pub(super) offset: i64,
    /// The end offset after a truncation.
    pub(super) truncated_to: Option<i64>,
}

/// Offsets of a partition that were not read, for the ledger.
#[derive(Debug, Clone, Default)]
pub(super) struct Gap {
    /// The offsets that were removed before they were read.
    pub(super) missed: Range<i64>,
    /// The committed offset after the partition lost records.
    pub(super) truncated_to: Option<i64>,
}

/// An event in the record queue.
pub(super) struct Event {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) code: RDKafkaErrorCode,
    pub(super) text: String,
}

/// Handles an error of the consumer. librdkafka retries most of them by itself; an error of configuration is fatal.
pub(super) fn handle_error(
    (topic, group): (&str, &str),
    what: &str,
    code: Option<RDKafkaErrorCode>,
) -> Result<(), SourceError> {
    let refused = |why: String| Err(Halt::kafka(format!("Kafka refuses to let this host read: {what}{why}")).into());
    match code.map_or(ErrorClass::Retriable, ErrorClass::of) {
        ErrorClass::NotAuthorized(Denied::Topic) => {
            refused(format!(": {}", MissingPermission::new([Operation::Describe, Operation::Read], Resource::Topic(topic))))
        }
        ErrorClass::SessionTimeout => refused(
            ". Give a --session-timeout within what the broker allows (its group.min.session.timeout.ms, 6 s by default, and \
             group.max.session.timeout.ms)"
                .to_owned(),
        ),
        ErrorClass::NotAuthorized(Denied::Group) => {
            refused(format!(": {}", MissingPermission::new([Operation::Read], Resource::Group(group))))
        }
        ErrorClass::NotAuthorized(Denied::Cluster)
        | ErrorClass::NotAuthenticated
        | ErrorClass::ConnectionNotAuthenticated
        | ErrorClass::ClientFailed
        | ErrorClass::InstanceFenced => refused(String::new()),
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
    fn session_timeout_out_of_range_is_fatal_and_names_the_setting() {
        let ended =
            handle_error(("visits", "readers"), "JoinGroup failed", Some(RDKafkaErrorCode::InvalidSessionTimeout));
        assert!(matches!(ended, Err(SourceError::Fatal(halt)) if halt.to_string().contains("--session-timeout")));
        assert!(
            handle_error(("visits", "readers"), "a broker is away", Some(RDKafkaErrorCode::AllBrokersDown)).is_ok()
        );
    }
}
