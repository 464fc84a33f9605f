//! Classifies failed deliveries for the pipeline.

use rdkafka::error::RDKafkaErrorCode;

use super::deliveries::RejectedRecords;
use super::error_class::{Denied, ErrorClass};
use super::permissions::{MissingPermission, Operation, Resource};
use mapper_core::decision::RouteIndex;
use mapper_core::record::Position;
use mapper_core::shutdown::Halt;
use mapper_pipeline::contracts::{Rejection, SinkError};

/// Classifies a failed delivery whose cause is not the content of the record.
pub(super) fn classify_delivery_error(code: RDKafkaErrorCode, topic: &str) -> SinkError {
    match ErrorClass::of(code) {
        ErrorClass::NotAuthorized(Denied::Topic) => SinkError::Fatal(Halt::kafka(format!(
            "the topic '{topic}' can't be written to: {code}. Nothing was committed since then, so nothing is lost: {}",
            MissingPermission::new([Operation::Write], Resource::Topic(topic))
        ))),
        ErrorClass::NotAuthorized(Denied::Cluster) => SinkError::Fatal(Halt::kafka(format!(
            "the topic '{topic}' can't be written to: {code}. Nothing was committed since then, so nothing is lost: {}",
            MissingPermission::new([Operation::IdempotentWrite], Resource::Cluster)
        ))),
        ErrorClass::TopicUnknown
        | ErrorClass::TopicMissing
        | ErrorClass::TopicInvalid
        | ErrorClass::NotAuthorized(Denied::TransactionalId) => SinkError::Fatal(Halt::kafka(format!(
            "the topic '{topic}' can't be written to: {code}. Nothing was committed since then, so nothing is lost; make the \
             topic writable and start again"
        ))),
        _ => SinkError::Retriable(
            anyhow::Error::new(code).context(format!("failed to deliver a record to the topic '{topic}'")),
        ),
    }
}

/// Creates the rejection of the outputs of these inputs.
pub(super) fn create_rejection(
    rejected: &RejectedRecords,
    route: RouteIndex,
    topic: &str,
    mut inputs: Vec<Position>,
) -> Rejection {
    use RDKafkaErrorCode as Code;
    let code = rejected.code;
    let usual_cause = match code {
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => " (max.message.bytes of the topic)",
        Code::MessageBatchTooLarge => " (segment.bytes of the topic)",
        Code::InvalidTimestamp => " (message.timestamp.before.max.ms and message.timestamp.after.max.ms of the topic)",
        Code::InvalidRecord => " (a topic with cleanup.policy=compact takes only records with a key)",
        _ => "",
    };
    inputs.dedup();
    Rejection {
        route,
        inputs,
        cause: rejected.cause,
        reason: format!("the broker rejected the record for the topic '{topic}': {code}{usual_cause}"),
    }
}

#[cfg(test)]
mod tests {
    use RDKafkaErrorCode as Code;

    use super::*;

    #[test]
    fn failed_delivery_is_retriable_or_fatal() {
        use RDKafkaErrorCode as Code;
        let classify = |code| match classify_delivery_error(code, "visits_dlq") {
            SinkError::RecordsRejected(rejections) => panic!("{rejections:?}"),
            SinkError::Retriable(why) => ("retriable", format!("{why:#}")),
            SinkError::Fatal(halt) => ("fatal", halt.reason()),
        };
        for (code, expected) in [
            (Code::UnknownTopic, "fatal"),
            (Code::UnknownTopicOrPartition, "fatal"),
            (Code::TopicAuthorizationFailed, "fatal"),
            (Code::MessageTimedOut, "retriable"),
            (Code::AllBrokersDown, "retriable"),
            (Code::NotEnoughReplicas, "retriable"),
        ] {
            let (actual, why) = classify(code);
            assert_eq!(actual, expected, "{code:?}");
            assert!(why.contains("'visits_dlq'"), "{why}");
        }
    }

    #[test]
    fn rejection_names_the_inputs_the_topic_and_its_setting() {
        for (code, setting) in [
            (Code::MessageSizeTooLarge, "max.message.bytes"),
            (Code::MessageBatchTooLarge, "segment.bytes"),
            (Code::InvalidTimestamp, "message.timestamp.after.max.ms"),
            (Code::InvalidRecord, "cleanup.policy=compact"),
            (Code::PolicyViolation, "PolicyViolation"),
        ] {
            let cause = ErrorClass::of(code).rejection_cause().expect("a rejection");
            let rejected = RejectedRecords { code, cause, numbers: vec![0, 1, 2] };
            let inputs = vec![(0, 7), (0, 7), (1, 7)];
            let Rejection { route, inputs, cause: actual, reason } = create_rejection(&rejected, 1, "reduced", inputs);
            assert_eq!((route, inputs, actual), (1, vec![(0, 7), (1, 7)], cause));
            assert!(reason.contains("'reduced'") && reason.contains(setting), "{reason}");
            assert!(reason.contains(&format!("{code:?}")), "{reason}");
        }
    }
}
